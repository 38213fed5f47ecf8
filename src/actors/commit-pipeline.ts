/**
 * The way of a change through a page. The order of effects is the promise; each step only after the one before:
 *
 *   1 check (state + queue)   2 queue   3 commit (compare-and-swap on the head)   4 apply, in seq order
 *   5 tell: CHANGES to everyone on the page, the sender included; that echo is the acknowledgement
 *
 *      idle ──takeBatch──▶ committing ──appended──▶ idle
 *        └───────────────────▶ settling ◀── lost its race, or outcome unknown
 *                                 └── settled: what the log holds leaves the queue ──▶ idle
 *
 * While it settles nothing is handed to the database: (replica, n) enters the log exactly once.
 */
import { assert } from '../base/assert.ts';
import { TokenBucket } from '../base/token-bucket.ts';
import type { LogEntry, StoredChange } from '../persistence/log-store.ts';
import { isMalformed } from '../protocol/decode.ts';
import { type PageId, type ReplicaId, seq, type Seq, SERVER_REPLICA, SERVER_USER } from '../protocol/ids.ts';
import { admitChange } from './admission.ts';
import type { Audience, Rejection } from './audience.ts';
import { ChangeQueue } from './change-queue.ts';
import type { PageState } from './page-state.ts';
import { changesFrames } from './recent-log.ts';
import type { ReplicaRecord } from './replicas.ts';
import type { ActorWorld, PageMessage, Subscriber } from './world.ts';

/** Sockets are numbered from 1. */
const NO_CONNECTION = 0;

type ChangeMessage = PageMessage & { type: 'change' };

export class CommitPipeline {
  readonly #page: PageId;
  readonly #world: ActorWorld;
  readonly #state: PageState;
  readonly #audience: Audience;
  readonly #queue = new ChangeQueue();
  readonly #rate: TokenBucket;
  #closed: boolean;
  #phase: 'idle' | 'committing' | 'settling' = 'idle';
  #settleWanted = false;
  #readsBegun = 0;

  constructor(page: PageId, world: ActorWorld, state: PageState, audience: Audience, closed: boolean) {
    this.#page = page;
    this.#world = world;
    this.#state = state;
    this.#audience = audience;
    this.#closed = closed;
    const { pageChangesPerSecond } = world.limits;
    this.#rate = new TokenBucket(pageChangesPerSecond, pageChangesPerSecond, world.clock.monotonic());
  }

  get length(): number {
    return this.#queue.length;
  }

  get bytes(): number {
    return this.#queue.bytes;
  }

  // ── 1 check, 2 queue ───────────────────────────────────────────────────────────────────────────────────────────

  offer(subscriber: Subscriber, message: ChangeMessage): void {
    const { clock, limits, counts } = this.#world;
    const { n, hlc, ops, connection } = message;
    const replica = message.replica ?? subscriber.replica;
    const logged = this.#state.replica(replica);
    const now = clock.now();
    const verdict = admitChange(
      {
        user: subscriber.user,
        role: subscriber.role,
        replica,
        n,
        hlc,
        bytes: ops.length,
        logged,
        queued: this.#queue.lastOf(replica),
        queueLength: this.#queue.length,
        queueBytes: this.#queue.bytes,
        closed: this.#closed,
        latestMs: this.#state.latestMs,
        now,
        userWaitMs: message.userWaitMs,
        takePageRate: () => this.#rate.take(clock.monotonic()),
      },
      limits,
    );
    switch (verdict.verdict) {
      case 'acknowledge':
        counts.change('duplicate');
        return this.#audience.acknowledge(subscriber, logged!.lastN, logged!.lastSeq, replica);
      case 'ignore':
        return counts.change('duplicate');
      case 'refuse':
        return this.#audience.reject(connection, n, replica, verdict);
      case 'accept':
        return this.#enqueue(subscriber, replica, message, now);
    }
  }

  #enqueue({ user: author }: Subscriber, replica: ReplicaId, message: ChangeMessage, now: number): void {
    const { n, hlc, connection } = message;
    const { model } = this.#state;
    // A copy of its own: the message is a view into a batch that would otherwise stay in memory with it.
    const body = message.ops.slice();
    const decoded = model.decode(body);
    if (isMalformed(decoded)) {
      return this.#audience.reject(connection, n, replica, { code: 'malformed', message: decoded.malformed });
    }
    const refusal = model.admit(decoded, { ms: hlc.ms, counter: hlc.counter, replica }, author);
    if (refusal) {
      this.#resetModelQueue();
      return this.#audience.reject(connection, n, replica, refusal);
    }
    const change: StoredChange = {
      replica,
      n,
      hlcMs: hlc.ms,
      hlcCounter: hlc.counter,
      author,
      at: now,
      body,
    };
    this.#queue.push({ change, decoded, connection, since: this.#world.clock.monotonic() });
    this.#world.counts.change('accepted');
    if (this.#phase === 'idle') this.#world.markDirty(this.#page);
  }

