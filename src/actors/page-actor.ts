/**
 * One page, alive: its mailbox and its states. Never awaits; `receive` runs to its end, what it asks of the world is
 * enqueued there and the answer is its next message.
 *
 *      loading ──loaded──▶ live ──evict──▶ gone
 *         └── absent, load_failed ─────────▶ gone
 *
 * The order of effects for a change (each step only after the one before):
 *   1 check (state + queue)   2 queue   3 commit (compare-and-swap on the head)   4 apply, in seq order
 *   5 tell: CHANGES to everyone on the page, the sender included; that echo is the acknowledgement
 * After an append that lost its race or whose outcome is unknown the page is *settling*: nothing is handed to the
 * database until the log has been read; what it turned out to hold leaves the queue.
 */
import { assert, assertNever } from '../base/assert.ts';
import { TokenBucket } from '../base/token-bucket.ts';
import type { OpNotice } from '../document/model.ts';
import type { LogEntry, StoredChange } from '../persistence/log-store.ts';
import type { Code } from '../protocol/codes.ts';
import { isMalformed } from '../protocol/decode.ts';
import { encodeServerMessage } from '../protocol/encode.ts';
import { type PageId, type ReplicaId, seq, type Seq } from '../protocol/ids.ts';
import { mayWrite, type Role } from '../protocol/messages.ts';
import { admitChange } from './admission.ts';
import { ChangeQueue } from './change-queue.ts';
import { PageState } from './page-state.ts';
import { Presence } from './presence.ts';
import { changesFrames } from './recent-log.ts';
import { sendCatchUp } from './joining.ts';
import type { ActorWorld, LoadedPage, PageMessage, SubscribeRequest, Subscriber } from './world.ts';

interface Loading {
  readonly tag: 'loading';
  waiting: SubscribeRequest[];
  /** Whether the load under way was asked to make the page. */
  creating: boolean;
}

interface Live {
  readonly tag: 'live';
  readonly state: PageState;
  closed: boolean;
  commit: 'idle' | 'committing' | 'settling';
  /** Subscribers whose position is ahead of ours: answered when the log has been read. */
  ahead: SubscribeRequest[];
}

type State = Loading | Live | { readonly tag: 'gone' };
type ChangeMessage = PageMessage & { type: 'change' };

export class PageActor {
  readonly page: PageId;
  readonly #world: ActorWorld;
  readonly #queue = new ChangeQueue();
  readonly #presence = new Presence();
  readonly #subscribers = new Map<number, Subscriber>();
  readonly #rate: TokenBucket;
  #state: State = { tag: 'loading', waiting: [], creating: false };
  #idleSince: number;

  constructor(page: PageId, world: ActorWorld) {
    this.page = page;
    this.#world = world;
    const { pageChangesPerSecond } = world.limits;
    this.#idleSince = world.clock.monotonic();
    this.#rate = new TokenBucket(pageChangesPerSecond, pageChangesPerSecond, this.#idleSince);
    world.load(page, null);
  }

  get isGone(): boolean {
    return this.#state.tag === 'gone';
  }

  get bytes(): number {
    return this.#queue.bytes + (this.#state.tag === 'live' ? this.#state.state.bytes : 0);
  }

  get queueLength(): number {
    return this.#queue.length;
  }

