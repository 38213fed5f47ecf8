/**
 * The way of a change through a page. The order of effects is the promise; each step only after the one before:
 *
 *   1 check (state + queue)   2 queue   3 commit (compare-and-swap on the head)   4 apply, in seq order
 *   5 tell: CHANGES to everyone on the page, the sender included; that echo is the acknowledgement
 *
 *      idle ──takeBatch──▶ committing ──appended──▶ idle
 *        │                    └──another node's changes are heard──▶ overtaken ──lost, the first time──▶ idle
 *        └───────────────────▶ settling ◀── lost its race, or outcome unknown
 *                                 └── settled: what the log holds leaves the queue ──▶ idle
 *
 * While it settles nothing is handed to the database: (replica, n) enters the log exactly once.
 *
 * What other nodes tell before its commit (see `fuse.ts`) is queued here as foreign: nothing behind it is appended until
 * the log has it, or it is withdrawn. If the log answers and lacks it for a second, its node is taken for lost and this
 * one appends it; (replica, n) makes that safe.
 */
import { assert } from '../base/assert.ts';
import type { Millis } from '../base/time.ts';
import { TokenBucket } from '../base/token-bucket.ts';
import type { LogEntry, PageHeadAt, StoredChange } from '../persistence/log-store.ts';
import { isMalformed } from '../protocol/decode.ts';
import { type PageId, type ReplicaId, seq, type Seq, SERVER_REPLICA } from '../protocol/ids.ts';
import type { WireChange, WireName } from '../protocol/messages.ts';
import { admitChange } from './admission.ts';
import type { Audience } from './audience.ts';
import { countCommits } from './commit-counts.ts';
import { ChangeQueue, type QueuedChange } from './change-queue.ts';
import { Fuse } from './fuse.ts';
import { admitForeign, behindHead } from './hearing.ts';
import { HeldBack } from './held-back.ts';
import type { PageState } from './page-state.ts';
import { serverChange } from './server-change.ts';
import { notTheKnown, reviewQueue } from './settling.ts';
import { committedFrames } from './telling.ts';
import { withdrawnFrame } from './volatile-frames.ts';
import { fromWire, keyOf, logEntry, toName } from './wire-change.ts';
import type { ActorWorld, PageBatch, PageMessage, Subscriber, ToldMessage } from './world.ts';

/** Sockets are numbered from 1. */
const NO_CONNECTION = 0;

type ChangeMessage = PageMessage & { type: 'change' };

export class CommitPipeline {
  readonly #page: PageId;
  readonly #world: ActorWorld;
  readonly #state: PageState;
  readonly #audience: Audience;
  readonly #queue: ChangeQueue;
  readonly #rate: TokenBucket;
  #closed: boolean;
  readonly fuse: Fuse;
  #phase: 'idle' | 'committing' | 'overtaken' | 'settling' = 'idle';
  /** Its last append, too, had lost. */
  #lostBefore = false;
  #settleWanted = false;
  #readsBegun = 0;
  #headBefore: Seq;
  /** When the changes in flight were handed to the database. */
  #handedAt: Millis = 0;
  readonly #heldBack = new HeldBack();
  /** Withdrawals that came while the log was being asked. */
  #withdrawals: WireName[] = [];

