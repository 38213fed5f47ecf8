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
import type { Millis } from '../base/time.ts';
import type { Code } from '../protocol/codes.ts';
import type { PageId, Seq } from '../protocol/ids.ts';
import type { Role } from '../protocol/messages.ts';
import { Audience } from './audience.ts';
import { sortBirths } from './births.ts';
import { CommitPipeline } from './commit-pipeline.ts';
import { DivergenceWatch } from './divergence-watch.ts';
import { follows, Joining } from './joining.ts';
import { pageBytes } from './page-bytes.ts';
import { PagePulse } from './page-figures.ts';
import { PageState } from './page-state.ts';
import type { ActorWorld, LoadedPage, PageBatch, PageMessage, SubscribeRequest } from './world.ts';

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
  readonly joining: Joining;
  /** Subscribers whose position is not one of ours, each with the read of the log after which it is answered. */
  ahead: { readonly request: SubscribeRequest; readonly read: number }[];
}

type State = Loading | Live | { readonly tag: 'gone' };

/** Clients of a page that is loaded anew for no fault of its own come back after this. */
const RELOAD_MS = 100;

export class PageActor {
  readonly page: PageId;
  readonly pulse: PagePulse;
  readonly #world: ActorWorld;
  readonly #audience: Audience;
  readonly #watch: DivergenceWatch;
  #state: State = { tag: 'loading', waiting: [], creating: false };
  #idleSince: number;