  /** ms without subscribers and without anything left to do; 0 while the page is in use. */
  idleMs(now: number): number {
    const { tag } = this.#state;
    const inUse = tag === 'loading' || this.#subscribers.size > 0 || this.#queue.length > 0;
    return inUse || (tag === 'live' && this.#state.ahead.length > 0) ? 0 : now - this.#idleSince;
  }

  receive(message: PageMessage): void {
    switch (message.type) {
      case 'subscribe':
        return this.#subscribe(message.request);
      case 'unsubscribe':
        return this.#unsubscribe(message.connection);
      case 'role':
        return this.#setRole(message.connection, message.role);
      case 'change':
        return this.#change(message);
      case 'presence':
        return this.#setPresence(message.connection, message.state);
      case 'sync':
        return this.#sync(message.connection, message.since);
      case 'loaded':
        return this.#loaded(message.page);
      case 'absent':
        return this.#absent();
      case 'load_failed':
        return this.#die('unavailable', message.message, 1000);
      case 'appended':
        return this.#appended();
      case 'settled':
        return this.#settled(message.entries, message.closed);
      case 'snapshot_saved':
        if (this.#state.tag === 'live') this.#state.state.snapshotSaved(message.snapshot);
        return;
      case 'snapshot_failed':
        if (this.#state.tag === 'live') this.#state.state.snapshotFailed();
        return;
      case 'tick':
        return this.snapshot(false);
      default:
        assertNever(message);
    }
  }

  // ── loading ────────────────────────────────────────────────────────────────────────────────────────────────────

  #loaded(loaded: LoadedPage): void {
    if (this.#state.tag !== 'loading') return;
    const { waiting } = this.#state;
    const state = new PageState(loaded, this.#world.clock.now());
    this.#state = { tag: 'live', state, closed: loaded.closed, commit: 'idle', ahead: [] };
    for (const request of waiting) this.#subscribe(request);
    this.#idleSince = this.#world.clock.monotonic();
  }

  /** There is no such page: those who may create it do, the others are told. */
  #absent(): void {
    if (this.#state.tag !== 'loading') return;
    const creators: SubscribeRequest[] = [];
    for (const request of this.#state.waiting) {
      const { create, subscriber } = request;
      if (create === 'blocks' && mayWrite(subscriber.role)) creators.push(request);
      else if (create !== null && create !== 'blocks') {
        this.#refuseSubscriber(subscriber, 'unsupported', `this server has no model "${create}"; it has "blocks"`);
      } else this.#refuseSubscriber(subscriber, 'unknown_page', 'there is no such page, or it is not yours to create');
    }
    this.#state.waiting = creators;
    if (creators.length === 0) this.#state = { tag: 'gone' };
    else {
      assert(!this.#state.creating, 'a page that was just made exists');
      this.#state.creating = true;
      this.#world.load(this.page, 'blocks');
    }
  }

  /** Takes the page out of memory and tells everyone on it; nothing that was acknowledged is lost by that. */
  #die(code: Code, message: string, retryAfterMs: number | null): void {
    const waiting = this.#state.tag === 'loading' ? this.#state.waiting.map((request) => request.subscriber) : [];
    for (const subscriber of [...waiting, ...this.#subscribers.values()]) {
      this.#refuseSubscriber(subscriber, code, message, retryAfterMs);
      this.#world.leave(subscriber.connection, this.page);
    }
    this.#subscribers.clear();
    this.#state = { tag: 'gone' };
  }

  /** An invariant broke: this actor ends alone; clients resubscribe, and the page is loaded anew. */
  crash(): void {
    this.#die('unavailable', 'the page met an error in the server and is loaded anew', 250);
  }

  #refuseSubscriber({ connection, ch }: Subscriber, code: Code, message: string, retryAfterMs: number | null = null) {
    this.#world.send(connection, encodeServerMessage({ kind: 'error', code, message, retryAfterMs, ch }));
    this.#world.forget(connection, ch);
  }

  // ── subscribers ────────────────────────────────────────────────────────────────────────────────────────────────

  #subscribe(request: SubscribeRequest): void {
    if (this.#state.tag === 'loading') {
      this.#state.waiting.push(request);
      return;
    }
    assert(this.#state.tag === 'live', 'a page that is gone gets no messages');
    const { subscriber, create } = request;
    if (create !== null && create !== 'blocks') {
      return this.#refuseSubscriber(subscriber, 'wrong_model', `the page exists as "blocks", not "${create}"`);
    }
    const { state } = this.#state;
    const sameEpoch = request.epoch === null || request.epoch === this.#world.epoch;
    const since = sameEpoch ? request.since : null;
    if (since !== null && since > state.head) {
      // The client has seen more than this copy: read the log before answering.
      this.#state.ahead.push(request);
      return this.#settle(this.#state);
    }
    this.#join(state, subscriber, since);
  }

  #join(state: PageState, subscriber: Subscriber, since: Seq | null): void {
    const { connection, ch, role, replica } = subscriber;
    this.#subscribers.set(connection, subscriber);
    const lastN = state.replica(replica)?.lastN ?? 0;
    const { head } = state;
    const { epoch } = this.#world;
    this.#world.send(connection, encodeServerMessage({ kind: 'subscribed', ch, role, head, lastN, epoch }));
    sendCatchUp(this.#world, this.page, subscriber, state.catchUp(since));
    const everyone = this.#presence.full(this.page);
    if (everyone) this.#world.send(connection, everyone);
    // From here on the page's topic brings everything: this instruction stands in the shard's stream right here.
    this.#world.join(connection, this.page);
  }

  #unsubscribe(connection: number): void {
    if (this.#state.tag === 'loading') {
      this.#state.waiting = this.#state.waiting.filter(({ subscriber }) => subscriber.connection !== connection);
      return;
    }
    if (this.#state.tag === 'live') {
      this.#state.ahead = this.#state.ahead.filter(({ subscriber }) => subscriber.connection !== connection);
    }
    const subscriber = this.#subscribers.get(connection);
    if (!subscriber) return;
    this.#subscribers.delete(connection);
    this.#world.leave(connection, this.page);
    this.#presence.set(subscriber.replica, subscriber.user, connection, null);
    this.#world.markPresence(this.page);
    if (this.#subscribers.size === 0) this.#idleSince = this.#world.clock.monotonic();
  }

  /** A fresh token, or a revoked grant: null takes the page away. */
  #setRole(connection: number, role: Role | null): void {
    const waiting = this.#state.tag === 'loading' ? this.#state.waiting.map((request) => request.subscriber) : [];
    const subscriber =
      this.#subscribers.get(connection) ?? waiting.find((candidate) => candidate.connection === connection);
    if (!subscriber) return;
    const { ch } = subscriber;
    if (role === null) {
      this.#unsubscribe(connection);
      this.#refuseSubscriber(subscriber, 'forbidden', 'the token does not grant this page');
      return;
    }
    subscriber.role = role;
    this.#world.send(connection, encodeServerMessage({ kind: 'role', ch, role }));
  }

  #setPresence(connection: number, state: Uint8Array | null): void {
    const subscriber = this.#subscribers.get(connection);
    if (!subscriber) return;
    this.#presence.set(subscriber.replica, subscriber.user, connection, state && state.slice());
    this.#world.markPresence(this.page);
  }

  /** The frame of everyone whose presence changed since the last call. */
  takePresence(): Uint8Array | undefined {
    return this.#presence.takeDelta(this.page);
  }

  #sync(connection: number, since: Seq): void {
    const subscriber = this.#subscribers.get(connection);
    if (!subscriber || this.#state.tag !== 'live') return;
    const { state } = this.#state;
    if (since < state.head) sendCatchUp(this.#world, this.page, subscriber, state.catchUp(since));
  }

  // ── changes ────────────────────────────────────────────────────────────────────────────────────────────────────

  #change(message: ChangeMessage): void {
    const subscriber = this.#subscribers.get(message.connection);
    if (!subscriber || this.#state.tag !== 'live') return;
    const { clock, limits, counts } = this.#world;
    const { state } = this.#state;
    const replica = message.replica ?? subscriber.replica;
    const logged = state.replica(replica);
    const now = clock.now();
    const verdict = admitChange(
      {
        user: subscriber.user,
        role: subscriber.role,
        n: message.n,
        hlc: message.hlc,
        bytes: message.ops.length,
        logged,
        queued: this.#queue.lastOf(replica),
        queueLength: this.#queue.length,
        queueBytes: this.#queue.bytes,
        closed: this.#state.closed,
        latestMs: state.latestMs,
        now,
        rateWaitMs: message.n > (logged?.lastN ?? 0) ? this.#rate.take(clock.monotonic()) : 0,
      },
      limits,
    );
    if (verdict.verdict === 'acknowledge') {
      counts.change('duplicate');
      const { lastN: n, lastSeq } = logged!;
      const ack = { kind: 'ack', ch: subscriber.ch, n, seq: lastSeq, replica } as const;
      return this.#world.send(message.connection, encodeServerMessage(ack));
    }
    if (verdict.verdict === 'ignore') return counts.change('duplicate');
    if (verdict.verdict === 'refuse') {
      return this.#reject(message.connection, message.n, replica, verdict.code, verdict.message, verdict.retryAfterMs);
    }
    this.#enqueue(this.#state, subscriber, replica, message, now);
  }

  #enqueue(live: Live, subscriber: Subscriber, replica: ReplicaId, message: ChangeMessage, now: number): void {
    const { n, hlc, connection } = message;
    // A copy of its own: the message is a view into a batch that would otherwise stay in memory with it.
    const body = message.ops.slice();
    const { model } = live.state;
    const decoded = model.decode(body);
    if (isMalformed(decoded)) {
      return this.#reject(connection, n, replica, 'malformed', decoded.malformed);
    }
    const refusal = model.admit(decoded, subscriber.user);
    if (refusal) {
      this.#resetModelQueue(live);
      return this.#reject(connection, n, replica, refusal.code, refusal.message);
    }
    const { user: author } = subscriber;
    const change: StoredChange = { replica, n, hlcMs: hlc.ms, hlcCounter: hlc.counter, author, at: now, body };
    this.#queue.push({ change, decoded, connection, since: this.#world.clock.monotonic() });
    this.#world.counts.change('accepted');
    if (live.commit === 'idle') this.#world.markDirty(this.page);
  }

  #resetModelQueue(live: Live): void {
    live.state.model.resetQueue(this.#queue.all.map(({ decoded, change }) => ({ decoded, author: change.author })));
  }

  #reject(connection: number, n: number, replica: ReplicaId, code: Code, message: string, retryAfterMs: number | null = null): void {
    this.#world.counts.change('refused', code);
    const ch = this.#subscribers.get(connection)?.ch;
    if (ch === undefined) return;
    this.#world.send(connection, encodeServerMessage({ kind: 'reject', ch, n, code, message, retryAfterMs, replica }));
  } // prettier-ignore

  /** What to append now, and on which head; nothing while a commit or a read of the log is under way. */
  takeBatch(): { readonly known: Seq; readonly changes: StoredChange[] } | undefined {
    if (this.#state.tag !== 'live' || this.#state.commit !== 'idle' || this.#queue.length === 0) return undefined;
    this.#state.commit = 'committing';
    return { known: this.#state.state.head, changes: this.#queue.takeBatch() };
  }

  /** The head as far as this copy knows it; undefined unless the page is live. */
  get head(): Seq | undefined {
    return this.#state.tag === 'live' ? this.#state.state.head : undefined;
  }

  #appended(): void {
    if (this.#state.tag !== 'live') return;
    const live = this.#state;
    assert(live.commit === 'committing', 'an append is answered once');
    const now = this.#world.clock.now();
    const monotonic = this.#world.clock.monotonic();
    const told: LogEntry[] = [];
    for (const { change, decoded, connection, since } of this.#queue.commit()) {
      const entry: LogEntry = { ...change, seq: seq(live.state.head + 1) };
      this.#tellNotices(connection, entry.n, live.state.apply(entry, decoded, now));
      this.#world.counts.commitMs(monotonic - since);
      told.push(entry);
    }
    this.#world.counts.committed(told.length);
    for (const frame of changesFrames(this.page, told)) this.#world.publish(this.page, frame);
    this.#resume(live);
  }

  #tellNotices(connection: number, n: number, notices: OpNotice[]): void {
    for (const { opIndex, code } of notices) {
      this.#world.counts.notice(code);
      const ch = this.#subscribers.get(connection)?.ch;
      if (ch === undefined) continue;
      this.#world.send(connection, encodeServerMessage({ kind: 'notice', ch, n, code, opIndex }));
    }
  }

  #resume(live: Live): void {
    live.commit = 'idle';
    this.#resetModelQueue(live);
    if (live.ahead.length > 0) return this.#settle(live);
    if (this.#queue.length > 0) this.#world.markDirty(this.page);
    else this.#idleSince = this.#world.clock.monotonic();
    this.snapshot(false);
  }

  // ── settling ───────────────────────────────────────────────────────────────────────────────────────────────────

  /** The append lost its race or its outcome is unknown. */
  appendUnsettled(): void {
    if (this.#state.tag !== 'live') return;
    this.#state.commit = 'settling';
    this.#world.settle(this.page, this.#state.state.head);
  }

  #settle(live: Live): void {
    // While a commit is under way its answer comes first; `#resume` is then followed by a settle of our own.
    if (live.commit !== 'idle') return;
    live.commit = 'settling';
    this.#world.settle(this.page, live.state.head);
  }

  /** The log after our head: applies it, then takes out of the queue what is there or can no longer follow. */
  #settled(entries: LogEntry[], closed: boolean): void {
    if (this.#state.tag !== 'live') return;
    const live = this.#state;
    live.closed = closed;
    const now = this.#world.clock.now();
    for (const entry of entries) live.state.applyEntry(entry, now);
    for (const frame of changesFrames(this.page, entries)) this.#world.publish(this.page, frame);
    const lastN = new Map<ReplicaId, number>();
    this.#queue.retain(({ change, connection }) => {
      const { replica, n, author } = change;
      const logged = live.state.replica(replica);
      if (logged && logged.owner === author && n <= logged.lastN) return false;
      const refusal = this.#refusalAfterSettling(change, logged, lastN.get(replica) ?? logged?.lastN ?? 0, closed);
      if (!refusal) lastN.set(replica, n);
      else this.#reject(connection, n, replica, refusal.code, refusal.message);
      return !refusal;
    });
    const { ahead } = live;
    live.ahead = [];
    this.#resume(live);
    for (const { subscriber, since } of ahead) {
      // Still ahead after reading the log: a position of another incarnation. It gets the page anew.
      this.#join(live.state, subscriber, since !== null && since <= live.state.head ? since : null);
    }
  }