  /** Queues a change of the server's own, if one is due: it goes the way of all changes, but nobody is to be asked. */
  housekeep(): void {
    const { clock } = this.#world;
    const now = clock.now();
    const body = this.#closed ? undefined : this.#state.model.dueHousekeeping(now);
    if (!body || this.#queue.lastOf(SERVER_REPLICA)) return;
    const n = (this.#state.replica(SERVER_REPLICA)?.lastN ?? 0) + 1;
    const change = {
      replica: SERVER_REPLICA,
      n,
      hlcMs: now,
      hlcCounter: 0,
      author: SERVER_USER,
      at: now,
      body,
    };
    const decoded = this.#state.model.decode(body);
    this.#queue.push({ change, decoded, connection: NO_CONNECTION, since: clock.monotonic() });
    if (this.#phase === 'idle') this.#world.markDirty(this.#page);
  }

  #resetModelQueue(): void {
    this.#state.model.resetQueue(
      this.#queue.all.map(({ decoded, change }) => {
        const { hlcMs: ms, hlcCounter: counter, replica, author } = change;
        return { decoded, stamp: { ms, counter, replica }, author };
      }),
    );
  }

  // ── 3 commit, 4 apply, 5 tell ──────────────────────────────────────────────────────────────────────────────────

  /** What to append now, and on which head; nothing while a commit or a read of the log is under way. */
  takeBatch(): { readonly known: Seq; readonly changes: StoredChange[] } | undefined {
    if (this.#phase !== 'idle' || this.#queue.length === 0) return undefined;
    this.#phase = 'committing';
    return { known: this.#state.head, changes: this.#queue.takeBatch() };
  }

  appended(): void {
    assert(this.#phase === 'committing', 'an append is answered once');
    const { clock, counts } = this.#world;
    const now = clock.now();
    const monotonic = clock.monotonic();
    const told: LogEntry[] = [];
    for (const { change, decoded, connection, since } of this.#queue.commit()) {
      const entry = entryOf(change, seq(this.#state.head + 1));
      this.#audience.notify(connection, entry.n, entry.replica, this.#state.apply(entry, decoded, now));
      counts.commitMs(monotonic - since);
      told.push(entry);
    }
    counts.committed(told.length);
    this.#publish(told);
    this.#resume();
  }

  #publish(entries: readonly LogEntry[]): void {
    for (const frame of changesFrames(this.#page, entries)) this.#world.publish(this.#page, frame);
  }

  #resume(): void {
    this.#phase = 'idle';
    this.#resetModelQueue();
    if (this.#settleWanted) this.settle();
    else if (this.#queue.length > 0) this.#world.markDirty(this.#page);
  }

  // ── settling ───────────────────────────────────────────────────────────────────────────────────────────────────

  /** The append lost its race, or its outcome is unknown: the log decides. */
  unsettled(): void {
    this.#phase = 'idle';
    this.settle();
  }

  /**
   * Reads the log after our head: now, or when the commit or the read under way is answered. Returns the number of the
   * read that begins after this call; `settledReads` reaches it when it has been answered.
   */
  settle(): number {
    if (this.#phase !== 'idle') {
      this.#settleWanted = true;
      return this.#readsBegun + 1;
    }
    this.#settleWanted = false;
    this.#phase = 'settling';
    this.#world.settle(this.#page, this.#state.head);
    return ++this.#readsBegun;
  }

  /** How many reads of the log have been answered. */
  get settledReads(): number {
    return this.#readsBegun - (this.#phase === 'settling' ? 1 : 0);
  }

  /** The log after our head: applies it, then takes out of the queue what is there or can no longer follow. */
  settled(entries: readonly LogEntry[], closed: boolean): void {
    assert(this.#phase === 'settling', 'a read of the log is answered once');
    this.#closed = closed;
    const now = this.#world.clock.now();
    for (const entry of entries) this.#state.applyEntry(entry, now);
    this.#publish(entries);
    const lastN = new Map<ReplicaId, number>();
    this.#queue.retain(({ change, connection }) => {
      const { replica, n } = change;
      const logged = this.#state.replica(replica);
      if (logged?.owner === change.author && n <= logged.lastN) return false;
      const rejection = this.#rejectionAfterSettling(
        change,
        logged,
        lastN.get(replica) ?? logged?.lastN ?? 0,
      );
      if (rejection) this.#audience.reject(connection, n, replica, rejection);
      else lastN.set(replica, n);
      return !rejection;
    });
    this.#resume();
  }

  /** What was let in once is refused now only if it cannot follow: not for role, clock or limits. */
  #rejectionAfterSettling(change: StoredChange, logged: ReplicaRecord | undefined, lastN: number): Rejection | undefined {
    if (this.#closed) return { code: 'page_closed', message: 'the page went to the trash' };
    if (logged && logged.owner !== change.author) {
      return { code: 'not_yours', message: 'this replica id belongs to another user; draw a new one' };
    }
    if (change.n === lastN + 1) return undefined;
    return { code: 'out_of_order', message: `n is ${change.n}; this replica’s next is ${lastN + 1}` };
  } // prettier-ignore
}

/** Field by field: a spread of an object costs a microsecond here. */
function entryOf(change: StoredChange, at: Seq): LogEntry {
  const { replica, n, hlcMs, hlcCounter, author, body } = change;
  return { seq: at, replica, n, hlcMs, hlcCounter, author, at: change.at, body };
}
