/**
 * Group commit without a timer: one append at a time for the whole shard, of all pages that are dirty when the database
 * is free. Load makes batches, idleness makes none.
 *
 *      dirty pages ──▶ one statement ──▶ appended:  the page applies and tells
 *                            │           missing:   its head moved or it closed ─┐
 *                            └──failed── outcome unknown: all of its pages ──────┴─▶ settle: read the log, decide
 *
 * After a failure batches are halved, so that one bad page cannot hold the others, and grow again with every success; and
 * each next one waits a little longer. Reading the log is tried for as long as it takes (`circuit-breaker.ts`); meanwhile
 * the page's queue is bounded.
 *
 * Several nodes on one page: whoever has appended would always be first again, since it knows the new head before the
 * others have read it. So it leaves them a turn (`turns.ts`); its own changes gather meanwhile.
 */
import { backoffMs, type Random, randomFloat } from '../base/random.ts';
import type { Clock, Millis, Timer } from '../base/time.ts';
import type { Log } from '../base/log.ts';
import type { AppendBatch, LogEntry, LogStore } from '../persistence/log-store.ts';
import type { EpochId, PageId, Seq } from '../protocol/ids.ts';
import { CircuitBreaker } from './circuit-breaker.ts';
import { PageDamagedError } from './page-damage.ts';
import { Turns } from './turns.ts';
import type { PageBatch } from './world.ts';

/** `owner` is who asked: an answer that comes after its end must not reach the one that took its place. */
export interface OwnedBatch<Owner> extends PageBatch {
  readonly owner: Owner;
}

export interface CommitLoopOptions<Owner> {
  readonly store: LogStore;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** What a page wants appended now; undefined if it has nothing, or waits for an answer. */
  takeBatch(page: PageId): OwnedBatch<Owner> | undefined;
  /** Whether nobody waits for the answer any more. */
  isGone(owner: Owner): boolean;
  appended(owner: Owner): void;
  /** The outcome for this page is negative (`lost`) or unknown: it asks to settle, or goes on. */
  unsettled(owner: Owner, lost: boolean): void;
  settled(owner: Owner, entries: LogEntry[], closed: boolean): void;
  /** The log lacks changes, however often it is read, or takes none: this page cannot go on. */
  damaged(owner: Owner, error: PageDamagedError): void;
  /** Instead of `settled`: this is not the log that the page was made from; see `displaced` of the actor. */
  displaced(owner: Owner): void;
  /** Called after answers were given, so that what they caused can be sent at once. */
  turnEnded(): void;
  batchDone(done: BatchDone): void;
}

/** One append statement, as the metrics count it. */
export interface BatchDone {
  readonly changes: number;
  readonly ms: Millis;
  /** Pages whose head had moved; null: the statement failed. */
  readonly conflicts: number | null;
}

interface Sent<Owner> {
  readonly batch: AppendBatch;
  readonly owner: Owner;
}

const PAGES_MAX = 1000;
const CHANGES_MAX = 5000;
const BYTES_MAX = 16 << 20;
const READ_CHANGES = 2000;
const READ_BYTES = 8 << 20;
const RETRY_FIRST_MS = 50;
/** One question in so long is no load, and when the database is back people are not kept waiting. */
const RETRY_MAX_MS = 500;
/** So often a log that lacks a change is read again before it is believed. */
const HOLE_READS = 4;
/** Classes of SQLSTATE that speak of the data: the same append will never succeed. */
const ABOUT_DATA = /^2[23]/;

export class CommitLoop<Owner> {
  readonly #options: CommitLoopOptions<Owner>;
  readonly #reads: CircuitBreaker;
  readonly #dirty = new Set<PageId>();
  /** Appended to just now, and written by other nodes too: it is their turn, until then. */
  readonly #yielding = new Map<PageId, Timer>();
  readonly #turns = new Turns();
  #inFlight = false;
  #isPausing = false;
  #pagesMax = PAGES_MAX;
  #failures = 0;
  /** What reading a log after a lost race took, the last time. */
  #readMs: Millis = 0;
  #displacedFrom: EpochId | undefined;

  constructor(options: CommitLoopOptions<Owner>) {
    this.#options = options;
    this.#reads = new CircuitBreaker(options.clock, options.random, RETRY_FIRST_MS, RETRY_MAX_MS);
  }

  markDirty(page: PageId): void {
    this.#dirty.add(page);
  }

