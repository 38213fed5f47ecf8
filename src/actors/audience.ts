/**
 * Who is on a page, and how they are told: subscribers by connection, their presence, and the frames that are for one of
 * them. What is for all of them goes to the page's topic (`world.publish`).
 */
import { assert } from '../base/assert.ts';
import type { Millis } from '../base/time.ts';
import type { ChangeKind, OpNotice } from '../document/model.ts';
import type { Code } from '../protocol/codes.ts';
import { encodeServerMessage } from '../protocol/encode.ts';
import type { PageId, ReplicaId, Seq } from '../protocol/ids.ts';
import type { Role, ServerMessage } from '../protocol/messages.ts';
import { Presence, type PresenceNews } from './presence.ts';
import type { ActorWorld, Subscriber } from './world.ts';

/** Other nodes let go of people after three of these. */
const RENEW_MS: Millis = 10_000;

export class Audience {
  readonly #page: PageId;
  readonly #world: ActorWorld;
  readonly #subscribers = new Map<number, Subscriber>();
  readonly #presence = new Presence();
  #renewedAt: Millis;

  constructor(page: PageId, world: ActorWorld) {
    this.#page = page;
    this.#world = world;
    this.#renewedAt = world.clock.monotonic();
  }

  get size(): number {
    return this.#subscribers.size;
  }

  get(connection: number): Subscriber | undefined {
    return this.#subscribers.get(connection);
  }

