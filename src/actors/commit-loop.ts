/**
 * Group commit without a timer: one append at a time for the whole shard, of all pages that are dirty when the database
 * is free. Load makes batches, idleness makes none.
 *
 *      dirty pages ──▶ one statement ──▶ appended:  the page applies and tells
 *                            │           missing:   its head moved or it closed ─┐
 *                            └──failed── outcome unknown: all of its pages ──────┴─▶ settle: read the log, decide
 *
 * After a failure batches are halved, so that one bad page cannot hold the others, and grow again with every success.
 * Reading the log is retried with jittered back-off for as long as it takes; meanwhile the page's queue is bounded.
 */
import { type Random, backoffMs } from '../base/random.ts';
import type { Clock } from '../base/time.ts';
import type { Log } from '../base/log.ts';
import type { AppendBatch, LogEntry, LogStore } from '../persistence/log-store.ts';
import type { PageId, Seq } from '../protocol/ids.ts';

/** `owner` is who asked: an answer that comes after its end must not reach the one that took its place. */
export interface OwnedBatch<Owner> {
  readonly owner: Owner;
  readonly known: Seq;
  readonly changes: AppendBatch['changes'];
}

export interface CommitLoopOptions<Owner> {
  readonly store: LogStore;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** What a page wants appended now; undefined if it has nothing, or waits for an answer. */
  takeBatch(page: PageId): OwnedBatch<Owner> | undefined;
  appended(owner: Owner): void;
  /** The outcome for this page is unknown or negative: it will ask to settle. */
  unsettled(owner: Owner): void;
  settled(owner: Owner, entries: LogEntry[], closed: boolean): void;
  /** Called after answers were given, so that what they caused can be sent at once. */
  turnEnded(): void;
  batchDone(pages: number, changes: number, ms: number, ok: boolean): void;
}

const PAGES_MAX = 1000;
const CHANGES_MAX = 5000;
const READ_CHANGES = 2000;
const READ_BYTES = 8 << 20;
const RETRY_FIRST_MS = 50;
const RETRY_MAX_MS = 2000;

export class CommitLoop<Owner> {
  readonly #options: CommitLoopOptions<Owner>;
  readonly #dirty = new Set<PageId>();
  #inFlight = false;
  #pagesMax = PAGES_MAX;
  #failures = 0;

  constructor(options: CommitLoopOptions<Owner>) {
    this.#options = options;
  }

  markDirty(page: PageId): void {
    this.#dirty.add(page);
  }

  /** Starts an append if the database is free and a page is dirty. Call at the end of each turn. */
  pump(): void {
    if (this.#inFlight || this.#dirty.size === 0) return;
    const batches: AppendBatch[] = [];
    const owners: Owner[] = [];
    let changes = 0;
    for (const page of this.#dirty) {
      this.#dirty.delete(page);
      const batch = this.#options.takeBatch(page);
      if (!batch) continue;
      batches.push({ page, known: batch.known, changes: batch.changes });
      owners.push(batch.owner);
      changes += batch.changes.length;
      if (batches.length >= this.#pagesMax || changes >= CHANGES_MAX) break;
    }
    if (batches.length > 0) void this.#append(batches, owners, changes);
  }

  async #append(batches: AppendBatch[], owners: Owner[], changes: number): Promise<void> {
    const { store, clock, log, batchDone } = this.#options;
    this.#inFlight = true;
    const started = clock.monotonic();
    let appended: ReadonlySet<PageId> | undefined;
    try {
      appended = await store.append(batches);
      this.#failures = 0;
      this.#pagesMax = Math.min(PAGES_MAX, this.#pagesMax * 2);
    } catch (error) {
      // The outside world: nobody knows what was committed. The log will tell; the batch is halved.
      this.#failures++;
      this.#pagesMax = Math.max(1, Math.floor(batches.length / 2));
      log.warn({ error: String(error), pages: batches.length, changes }, 'an append failed; reading the log');
    }
    batchDone(batches.length, changes, clock.monotonic() - started, appended !== undefined);
    this.#inFlight = false;
    batches.forEach(({ page }, i) => {
      if (appended?.has(page)) this.#options.appended(owners[i]!);
      else this.#options.unsettled(owners[i]!);
    });
    this.#options.turnEnded();
  }

  /** Reads the log after `known` until that succeeds, then answers `settled`. */
  settle(page: PageId, known: Seq, owner: Owner): void {
    void this.#settle(page, known, owner);
  }

  async #settle(page: PageId, known: Seq, owner: Owner): Promise<void> {
    const { clock, random, log } = this.#options;
    for (let attempt = 0; ; attempt++) {
      // After failures even the first read waits: a database that is going down is not to be hammered.
      if (attempt > 0 || this.#failures > 0) {
        const delayMs = backoffMs(random, attempt, RETRY_FIRST_MS, RETRY_MAX_MS);
        await new Promise<void>((resolve) => clock.after(delayMs, resolve));
      }
      try {
        const { entries, closed } = await this.#readAll(page, known);
        this.#options.settled(owner, entries, closed);
        this.#options.turnEnded();
        return;
      } catch (error) {
        // The outside world: tried again. Said once in a while, not at every try.
        if (attempt % 10 === 0)
          log.warn({ page, attempt, error: String(error) }, 'the log cannot be read; trying again');
      }
    }
  }

  async #readAll(page: PageId, known: Seq): Promise<{ entries: LogEntry[]; closed: boolean }> {
    const { store } = this.#options;
    const head = await store.openPage(page);
    const entries: LogEntry[] = [];
    let after = known;
    while (head && after < head.head) {
      const part = await store.readLog(page, after, READ_CHANGES, READ_BYTES);
      if (part.length === 0) break;
      entries.push(...part);
      after = part.at(-1)!.seq;
    }
    // A page whose row is gone takes no more changes.
    return { entries, closed: head?.closed ?? true };
  }
}
