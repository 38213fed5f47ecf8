/**
 * One page, alive: its mailbox and its states. Never awaits; `receive` runs to its end, what it asks of the world is
 * enqueued there and the answer is its next message.
 *
 *      loading ──loaded──▶ live ──evict──▶ gone
 *         └── absent, load_failed, crash ──▶ gone
 *
 * How a change goes through a live page is told in `commit-pipeline.ts`; who hears of it in `audience.ts`; what the page
 * is, in `page-state.ts`.
 */
import { assert, assertNever } from '../base/assert.ts';
import type { StoredChange } from '../persistence/log-store.ts';
import type { Code } from '../protocol/codes.ts';
import { encodeServerMessage } from '../protocol/encode.ts';
import type { PageId, Seq } from '../protocol/ids.ts';
import { mayWrite, type Role } from '../protocol/messages.ts';
import { Audience } from './audience.ts';
import { CommitPipeline } from './commit-pipeline.ts';
import { sendCatchUp } from './joining.ts';
import { PageState } from './page-state.ts';
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
  readonly commits: CommitPipeline;
  /** Subscribers whose position is ahead of ours, each with the read of the log after which it is answered. */
  ahead: { readonly request: SubscribeRequest; readonly read: number }[];
}

type State = Loading | Live | { readonly tag: 'gone' };

export class PageActor {
  readonly page: PageId;
  readonly #world: ActorWorld;
  readonly #audience: Audience;
  #state: State = { tag: 'loading', waiting: [], creating: false };
  #idleSince: number;

  constructor(page: PageId, world: ActorWorld) {
    this.page = page;
    this.#world = world;
    this.#audience = new Audience(page, world);
    this.#idleSince = world.clock.monotonic();
    world.load(page, null);
  }

  get isGone(): boolean {
    return this.#state.tag === 'gone';
  }

  /** About how much memory the page holds. */
  get bytes(): number {
    return this.#state.tag === 'live' ? this.#state.state.bytes + this.#state.commits.bytes : 0;
  }

  get queueLength(): number {
    return this.#state.tag === 'live' ? this.#state.commits.length : 0;
  }

  /** ms without subscribers and without anything left to do; 0 while the page is in use. */
  idleMs(now: number): number {
    if (this.#state.tag !== 'live') return 0;
    const inUse = this.#audience.size > 0 || this.#state.commits.length > 0 || this.#state.ahead.length > 0;
    return inUse ? 0 : now - this.#idleSince;
  }

  /** Nothing in the queue and no snapshot under way: the page can end without losing time or words. */
  get isQuiet(): boolean {
    if (this.#state.tag !== 'live') return true;
    return this.#state.commits.length === 0 && !this.#state.state.hasNews;
  }

  receive(message: PageMessage): void {
    switch (message.type) {
      case 'subscribe':
        return this.#subscribe(message.request);
      case 'unsubscribe':
        return this.#unsubscribe(message.connection);
      case 'role':
        return this.#setRole(message.connection, message.role);
      case 'change': {
        const subscriber = this.#audience.get(message.connection);
        if (subscriber) this.#live?.commits.offer(subscriber, message);
        return;
      }
      case 'presence':
        return this.#audience.setPresence(message.connection, message.state);
      case 'sync':
        return this.#sync(message.connection, message.since);
      case 'loaded':
        return this.#loaded(message.page);
      case 'absent':
        return this.#absent();
      case 'load_failed':
        return this.#die('unavailable', message.message, 1000);
      case 'appended':
        this.#live?.commits.appended();
        return this.#afterCommit();
      case 'settled':
        this.#live?.commits.settled(message.entries, message.closed);
        this.#joinAhead();
        return this.#afterCommit();
      case 'snapshot_saved':
        return this.#live?.state.snapshotSaved(message.snapshot);
      case 'snapshot_failed':
        return this.#live?.state.snapshotFailed();
      case 'tick':
        return this.snapshot(false);
      default:
        assertNever(message);
    }
  }

  /** Those who asked for the page and have no answer yet. */
  get #waiting(): SubscribeRequest[] {
    if (this.#state.tag === 'loading') return this.#state.waiting;
    return this.#state.tag === 'live' ? this.#state.ahead.map(({ request }) => request) : [];
  }

  get #live(): Live | undefined {
    return this.#state.tag === 'live' ? this.#state : undefined;
  }

  #afterCommit(): void {
    if (this.queueLength === 0) this.#idleSince = this.#world.clock.monotonic();
    this.snapshot(false);
  }

  // ── loading ────────────────────────────────────────────────────────────────────────────────────────────────────

  #loaded(loaded: LoadedPage): void {
    assert(this.#state.tag === 'loading', 'a page is loaded once');
    const { waiting } = this.#state;
    const state = new PageState(loaded, this.#world.clock.now());
    const commits = new CommitPipeline(this.page, this.#world, state, this.#audience, loaded.closed);
    this.#state = { tag: 'live', state, commits, ahead: [] };
    this.#idleSince = this.#world.clock.monotonic();
    for (const request of waiting) this.#subscribe(request);
    commits.housekeep();
  }

  /** There is no such page: those who may create it do, the others are told. */
  #absent(): void {
    assert(this.#state.tag === 'loading' && !this.#state.creating, 'a page that was just made exists');
    const creators: SubscribeRequest[] = [];
    for (const request of this.#state.waiting) {
      const { create, subscriber } = request;
      if (create === 'blocks' && mayWrite(subscriber.role)) creators.push(request);
      else if (create !== null && create !== 'blocks') {
        this.#audience.refuse(
          subscriber,
          'unsupported',
          `this server has no model "${create}"; it has "blocks"`,
        );
      } else
        this.#audience.refuse(
          subscriber,
          'unknown_page',
          'there is no such page, or it is not yours to create',
        );
    }
    if (creators.length === 0) this.#state = { tag: 'gone' };
    else {
      this.#state = { tag: 'loading', waiting: creators, creating: true };
      this.#world.load(this.page, 'blocks');
    }
  }