  constructor(page: PageId, world: ActorWorld, state: PageState, audience: Audience, closed: boolean) {
    this.#page = page;
    this.#world = world;
    this.#state = state;
    this.#audience = audience;
    this.#closed = closed;
    this.#headBefore = state.head;
    this.#queue = new ChangeQueue(world.backlog);
    this.fuse = new Fuse(page, world, this.#queue);
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
    const replica = message.replica ?? subscriber.replica;
    const read = this.#heldBack.readOf(replica);
    if (read === undefined) this.#offer(subscriber, replica, message, false);
    else this.#holdBack(subscriber, replica, message, read);
  }

  /** `isSure`: the log was read after the change came. */
  #offer(subscriber: Subscriber, replica: ReplicaId, message: ChangeMessage, isSure: boolean): void {
    const { clock, limits, counts } = this.#world;
    const [{ n, hlc, ops, connection, userWaitMs }, { user, role }] = [message, subscriber];
    const [logged, now] = [this.#state.replica(replica), clock.now()];
    const verdict = admitChange({
      user, role, replica, n, hlc, bytes: ops.length, logged, now, userWaitMs,
      queued: this.#queue.lastOf(replica), queueLength: this.#queue.length, queueBytes: this.#queue.bytes,
      backlogBytes: this.#world.backlog.bytes, closed: this.#closed, latestMs: this.#state.latestMs,
      isBehindRefusal: this.#audience.isBehindRefusal(subscriber, n, replica),
      takePageRate: () => this.#rate.take(clock.monotonic()),
    }, limits); // prettier-ignore
    if (verdict.verdict === 'accept') return this.#enqueue(subscriber, replica, message, now, isSure);
    if (verdict.verdict === 'refuse') return this.#audience.reject(connection, n, replica, verdict);
    const waiting = verdict.verdict === 'ignore' ? this.#queue.find(replica, n) : undefined;
    const other = notTheKnown({ replica, n, ops }, waiting, this.#state);
    if (other) return this.#audience.reject(connection, n, replica, other);
    counts.change('duplicate', 'unread');
    this.#audience.accepted(subscriber, n, replica);
    if (waiting) waiting.connection = connection;
    else this.#audience.acknowledge(subscriber, logged!.lastN, logged!.lastSeq, replica);
  }

  #enqueue(subscriber: Subscriber, replica: ReplicaId, message: ChangeMessage, now: number, isSure: boolean): void {
    const { n, hlc, connection } = message;
    const [{ user: author }, { model }] = [subscriber, this.#state];
    // A copy of its own: the message is a view into a batch that would otherwise stay in memory with it.
    const body = message.ops.slice();
    const decoded = model.decode(body);
    if (isMalformed(decoded)) {
      return this.#audience.reject(connection, n, replica, { code: 'malformed', message: decoded.malformed });
    }
    const refusal = model.admit(decoded, { ms: hlc.ms, counter: hlc.counter, replica }, author);
    if (refusal) {
      // Another node may have written what it stands on: the log is asked first.
      if (refusal.code === 'missing' && !isSure) return this.#holdBack(subscriber, replica, message, this.settle());
      return this.#audience.reject(connection, n, replica, refusal, model.kindOf(decoded));
    }
    const { ms: hlcMs, counter: hlcCounter } = hlc;
    this.#push({ replica, n, hlcMs, hlcCounter, author, at: now, body }, decoded, connection);
    this.#world.counts.change('accepted', model.kindOf(decoded));
    this.#audience.accepted(subscriber, n, replica);
  } // prettier-ignore

  #holdBack(subscriber: Subscriber, replica: ReplicaId, message: ChangeMessage, read: number): void {
    const full = this.#heldBack.hold({ subscriber, replica, message, read });
    if (full) this.#audience.reject(message.connection, message.n, replica, full);
  }

  #push(change: StoredChange, decoded: unknown, connection: number, foreign = false): void {
    const since = this.#world.clock.monotonic();
    this.#queue.push({ change, decoded, connection, since, foreign, absentSince: null, handed: false });
    if (this.#phase === 'idle') this.#world.markDirty(this.#page);
    this.fuse.queued();
  }

  /** Queues a change of the server's own, if one is due: it goes the way of all changes. */
  housekeep(): void {
    const now = this.#world.clock.now();
    const body = this.#closed ? undefined : this.#state.dueHousekeeping(now);
    if (!body || this.#queue.lastOf(SERVER_REPLICA)) return;
    const n = (this.#state.replica(SERVER_REPLICA)?.lastN ?? 0) + 1;
    this.#push(serverChange(n, now, body), this.#state.model.decode(body), NO_CONNECTION);
  }

  /** Nothing is left behind in the shard's accounts. */
  end(): void {
    this.#queue.retain(() => false);
  }

  // ── from other nodes ───────────────────────────────────────────────────────────────────────────────────────────

  /** CHANGES or COMMITTED of another node. */
  told(message: ToldMessage): void {
    if (message.firstSeq === 0)
      return message.kind === 'changes'
        ? this.#heardVolatile(message.changes)
        : this.#withdrawn(message.changes);
    const entries = behindHead(message, this.#state.head, this.#queue);
    // A gap; or another node has read in the log what we are appending: then the answer comes, and has it.
    if (!entries || (this.#phase === 'committing' && this.#queue.startsWith(entries[0])))
      return void this.settle();
    if (entries.length === 0) return;
    this.#absorb(entries);
    if (this.#phase === 'idle') this.#resume();
    // The append that is under way finds another head.
    else if (this.#phase === 'committing') this.#phase = 'overtaken';
  }

  /** The head of the log as the store has it; ours of the time before was in the log before that was asked for. */
  heardHead({ epoch, head, closed }: PageHeadAt): void {
    const wentBack = epoch !== this.#state.epoch || head < this.#headBefore;
    this.#headBefore = this.#state.head;
    const hasMoved = wentBack || head > this.#state.head || closed !== this.#closed;
    if (hasMoved && this.#phase === 'idle') this.settle();
  }

  /** Changes that another node told before their commit: told here too if they can follow, and waited for. */
  #heardVolatile(changes: readonly WireChange[]): void {
    if (this.#closed) return;
    // What is queued here comes first, here and for those who hear of both.
    this.fuse.blow();
    this.fuse.tell();
    const { limits, backlog } = this.#world;
    const room = () => this.#queue.length < limits.pageQueueMax && backlog.bytes < limits.backlogBytesMax;
    for (const { ops, ...wire } of changes) {
      const own = { ...wire, ops: ops.slice() };
      const decoded = room() ? admitForeign(own, this.#queue, this.#state) : undefined;
      if (decoded !== undefined) this.#push(fromWire(own), decoded, NO_CONNECTION, true);
    }
    this.fuse.tellHere();
    if (this.#queue.length === 0) this.fuse.mend();
  }

  #withdrawn(names: readonly WireName[]): void {
    if (this.#phase !== 'idle') return void (this.#withdrawals = [...this.#withdrawals, ...names]);
    const gone = new Set(names.map(keyOf));
    this.#reconsider(({ change, foreign }) => foreign && gone.has(keyOf(toName(change))));
    if (this.#queue.length > 0) this.#world.markDirty(this.#page);
  }

  #resetModelQueue(): void {
    // A page at rest has nothing queued and need not be woken to hear it.
    if (this.#queue.length === 0 && this.#state.isAtRest) return;
    this.#state.model.resetQueue(this.#queue.contents());
  }

  // ── 3 commit, 4 apply, 5 tell ──────────────────────────────────────────────────────────────────────────────────

  /** What to append now, and on which head; nothing while a commit or a read of the log is under way. */
  takeBatch(): PageBatch | undefined {
    if (this.#phase !== 'idle') return undefined;
    const { changes, again } = this.#queue.takeBatch();
    if (changes.length === 0) return undefined;
    this.#phase = 'committing';
    this.#handedAt = this.#world.clock.monotonic();
    if (again > 0) this.#world.counts.retried(again);
    const { epoch, head: known } = this.#state;
    return { epoch, known, changes };
  }

  appended(): void {
    assert(this.#phase === 'committing', 'an append is answered once');
    this.#lostBefore = false;
    const [now, { lostOps }] = [this.#world.clock.now(), this.#state.model];
    const entries: LogEntry[] = [];
    const { committed, told } = this.#queue.commit();
    let isAsLaid = this.#queue.length > 0;
    for (const { change, decoded, connection } of committed) {
      const entry = logEntry(change, seq(this.#state.head + 1));
      const notices = this.#state.apply(entry, decoded, now);
      if (notices.length > 0) this.#audience.notify(connection, entry.n, entry.replica, notices);
      isAsLaid &&= notices.length === 0;
      entries.push(entry);
    }
    countCommits(this.#world, committed, this.#handedAt, this.#state.model.lostOps - lostOps);
    this.fuse.mend();
    for (const frame of committedFrames(this.#page, entries, (i) => i < told)) this.fuse.everywhere(frame);
    if (!isAsLaid || !this.#state.model.dequeue(committed)) this.#resetModelQueue();
    this.#resume();
  }

  #resume(): void {
    this.#phase = 'idle';
    if (this.#queue.length === 0) this.fuse.mend();
    const withdrawals = this.#withdrawals.splice(0);
    if (withdrawals.length > 0) this.#withdrawn(withdrawals);
    if (this.#settleWanted) this.settle();
    else if (this.#queue.length > 0) this.#world.markDirty(this.#page);
  }

  // ── settling ───────────────────────────────────────────────────────────────────────────────────────────────────

  /**
   * The append lost its race (`lost`), or its outcome is unknown: the log decides. What was overtaken is not asked for: it goes with
   * the very next statement. Lost again, it is: reading leaves the mark of who is always too late.
   */
  unsettled(lost: boolean): void {
    const goesOn = lost && this.#phase === 'overtaken' && !this.#lostBefore;
    this.#lostBefore = true;
    this.#phase = 'idle';
    if (goesOn) this.#resume();
    else this.settle();
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
    this.#world.settle(this.#page, this.#state.epoch, this.#state.head);
    return ++this.#readsBegun;
  }

  /** How many reads of the log have been answered. */
  get settledReads(): number {
    return this.#readsBegun - (this.#phase === 'settling' ? 1 : 0);
  }

  /** Asks the log for what other nodes have told and not committed yet. */
  seekForeign(): void {
    if (this.#queue.hasForeign && this.#phase === 'idle') this.settle();
  }

  /** The log after our head: applies it, then takes out of the queue what is there or can no longer follow. */
  settled(entries: readonly LogEntry[], closed: boolean): void {
    assert(this.#phase === 'settling', 'a read of the log is answered once');
    this.#closed = closed;
    // Some may have been heard meanwhile.
    this.#absorb(entries.filter((entry) => entry.seq > this.#state.head));
    this.#queue.adoptAbsent(this.#world.clock.monotonic());
    this.#resume();
    for (const { subscriber, replica, message } of this.#heldBack.take(this.settledReads))
      if (this.#audience.get(message.connection) === subscriber)
        this.#offer(subscriber, replica, message, true);
  }

  /** Applies and tells what follows our head in the log, and looks at the queue anew. */
  #absorb(entries: readonly LogEntry[]): void {
    const now = this.#world.clock.now();
    const queued = this.#queue.byName();
    for (const entry of entries) this.#state.applyEntry(entry, now);
    const known = (i: number) => queued.get(keyOf(toName(entries[i]!)));
    for (const frame of committedFrames(this.#page, entries, (i) => known(i)?.told ?? false)) {
      this.#world.publish(this.#page, frame);
    }
    // An append of ours whose outcome was unknown: nobody has told the other nodes.
    const ours = entries.some((_, i) => known(i)?.foreign === false);
    if (entries.some((_, i) => known(i)?.foreign !== false)) this.#world.othersWrote(this.#page);
    if (ours) for (const frame of committedFrames(this.#page, entries, () => false)) this.#world.tellNodes(this.#page, frame);
    this.#reconsider(() => false, entries);
  } // prettier-ignore

  /** Looks at each queued change anew; tells of those that the page has heard of and that will not come. */
  #reconsider(withdrawn: (queued: QueuedChange) => boolean, entries: readonly LogEntry[] = []): void {
    if (this.#queue.length === 0) return;
    const { length } = this.#queue;
    const facts = { state: this.#state, closed: this.#closed, withdrawn, entries };
    const { own, foreign } = reviewQueue(this.#queue, this.#audience, facts);
    if (this.#queue.length < length) this.#resetModelQueue();
    // Our own are withdrawn everywhere; another node's only here.
    if (own.length > 0) this.fuse.everywhere(withdrawnFrame(this.#page, own));
    if (foreign.length > 0) this.#world.publish(this.#page, withdrawnFrame(this.#page, foreign));
  }
}
