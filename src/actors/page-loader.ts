/**
 * Brings a page from the store: the newest snapshot that can be read, and the log after it. One load serves any number
 * of joiners; the number of loads at once is bounded, the rest wait in line. A failed load is an error, never an empty
 * page. While the store keeps silent those who wait are told, but a load that was begun goes on: a large page on a slow
 * disk comes in the end.
 */
import type { Log } from '../base/log.ts';
import type { Clock, Millis, Timer } from '../base/time.ts';
import { BlocksModel } from '../document/blocks-model.ts';
import type { RestoreModel } from '../document/model.ts';
import { MODEL_VERSION, snapshotHash } from '../document/snapshot.ts';
import type { LogEntry, LogStore, PageKind, StoredSnapshot } from '../persistence/log-store.ts';
import { type EpochId, type PageId, seq, type Seq } from '../protocol/ids.ts';
import type { Limits } from '../protocol/limits.ts';
import type { Compression } from './compression.ts';
import { PageDamagedError } from './page-damage.ts';
import { decodePrivateState } from './replicas.ts';
import type { CachedSnapshot, LoadedPage, TakenSnapshot } from './world.ts';

const LOADS_MAX = 8;
const READ_CHANGES = 2000;
const READ_BYTES = 8 << 20;
/** A bound on what a stored snapshot may unpack to. */
const SNAPSHOT_BYTES_MAX = 1 << 30;
const SUSPECTS_MAX = 10_000;
/** Who waits for a page is sent away when the store says nothing for so long; with `unavailable`, within 3 s. */
const SILENCE_MS: Millis = 2500;

/** The shard's memory is taken by pages in use. */
export class NoRoomError extends Error {
  override readonly name = 'NoRoomError';
}

/** The page waited in line behind others, to which the store gave no answer. */
export class NoAnswerError extends Error {
  override readonly name = 'NoAnswerError';
}

/** What was read before is of another log than what was read after. */
export class LogMovedError extends Error {
  override readonly name = 'LogMovedError';
}

/** Where it is said which page is being worked on, during what takes memory and time. */
export interface Workplace {
  enter(page: PageId): void;
  leave(): void;
}

export interface PageLoaderOptions {
  readonly store: LogStore;
  readonly limits: Limits;
  readonly log: Log;
  readonly clock: Clock;
  readonly compression: Compression;
  readonly working?: Workplace | undefined;
  readonly hasRoom?: () => boolean;
}

export class PageLoader {
  readonly #options: PageLoaderOptions;
  #running = 0;
  /** In order. */
  readonly #waiting = new Set<() => void>();
  /** The snapshots that turned out, after the load, not to be what was written: the next load looks first. */
  readonly #suspect = new Set<string>();
  /** When the store last answered a load, whichever. */
  #answeredAt: Millis = -Infinity;

  constructor(options: PageLoaderOptions) {
    this.#options = options;
  }

  /** Loads that wait in line. */
  get waiting(): number {
    return this.#waiting.size;
  }

  /**
   * The page; undefined if there is none and `create` is null. Rejects when the store fails or the page is damaged. `silent`
   * is called as often as the store has said nothing for a while: the load goes on, but nobody should wait for it.
   */
  async load(page: PageId, create: PageKind | null, silent = () => {}): Promise<LoadedPage | undefined> {
    const { hasRoom = () => true } = this.#options;
    await this.#enter();
    const stop = this.#onSilence(silent);
    try {
      if (!hasRoom()) throw new NoRoomError('the memory for pages is taken by pages in use');
      return await this.#load(page, create);
    } finally {
      stop();
      // The place is handed on, not given up: else one who comes at this moment would take it, and the next in line too.
      const [next] = this.#waiting;
      if (next) next();
      else this.#running--;
    }
  }