  #refusalAfterSettling(change: StoredChange, logged: { owner: string } | undefined, lastN: number, closed: boolean) {
    if (closed) return { code: 'page_closed' as const, message: 'the page went to the trash' };
    if (logged && logged.owner !== change.author) {
      return { code: 'not_yours' as const, message: 'this replica id belongs to another user; draw a new one' };
    }
    if (change.n !== lastN + 1) {
      return { code: 'out_of_order' as const, message: `n is ${change.n}; this replica’s next is ${lastN + 1}` };
    }
    return undefined;
  }

  // ── snapshots and the end ──────────────────────────────────────────────────────────────────────────────────────

  /** Stores a snapshot when one is due, or (`force`) when there is anything new. */
  snapshot(force: boolean): void {
    if (this.#state.tag !== 'live') return;
    const taken = this.#state.state.takeSnapshot(this.#world.clock.now(), force);
    if (!taken) return;
    this.#world.saveSnapshot(this.page, taken.seq, this.#state.state.model.version, taken.plain, taken.private);
  }

  /** Nothing in the queue and no snapshot under way: the page can end without losing time or words. */
  get isQuiet(): boolean {
    if (this.#state.tag === 'loading') return false;
    return this.#state.tag === 'gone' || (this.#queue.length === 0 && !this.#state.state.hasNews);
  }

  /** Leaves memory, if nobody came back meanwhile. */
  evict(): boolean {
    if (this.#state.tag !== 'live' || this.#subscribers.size > 0 || this.#queue.length > 0) return false;
    this.#state = { tag: 'gone' };
    return true;
  }
}