  constructor(page: PageId, world: ActorWorld) {
    this.page = page;
    this.#world = world;
    this.#audience = new Audience(page, world);
    this.#watch = new DivergenceWatch(page, world);
    this.#idleSince = world.clock.monotonic();
    this.pulse = new PagePulse(this.#idleSince);
  }

  /** Asks for the page. Called once, when the world knows this actor. */
  start(): void {
    this.#world.load(this.page, null);
  }

  get isGone(): boolean {
    return this.#state.tag === 'gone';
  }

  /** About how much memory the page holds. */
  get bytes(): number {
    return pageBytes(this.#audience, this.#live);
  }

  /** How many sockets are on it. */
  get subscribers(): number {
    return this.#audience.size;
  }

  /** Live, and somebody is on it. */
  get isInUse(): boolean {
    return this.#state.tag === 'live' && this.#audience.size > 0;
  }

  get queueLength(): number {
    return this.#state.tag === 'live' ? this.#state.commits.length : 0;
  }

  get isAtRest(): boolean {
    return this.#state.tag === 'live' && this.#state.state.isAtRest;
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
      case 'presence_elsewhere':
        return this.#audience.hearPresence(message.news);
      case 'sync':
        return this.#sync(message.connection, message.since);
      case 'diverged':
        return this.#watch.diverged(this.#audience.get(message.connection), message.seq, message.hash);
      case 'pull':
        return this.#live?.joining.pull(message.connection);
      case 'resume':
        return this.#live?.joining.resume(message.connection);
      case 'loaded':
        return this.#loaded(message.page);
      case 'absent':
        return this.#absent();
      case 'load_slow':
        return this.#sendAway(message.message, message.retryAfterMs);
      case 'load_failed':
        return this.#die('unavailable', message.message, message.retryAfterMs);
      case 'appended':
        this.#live?.commits.appended();
        return this.#afterCommit();
      case 'settled':
        this.#live?.commits.settled(message.entries, message.closed);
        this.#joinAhead();
        return this.#afterCommit();
      case 'displaced':
        return this.#die('unavailable', 'the database was put back; the page is loaded anew', RELOAD_MS);
      case 'snapshot_saved':
        return this.#live?.joining.snapshotSaved(message.snapshot);
      case 'snapshot_failed':
        return this.#live?.state.snapshotFailed();
      case 'told':
        this.#live?.commits.told(message.message);
        return this.#afterCommit();
      case 'head':
        return this.#live?.commits.heardHead(message.at);
      case 'tick':
        this.#live?.commits.seekForeign();
        this.#live?.commits.housekeep();
        if (this.#live) this.pulse.beat(this.#world.clock.monotonic(), this.#live.state.head);
        this.#audience.renewPresence();
        this.#lookAfter();
        return this.rest(false);
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
    this.#lookAfter();
  }

  #lookAfter(): void {
    if (this.#live && this.#audience.size > 0) this.#watch.tell(this.#live.state);
    this.snapshot(false);
  }

  // ── loading ────────────────────────────────────────────────────────────────────────────────────────────────────

  #loaded(loaded: LoadedPage): void {
    assert(this.#state.tag === 'loading', 'a page is loaded once');
    const { waiting } = this.#state;
    const state = new PageState(
      loaded,
      this.#world.clock.now(),
      this.#world.snapshotPolicy,
      this.#world.unpack,
    );
    const commits = new CommitPipeline(this.page, this.#world, state, this.#audience, loaded.closed);
    const joining = new Joining(this.page, this.#world, state, this.#audience, commits.fuse);
    this.#state = { tag: 'live', state, commits, joining, ahead: [] };
    this.#idleSince = this.#world.clock.monotonic();
    for (const request of waiting) this.#subscribe(request);
  }

  /** There is no such page: those who may create it do, the others are told. */
  #absent(): void {
    assert(this.#state.tag === 'loading' && !this.#state.creating, 'a page that was just made exists');
    const { creators, refused } = sortBirths(this.#state.waiting);
    for (const { subscriber, code, message } of refused) this.#audience.refuse(subscriber, code, message);
    if (creators.length === 0) this.#state = { tag: 'gone' };
    else {
      this.#state = { tag: 'loading', waiting: creators, creating: true };
      this.#world.load(this.page, 'blocks');
    }
  }

  /** Nobody is to wait for the load; who comes back may find the page. */
  #sendAway(message: string, retryAfterMs: Millis): void {
    if (this.#state.tag !== 'loading') return;
    const waiting = this.#state.waiting.splice(0);
    for (const { subscriber } of waiting) this.#audience.refuse(subscriber, 'unavailable', message, retryAfterMs); // prettier-ignore
  }

  /** Takes the page out of memory and tells everyone on it; nothing that was acknowledged is lost by that. */
  #die(code: Code, message: string, retryAfterMs: number | null): void {
    for (const { subscriber } of this.#waiting)
      this.#audience.refuse(subscriber, code, message, retryAfterMs);
    this.#audience.refuseAll(code, message, retryAfterMs);
    this.#live?.commits.end();
    this.#state = { tag: 'gone' };
  }

  /** An invariant broke: this actor ends alone; clients subscribe again, and the page is loaded anew. */
  crash(retryAfterMs: Millis): void {
    this.#die('unavailable', 'the page met an error in the server and is loaded anew', retryAfterMs);
  }

  // ── subscribers ────────────────────────────────────────────────────────────────────────────────────────────────

  #subscribe(request: SubscribeRequest): void {
    if (this.#state.tag === 'loading') {
      this.#state.waiting.push(request);
      return;
    }
    const live = this.#live;
    assert(live, 'a page that is gone gets no messages');
    const { subscriber, create, since, at } = request;
    if (create !== null && create !== 'blocks') {
      return this.#audience.refuse(subscriber, 'wrong_model', `the page exists as "blocks", not "${create}"`);
    }
    if (follows(request, live.state)) return live.joining.join(subscriber, since, at);
    // The client has seen more than this copy, or the log of another epoch: read it before answering.
    live.ahead.push({ request, read: live.commits.settle() });
  }

  #joinAhead(): void {
    const live = this.#live;
    if (!live) return;
    const answered = live.ahead.filter(({ read }) => read <= live.commits.settledReads);
    live.ahead = live.ahead.filter(({ read }) => read > live.commits.settledReads);
    for (const { request } of answered) {
      // Still so after reading the log: a position of another incarnation. It gets the page anew.
      live.joining.join(request.subscriber, follows(request, live.state) ? request.since : null, request.at);
    }
  }

  #unsubscribe(connection: number): void {
    const others = (request: SubscribeRequest) => request.subscriber.connection !== connection;
    if (this.#state.tag === 'loading') this.#state.waiting = this.#state.waiting.filter(others);
    else if (this.#state.tag === 'live') {
      this.#state.ahead = this.#state.ahead.filter(({ request }) => others(request));
      this.#audience.remove(connection);
      this.#state.joining.forget(connection);
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
    this.#audience.takeAway(subscriber);
  }

  #sync(connection: number, since: Seq): void {
    const subscriber = this.#audience.get(connection);
    const live = this.#live;
    if (subscriber && live && since < live.state.head) live.joining.start(subscriber, since);
  }

  /** The frame of everyone whose presence changed since the last call. */
  takePresence(): Uint8Array | undefined {
    return this.#audience.takePresence();
  }

  // ── commits, snapshots and the end ─────────────────────────────────────────────────────────────────────────────

  /** What the commit loop is to append now; undefined when there is nothing or an answer is outstanding. */
  takeBatch(): PageBatch | undefined {
    return this.#live?.commits.takeBatch();
  }

  /** Looks whether commits take too long; how long the oldest change has waited, null when none does. */
  checkStall(now: Millis): Millis | null {
    return this.#live?.commits.fuse.check(now) ?? null;
  }

  /** Tells of what is queued, if the fuse has blown. */
  tellVolatile(): void {
    this.#live?.commits.fuse.tell();
  }

  /** The append lost its race (`lost`) or its outcome is unknown. */
  appendUnsettled(lost: boolean): void {
    this.#live?.commits.unsettled(lost);
  }

  /** Stores a snapshot when one is due, or (`force`) when there is anything new. */
  snapshot(force: boolean): void {
    const state = this.#live?.state;
    const taken = state?.takeSnapshot(this.#world.clock.now(), force);
    if (taken) this.#world.saveSnapshot(this.page, taken);
  }

  /** Gives up the decoded document when nobody has written for a while, or at once (`urgent`: memory is short). */
  rest(urgent: boolean): void {
    if (!this.#live || this.#live.commits.length > 0) return;
    // Too much was written since the last snapshot to replay it: the next call finds the new one.
    if (!this.#live.state.rest(this.#world.clock.now(), urgent)) this.snapshot(true);
  }

  /** Leaves memory, unless somebody came back or something is left to do. */
  evict(): boolean {
    if (this.idleMs(Infinity) === 0) return false;
    this.#state = { tag: 'gone' };
    return true;
  }
}