  /** Waits for a place among those that load; no longer than these get answers. */
  #enter(): Promise<void> {
    if (this.#running < LOADS_MAX) {
      this.#running++;
      return Promise.resolve();
    }
    return new Promise((resolve, reject) => {
      const leave = () => {
        stop();
        this.#waiting.delete(enter);
      };
      const enter = () => {
        leave();
        resolve();
      };
      const stop = this.#onSilence(() => {
        leave();
        reject(new NoAnswerError(`the store has not answered for ${SILENCE_MS} ms`));
      });
      this.#waiting.add(enter);
    });
  }

  /** Calls back whenever the store has said nothing for so long, until it is stopped. */
  #onSilence(callback: () => void): () => void {
    const { clock } = this.#options;
    let since = clock.monotonic();
    let timer: Timer;
    const look = (afterMs: Millis) => {
      timer = clock.after(afterMs, () => {
        const now = clock.monotonic();
        since = Math.max(since, this.#answeredAt);
        const leftMs = Math.ceil(since + SILENCE_MS - now);
        if (leftMs > 0) return look(leftMs);
        since = now;
        look(SILENCE_MS);
        callback();
      });
    };
    look(SILENCE_MS);
    return () => timer.cancel();
  }

  async #answer<T>(call: Promise<T>): Promise<T> {
    const answer = await call;
    this.#answeredAt = this.#options.clock.monotonic();
    return answer;
  }

  async #load(page: PageId, create: PageKind | null): Promise<LoadedPage | undefined> {
    const { store } = this.#options;
    // One after the other: the epoch before the snapshots and the one after them, with the log, must be the same.
    const head = await this.#answer(store.openPage(page, create ?? undefined));
    if (!head) return undefined;
    if (head.kind !== 'blocks')
      throw new Error(`the page’s model is "${head.kind}", which this server does not serve`);
    const snapshots = create ? [] : await this.#answer(store.readSnapshots(page));
    // Another node may have gone on between the two.
    const ahead = snapshots.some((snapshot) => snapshot.seq > head.head);
    const { head: end } = (ahead && (await this.#answer(store.openPage(page)))) || head;
    const restored = await this.#restore(page, snapshots, end);
    const { kind, epoch } = head;
    return { kind, epoch, ...restored, ...(await this.#readTail(page, epoch, restored.snapshot?.seq ?? seq(0))) };
  } // prettier-ignore

  /** The newest snapshot of this model's version that can be used, else the one before, else the empty page (and so the whole log). */
  async #restore(page: PageId, snapshots: StoredSnapshot[], head: Seq): Promise<Pick<LoadedPage, 'model' | 'private' | 'snapshot'>> {
    const { limits, log, compression, working } = this.#options;
    for (const stored of snapshots) {
      if (stored.modelVersion !== MODEL_VERSION) {
        log.info({ page, seq: stored.seq, version: stored.modelVersion }, 'a snapshot of another model version is not used');
        continue;
      }
      try {
        if (stored.seq > head) throw new Error(`it is of seq ${stored.seq}, but the log ends at ${head}`);
        const plain = await compression.unpack(stored.body, SNAPSHOT_BYTES_MAX);
        const state = decodePrivateState(stored.private);
        const snapshot: CachedSnapshot = { seq: stored.seq, body: stored.body, plainBytes: plain.length };
        const restore: RestoreModel = (bytes, own) => new BlocksModel(page, limits, { snapshot: bytes, private: own }); // prettier-ignore
        const name = `${page} ${stored.seq}`;
        if (stored.seq === head && !this.#suspect.has(name)) {
          const model = { restore: this.#noting(name, restore), private: state.model, hash: snapshotHash(plain) };
          return { model, private: state, snapshot };
        }
        working?.enter(page);
        const model = restore(plain, state.model);
        this.#suspect.delete(name);
        return { model, private: state, snapshot };
      } catch (error) {
        // Its checksum was good, so this is a bug of whoever wrote it (the state that it makes has another hash than the one
        // that was written, too); the log has all, go back further.
        const fields = { page, seq: stored.seq, error: String(error), repair: `octavo rebuild ${page}` };
        log.error(fields, 'a snapshot cannot be used; the page is made from an older one and the log');
      } finally {
        working?.leave();
      }
    }
    const model = new BlocksModel(page, limits);
    return { model, private: { latestMs: 0, replicas: new Map(), model: new Uint8Array() }, snapshot: null };
  } // prettier-ignore

  /** The page whose snapshot fails here ends, as by any bug, and is loaded anew. */
  #noting(name: string, restore: RestoreModel): RestoreModel {
    return (bytes, own) => {
      try {
        return restore(bytes, own);
      } catch (error) {
        if (this.#suspect.size < SUSPECTS_MAX) this.#suspect.add(name);
        throw error;
      }
    };
  }

  async #readTail(page: PageId, epoch: EpochId, after: Seq): Promise<Pick<LoadedPage, 'tail' | 'closed'>> {
    const tail: LogEntry[] = [];
    for (let at = after; ;) {
      const part = await this.#answer(this.#options.store.readTail(page, at, READ_CHANGES, READ_BYTES));
      if (part?.epoch !== epoch || part.head < at)
        throw new LogMovedError('the database was put back while the page was read');
      const { head, closed, entries } = part;
      for (const entry of entries) {
        if (entry.seq !== at + 1) break;
        tail.push(entry);
        at = entry.seq;
      }
      if (at === head) return { tail, closed };
      if (entries.length === 0 || entries.at(-1)!.seq !== at)
        throw new PageDamagedError(at + 1, `the log lacks change ${at + 1} of ${head}`);
    }
  }

  /** Packs a snapshot (off this thread) and stores it. */
  async save(page: PageId, taken: TakenSnapshot): Promise<CachedSnapshot> {
    const { store, compression } = this.#options;
    const { epoch, seq: at, modelVersion, plain, private: own } = taken;
    const body = await compression.pack(plain);
    await store.saveSnapshot(page, epoch, { seq: at, modelVersion, body, private: own });
    return { seq: at, body, plainBytes: plain.length };
  }
}