  /** Starts an append if the database is free and a page is dirty. Call at the end of each turn. */
  pump(): void {
    if (this.#inFlight || this.#isPausing || this.#dirty.size === 0) return;
    const sent: Sent<Owner>[] = [];
    let changes = 0;
    let bytes = 0;
    for (const page of this.#dirty) {
      if (this.#yielding.has(page)) continue;
      this.#dirty.delete(page);
      const taken = this.#options.takeBatch(page);
      if (!taken) continue;
      const { owner, epoch, known } = taken;
      sent.push({ owner, batch: { page, epoch, known, changes: taken.changes } });
      changes += taken.changes.length;
      for (const { body } of taken.changes) bytes += body.length;
      if (sent.length >= this.#pagesMax || changes >= CHANGES_MAX || bytes >= BYTES_MAX) break;
    }
    if (sent.length > 0) void this.#append(sent, changes);
  }

  async #append(sent: readonly Sent<Owner>[], changes: number): Promise<void> {
    const { store, clock, log, batchDone } = this.#options;
    this.#inFlight = true;
    const started = clock.monotonic();
    let appended: ReadonlyMap<PageId, boolean> | undefined;
    try {
      appended = await store.append(sent.map(({ batch }) => batch));
      this.#failures = 0;
      this.#pagesMax = Math.min(PAGES_MAX, this.#pagesMax * 2);
    } catch (error) {
      // The outside world: nobody knows what was committed. The log will tell; the batch is halved.
      log.warn({ error: String(error), pages: sent.length, changes }, 'an append failed; reading the log');
      this.#failed(sent, error);
    }
    const conflicts = appended ? sent.length - appended.size : null;
    batchDone({ changes, ms: clock.monotonic() - started, conflicts });
    this.#inFlight = false;
    for (const { batch, owner } of sent) {
      const isWanted = appended?.get(batch.page);
      if (isWanted === undefined) {
        if (appended) this.#turns.lost(batch.page, clock.monotonic());
        this.#options.unsettled(owner, appended !== undefined);
      } else {
        const turnMs = this.#turns.won(batch.page, isWanted, this.#readMs, clock.monotonic());
        if (turnMs > 0) this.#yield(batch.page, turnMs);
        this.#options.appended(owner);
      }
    }
    this.#options.turnEnded();
  }

  /** A database that is going down is not to be hammered; but while halving looks for a bad page the others wait little. */
  #failed(sent: readonly Sent<Owner>[], error: unknown): void {
    const { clock, random, damaged } = this.#options;
    const [{ batch, owner }] = sent as readonly [Sent<Owner>];
    const isAlone = sent.length === 1;
    this.#failures = isAlone ? this.#failures + 1 : 1;
    this.#pagesMax = Math.max(1, Math.floor(sent.length / 2));
    this.#isPausing = true;
    clock.after(backoffMs(random, this.#failures - 1, RETRY_FIRST_MS, RETRY_MAX_MS), () => {
      this.#isPausing = false;
      this.pump();
    });
    const { code } = error as { code?: unknown };
    if (!isAlone || typeof code !== 'string' || !ABOUT_DATA.test(code)) return;
    const why = `the database takes nothing after change ${batch.known}: ${String(error)}`;
    damaged(owner, new PageDamagedError(batch.known + 1, why));
  }

  /** Leaves the page to other nodes for that long, and then some. */
  #yield(page: PageId, turnMs: Millis): void {
    const { clock, random } = this.#options;
    const timer = clock.after(turnMs * (1 + randomFloat(random)), () => {
      this.#yielding.delete(page);
      this.pump();
    });
    this.#yielding.set(page, timer);
  }

  /** Changes of other nodes are in the page: they have had their turn. */
  othersWrote(page: PageId): void {
    if (!this.#turns.heard(page, this.#options.clock.monotonic())) return;
    this.#yielding.get(page)?.cancel();
    this.#yielding.delete(page);
  }

  /** Reads the log of that epoch after `known` until that succeeds, then answers; no longer than its owner lives. */
  settle(page: PageId, epoch: EpochId, known: Seq, owner: Owner): void {
    void this.#settle(page, epoch, known, owner);
  }

  async #settle(page: PageId, epoch: EpochId, known: Seq, owner: Owner): Promise<void> {
    const { clock, random, log } = this.#options;
    const wants = this.#turns.reads(page);
    const started = clock.monotonic();
    const isWanted = () => !this.#options.isGone(owner);
    for (let attempt = 0, holes = 0; await this.#reads.enter(isWanted); attempt++) {
      try {
        const found = await this.#readAll(page, epoch, known, wants);
        this.#reads.passed();
        if (attempt === 0) this.#readMs = clock.monotonic() - started;
        if (found) this.#options.settled(owner, found.entries, found.closed);
        else this.#displaced(epoch, owner);
        return this.#options.turnEnded();
      } catch (error) {
        if (error instanceof PageDamagedError) {
          this.#reads.passed();
          if (holes++ < HOLE_READS) {
            const delayMs = backoffMs(random, holes - 1, RETRY_FIRST_MS, RETRY_MAX_MS);
            await new Promise<void>((resolve) => clock.after(delayMs, resolve));
            continue;
          }
          this.#options.damaged(owner, error);
          return this.#options.turnEnded();
        }
        // The outside world: tried again. Said once in a while, not at every try.
        this.#reads.failed();
        if (attempt % 10 === 0)
          log.warn({ page, attempt, error: String(error) }, 'the log cannot be read; trying again');
      }
    }
  }

  #displaced(epoch: EpochId, owner: Owner): void {
    if (this.#displacedFrom !== epoch)
      this.#options.log.warn({ epoch }, 'the database is not the one it was: pages are loaded anew');
    this.#displacedFrom = epoch;
    this.#options.displaced(owner);
  }

  /** The log after `known`; undefined if it is another one, which is known to all nodes then. */
  async #readAll(page: PageId, epoch: EpochId, known: Seq, wants: boolean): Promise<{ entries: LogEntry[]; closed: boolean } | undefined> {
    const { store } = this.#options;
    const entries: LogEntry[] = [];
    for (let after = known; ;) {
      const part = await store.readTail(page, after, READ_CHANGES, READ_BYTES, wants);
      if (part?.epoch !== epoch) return undefined;
      const { head, closed } = part;
      if (head < after) {
        // What we hold was in the log of this epoch, and is not any more: the epoch is over, whoever forgot to end it.
        await store.renewEpoch(epoch);
        return undefined;
      }
      entries.push(...part.entries);
      after = part.entries.at(-1)?.seq ?? after;
      if (after >= head) return { entries, closed };
      if (part.entries.length === 0) throw new PageDamagedError(after + 1, `the log lacks change ${after + 1} of ${head}`);
    }
  } // prettier-ignore
}