  add(subscriber: Subscriber): void {
    assert(!this.#subscribers.has(subscriber.connection), 'a page is open at most once on a socket');
    this.#subscribers.set(subscriber.connection, subscriber);
  }

  /** Everybody's presence, for one who just came. */
  introduce({ connection }: Subscriber): void {
    const everyone = this.#presence.full(this.#page);
    if (everyone) this.#world.send(connection, everyone);
  }

  /** From here on the page's topic brings everything: the instruction stands in the shard's stream at this point. */
  joinTopic({ connection }: Subscriber): void {
    this.#world.join(connection, this.#page);
  }

  remove(connection: number): void {
    const subscriber = this.#subscribers.get(connection);
    if (!subscriber) return;
    this.#subscribers.delete(connection);
    this.#world.leave(connection, this.#page);
    this.#presence.set(subscriber.replica, subscriber.user, connection, null);
    this.#world.markPresence(this.#page);
  }

  /** Ends a subscription, or an attempt at one, with the reason. */
  refuse(
    { connection, ch }: Subscriber,
    code: Code,
    message: string,
    retryAfterMs: number | null = null,
  ): void {
    this.#world.log.debug({ page: this.#page, connection, code }, 'a page was refused to a client');
    this.#send(connection, { kind: 'error', code, message, retryAfterMs, ch });
    this.#world.forget(connection, ch);
  }

  /** The grant is gone, and the page with it. */
  takeAway(subscriber: Subscriber): void {
    const { connection, ch } = subscriber;
    this.#send(connection, { kind: 'role', ch, role: null });
    this.refuse(subscriber, 'forbidden', 'the token does not grant this page, or no longer');
  }

  refuseAll(code: Code, message: string, retryAfterMs: number | null): void {
    for (const subscriber of this.#subscribers.values()) {
      this.refuse(subscriber, code, message, retryAfterMs);
      this.#world.leave(subscriber.connection, this.#page);
    }
    this.#subscribers.clear();
  }

  setRole(subscriber: Subscriber, role: Role): void {
    subscriber.role = role;
    this.#send(subscriber.connection, { kind: 'role', ch: subscriber.ch, role });
  }

  setPresence(connection: number, state: Uint8Array | null): void {
    const subscriber = this.#subscribers.get(connection);
    if (!subscriber) return;
    const { ch, replica, user } = subscriber;
    const { presenceBytesMax } = this.#world.limits;
    const refuse = (code: Code, message: string) =>
      this.#send(connection, { kind: 'error', code, message, retryAfterMs: null, ch });
    if (state && state.length > presenceBytesMax) {
      return refuse('too_large', `a presence state of ${state.length} bytes; at most ${presenceBytesMax}`);
    }
    // A copy of its own: the frame is a view into a batch.
    if (!this.#presence.set(replica, user, connection, state && state.slice())) {
      return refuse('not_yours', 'another user is here under this replica id; draw a new one');
    }
    this.#world.markPresence(this.#page);
  }

  /** The frame of everyone whose presence changed since the last call. */
  takePresence(): Uint8Array | undefined {
    this.#world.sharePresence(this.#page, 'change', this.#presence.takeOwnChanges());
    return this.#presence.takeDelta(this.#page);
  }

  /** What another node says of the people there, or asks of those here. */
  hearPresence(news: PresenceNews): void {
    const { clock, limits } = this.#world;
    if (news.kind === 'ask') return this.#listPresence();
    if (this.#presence.hear(news, clock.monotonic(), limits.presenceBytesMax)) this.#world.markPresence(this.#page);
  } // prettier-ignore

  #listPresence(): void {
    this.#world.sharePresence(this.#page, 'list', this.#presence.own());
  }

  /** Called now and then: tells other nodes that those here still are, and lets go of those elsewhere who are not. */
  renewPresence(): void {
    const now = this.#world.clock.monotonic();
    if (this.#presence.expire(now)) this.#world.markPresence(this.#page);
    if (now - this.#renewedAt < RENEW_MS) return;
    this.#renewedAt = now;
    this.#listPresence();
  }

  /** About what people on other nodes take of memory. */
  get elsewhereBytes(): number {
    return this.#presence.elsewhereBytes;
  }

  acknowledge({ connection, ch }: Subscriber, n: number, seq: Seq, replica: ReplicaId): void {
    this.#send(connection, { kind: 'ack', ch, n, seq, replica });
  }

  /** A change was let in, or is known to have been: if it is the refused one, what follows it is judged again. */
  accepted(subscriber: Subscriber, n: number, replica: ReplicaId): void {
    const { refused } = subscriber;
    if (refused?.replica === replica && n === refused.n) subscriber.refused = undefined;
  }

  /** Whether a change stands behind one that was refused on this subscription and did not come again. */
  isBehindRefusal({ refused }: Subscriber, n: number, replica: ReplicaId): boolean {
    return refused?.replica === replica && n > refused.n;
  }

  /**
   * Tells the sender, if it is still here, that change n and all that follow are refused. Those that follow are not told
   * one by one: who sends much after a refusal would have as much sent back.
   */
  reject(
    connection: number,
    n: number,
    replica: ReplicaId,
    { code, message, retryAfterMs = null }: Rejection,
    kind: ChangeKind = 'unread',
  ): void {
    this.#world.counts.refused(code, kind);
    this.#world.log.debug({ page: this.#page, connection, n, code }, 'a change was refused');
    const subscriber = this.#subscribers.get(connection);
    if (!subscriber) return;
    const { ch } = subscriber;
    const isBehind = this.isBehindRefusal(subscriber, n, replica);
    if (code === 'out_of_order' && isBehind) return;
    if (n > 0 && !isBehind) subscriber.refused = { replica, n };
    this.#send(connection, { kind: 'reject', ch, n, code, message, retryAfterMs, replica });
  }

  notify(connection: number, n: number, replica: ReplicaId, notices: readonly OpNotice[]): void {
    const ch = this.#subscribers.get(connection)?.ch;
    for (const { opIndex, code } of notices) {
      this.#world.counts.notice(code);
      if (ch !== undefined) this.#send(connection, { kind: 'notice', ch, n, code, opIndex, replica });
    }
  }

  #send(connection: number, message: ServerMessage): void {
    this.#world.send(connection, encodeServerMessage(message));
  }
}

export interface Rejection {
  readonly code: Code;
  readonly message: string;
  readonly retryAfterMs?: number | null;
}