  /** Takes the page out of memory and tells everyone on it; nothing that was acknowledged is lost by that. */
  #die(code: Code, message: string, retryAfterMs: number | null): void {
    for (const { subscriber } of this.#waiting)
      this.#audience.refuse(subscriber, code, message, retryAfterMs);
    this.#audience.refuseAll(code, message, retryAfterMs);
    this.#state = { tag: 'gone' };
  }

  /** An invariant broke: this actor ends alone; clients subscribe again, and the page is loaded anew. */
  crash(): void {
    this.#die('unavailable', 'the page met an error in the server and is loaded anew', 250);
  }

  // ── subscribers ────────────────────────────────────────────────────────────────────────────────────────────────

  #subscribe(request: SubscribeRequest): void {
    if (this.#state.tag === 'loading') {
      this.#state.waiting.push(request);
      return;
    }
    const live = this.#live;
    assert(live, 'a page that is gone gets no messages');
    const { subscriber, create, epoch } = request;
    if (create !== null && create !== 'blocks') {
      return this.#audience.refuse(subscriber, 'wrong_model', `the page exists as "blocks", not "${create}"`);
    }
    const since = epoch === null || epoch === this.#world.epoch ? request.since : null;
    if (since !== null && since > live.state.head) {
      // The client has seen more than this copy: read the log before answering.
      live.ahead.push({ request, read: live.commits.settle() });
      return;
    }
    this.#join(live, subscriber, since);
  }

  #joinAhead(): void {
    const live = this.#live;
    if (!live) return;
    const answered = live.ahead.filter(({ read }) => read <= live.commits.settledReads);
    live.ahead = live.ahead.filter(({ read }) => read > live.commits.settledReads);
    for (const { subscriber, since } of answered.map(({ request }) => request)) {
      // Still ahead after reading the log: a position of another incarnation. It gets the page anew.
      this.#join(live, subscriber, since !== null && since <= live.state.head ? since : null);
    }
  }

  #join({ state }: Live, subscriber: Subscriber, since: Seq | null): void {
    const { connection, ch, role, replica } = subscriber;
    this.#audience.add(subscriber);
    const lastN = state.replica(replica)?.lastN ?? 0;
    const { head } = state;
    const { epoch } = this.#world;
    this.#world.send(connection, encodeServerMessage({ kind: 'subscribed', ch, role, head, lastN, epoch }));
    // Before the bulk, which may wait: a list that comes late would undo what was shown since.
    this.#audience.introduce(subscriber);
    sendCatchUp(this.#world, this.page, subscriber, state.catchUp(since));
    this.#audience.joinTopic(subscriber);
  }

  #unsubscribe(connection: number): void {
    const others = (request: SubscribeRequest) => request.subscriber.connection !== connection;
    if (this.#state.tag === 'loading') this.#state.waiting = this.#state.waiting.filter(others);
    else if (this.#state.tag === 'live') {
      this.#state.ahead = this.#state.ahead.filter(({ request }) => others(request));
      this.#audience.remove(connection);
      if (this.#audience.size === 0) this.#idleSince = this.#world.clock.monotonic();
    }
  }

  /** A fresh token, or a revoked grant: null takes the page away. */
  #setRole(connection: number, role: Role | null): void {
    const subscriber =
      this.#audience.get(connection) ??
      this.#waiting.find((one) => one.subscriber.connection === connection)?.subscriber;
    if (!subscriber) return;
    if (role !== null) return this.#audience.setRole(subscriber, role);
    this.#unsubscribe(connection);
    this.#audience.refuse(subscriber, 'forbidden', 'the token does not grant this page');
  }

  #sync(connection: number, since: Seq): void {
    const subscriber = this.#audience.get(connection);
    const state = this.#live?.state;
    if (!subscriber || !state || since >= state.head) return;
    sendCatchUp(this.#world, this.page, subscriber, state.catchUp(since));
  }

  /** The frame of everyone whose presence changed since the last call. */
  takePresence(): Uint8Array | undefined {
    return this.#audience.takePresence();
  }

  // ── commits, snapshots and the end ─────────────────────────────────────────────────────────────────────────────

  /** What the commit loop is to append now; undefined when there is nothing or an answer is outstanding. */
  takeBatch(): { readonly known: Seq; readonly changes: StoredChange[] } | undefined {
    return this.#live?.commits.takeBatch();
  }

  /** The append lost its race or its outcome is unknown. */
  appendUnsettled(): void {
    this.#live?.commits.unsettled();
  }

  /** Stores a snapshot when one is due, or (`force`) when there is anything new. */
  snapshot(force: boolean): void {
    const state = this.#live?.state;
    const taken = state?.takeSnapshot(this.#world.clock.now(), force);
    if (taken)
      this.#world.saveSnapshot(this.page, taken.seq, state!.model.version, taken.plain, taken.private);
  }

  /** Leaves memory, unless somebody came back or something is left to do. */
  evict(): boolean {
    if (this.idleMs(Infinity) === 0) return false;
    this.#state = { tag: 'gone' };
    return true;
  }
}
