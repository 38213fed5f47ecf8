/**
 * The database of a run: the log store's memory twin behind a wire. A call travels, takes effect once, at one moment, and
 * its answer travels back; on the way it may be lost in every way in which PostgreSQL and the network to it lose one.
 * Without faults a store is its twin (`store.test.ts` runs the contract on it).
 */
import { type Log, silentLog } from '../../src/base/log.ts';
import type {
  AppendBatch,
  LogEntry,
  LogTail,
  PageHead,
  PageHeadAt,
  PageKind,
  StoredSnapshot,
} from '../../src/persistence/log-store.ts';
import { type MemoryDatabase, MemoryLogStore } from '../../src/persistence/memory-log-store.ts';
import type { FoundSnapshot, RepairStore } from '../../src/persistence/repair-store.ts';
import { closedError, StoreError } from '../../src/persistence/store-error.ts';
import type { EpochId, PageId, Seq } from '../../src/protocol/ids.ts';
import type { Dice } from './dice.ts';
import type { Weather } from './plan.ts';
import type { Timeline } from './timeline.ts';
import type { Trace } from './trace.ts';

/** As in `postgres-log-store.ts`. */
const QUERY_TIMEOUT_MS = 6000;

type Work =
  | 'epoch'
  | 'renewEpoch'
  | 'openPage'
  | 'append'
  | 'readLog'
  | 'readTail'
  | 'readHeads'
  | 'readSnapshots'
  | 'saveSnapshot'
  | 'ping'
  | 'repair';
type Fate = 'done' | 'failBefore' | 'failAfter';
/** At which step of an append its node dies. */
export type CrashStep = 'before' | 'after' | 'answered';

/** What all stores of a run share. */
export interface SimDatabase {
  readonly timeline: Timeline;
  readonly dice: Dice;
  readonly trace: Trace;
  readonly database: MemoryDatabase;
  /** Until then no call takes effect. */
  stalledUntil: number;
  weather(): Weather;
  /** An append has taken effect on these pages. */
  appended(batches: readonly AppendBatch[], pages: ReadonlyMap<PageId, boolean>): void;
  saved(page: PageId, snapshot: StoredSnapshot): void;
}

/** The process that a store belongs to. */
export interface StoreOwner {
  readonly isAlive: boolean;
  /** Until then its calls do not reach the database, nor answers it. */
  readonly cutUntil: number;
  crash(step: CrashStep): void;
}

export class SimStore implements RepairStore {
  readonly #shared: SimDatabase;
  readonly #owner: StoreOwner;
  readonly #inner: MemoryLogStore;
  #closed = false;

  constructor(shared: SimDatabase, owner: StoreOwner, log: Log = silentLog) {
    this.#shared = shared;
    this.#owner = owner;
    this.#inner = new MemoryLogStore(shared.database, log);
  }

  epoch(): Promise<EpochId> {
    return this.#call('epoch', () => this.#inner.epoch());
  }

  renewEpoch(old: EpochId): Promise<void> {
    return this.#call('renewEpoch', () => this.#inner.renewEpoch(old));
  }

  openPage(page: PageId, create?: PageKind): Promise<PageHead | undefined> {
    return this.#call('openPage', () => this.#inner.openPage(page, create));
  }

  append(batches: readonly AppendBatch[]): Promise<ReadonlyMap<PageId, boolean>> {
    // What is sent is what the caller's buffers hold now.
    const sent = batches.map((batch) => ({
      ...batch,
      changes: batch.changes.map((change) => ({ ...change, body: change.body.slice() })),
    }));
    return this.#call('append', async () => {
      const pages = await this.#inner.append(sent);
      this.#shared.appended(sent, pages);
      return pages;
    });
  }

  readLog(page: PageId, after: Seq, limit: number, bytesMax: number): Promise<LogEntry[]> {
    return this.#call('readLog', () => this.#inner.readLog(page, after, limit, bytesMax));
  }

  readTail(...args: Parameters<MemoryLogStore['readTail']>): Promise<LogTail | undefined> {
    return this.#call('readTail', () => this.#inner.readTail(...args));
  }

  readHeads(pages: readonly PageId[]): Promise<PageHeadAt[]> {
    return this.#call('readHeads', () => this.#inner.readHeads(pages));
  }

  readSnapshots(page: PageId): Promise<StoredSnapshot[]> {
    return this.#call('readSnapshots', () => this.#inner.readSnapshots(page));
  }

  saveSnapshot(page: PageId, epoch: EpochId, snapshot: StoredSnapshot): Promise<void> {
    const sent = { ...snapshot, body: snapshot.body.slice(), private: snapshot.private.slice() };
    return this.#call('saveSnapshot', async () => {
      await this.#inner.saveSnapshot(page, epoch, sent);
      this.#shared.saved(page, sent);
    });
  }

  pagesAfter(after: PageId | null, limit: number): Promise<PageId[]> {
    return this.#call('repair', () => this.#inner.pagesAfter(after, limit));
  }

  snapshotSeqs(page: PageId): Promise<Seq[]> {
    return this.#call('repair', () => this.#inner.snapshotSeqs(page));
  }

  findSnapshot(page: PageId, at: Seq): Promise<FoundSnapshot | undefined> {
    return this.#call('repair', () => this.#inner.findSnapshot(page, at));
  }

  removeSnapshot(page: PageId, found: FoundSnapshot): Promise<boolean> {
    return this.#call('repair', () => this.#inner.removeSnapshot(page, found));
  }

  ping(): Promise<void> {
    return this.#call('ping', () => this.#inner.ping());
  }

  async close(): Promise<void> {
    this.#closed = true;
  }

  #fate(work: Work): Fate {
    const { failBefore, failAfter, readFails, snapshotFails } = this.#shared.weather().store;
    const { dice } = this.#shared;
    if (work === 'append') return dice.chance(failBefore) ? 'failBefore' : dice.chance(failAfter) ? 'failAfter' : 'done'; // prettier-ignore
    if (work === 'saveSnapshot' && dice.chance(snapshotFails)) return dice.chance(0.5) ? 'failBefore' : 'failAfter';
    return dice.chance(readFails) ? 'failBefore' : 'done';
  } // prettier-ignore

  #crashStep(work: Work): CrashStep | null {
    const { dice, weather } = this.#shared;
    if (work !== 'append' || !dice.chance(weather().node.crashAtAppend)) return null;
    return dice.pick(['before', 'after', 'answered'] as const);
  }

  #travel(): number {
    const [low, high] = this.#shared.weather().store.delayMs;
    return this.#shared.dice.between(low, high);
  }

  #call<T>(work: Work, effect: () => Promise<T>): Promise<T> {
    if (this.#closed) return Promise.reject(closedError(work));
    const { timeline, dice, weather, trace } = this.#shared;
    const [fate, crash] = [this.#fate(work), this.#crashStep(work)];
    const isLate = work === 'append' && dice.chance(weather().store.late);
    return new Promise((resolve, reject) => {
      let over = false;
      const answer = (settle: () => void) => {
        if (over || !this.#owner.isAlive) return;
        over = true;
        timer.cancel();
        settle();
      };
      const timer = timeline.after(QUERY_TIMEOUT_MS, () => {
        answer(() => reject(new StoreError('timeout', true, `${work}: no answer`)));
      });
      const fail = () => answer(() => reject(new StoreError('connection', true, `${work}: connection lost`)));
      const back = (settle: () => void) => {
        const cutMs = Math.max(0, this.#owner.cutUntil - timeline.now);
        timeline.after(cutMs + this.#travel(), settle);
      };
      const arrive = () => {
        const waitMs = Math.max(this.#shared.stalledUntil, this.#owner.cutUntil) - timeline.now;
        if (waitMs > 0) return void timeline.after(waitMs, arrive);
        if (crash === 'before') this.#owner.crash(crash);
        if (fate === 'failBefore') return back(fail);
        // Given up meanwhile: the statement may have been cancelled, or not.
        if (over && dice.chance(0.5)) return;
        trace.note(work, fate);
        effect().then(
          (value) => {
            if (crash === 'after') this.#owner.crash(crash);
            back(() => {
              if (fate === 'failAfter') return fail();
              answer(() => resolve(value));
              if (crash === 'answered') this.#owner.crash(crash);
            });
          },
          (error: Error) => back(() => answer(() => reject(error))),
        );
      };
      timeline.after(isLate ? QUERY_TIMEOUT_MS + dice.between(1, 4000) : this.#travel(), arrive);
    });
  }
}
