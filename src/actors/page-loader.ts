/**
 * Brings a page from the store: the newest snapshot that can be read, and the log after it. One load serves any number
 * of joiners; the number of loads at once is bounded, the rest wait in line. A failed load is an error, never an empty
 * page.
 */
import { promisify } from 'node:util';
import { deflate, inflate } from 'node:zlib';
import type { Log } from '../base/log.ts';
import { BlocksModel } from '../document/blocks-model.ts';
import type { LogEntry, LogStore, PageKind, StoredSnapshot } from '../persistence/log-store.ts';
import { type PageId, seq, type Seq } from '../protocol/ids.ts';
import type { Limits } from '../protocol/limits.ts';
import { decodePrivateState } from './replicas.ts';
import type { CachedSnapshot, LoadedPage } from './world.ts';

const LOADS_MAX = 8;
const READ_CHANGES = 2000;
const READ_BYTES = 8 << 20;
/** A bound on what a stored snapshot may unpack to. */
const SNAPSHOT_BYTES_MAX = 1 << 30;

const pack = promisify<Uint8Array, { level: number }, Buffer>(deflate);
const unpack = promisify<Uint8Array, { maxOutputLength: number }, Buffer>(inflate);

export class PageLoader {
  readonly #store: LogStore;
  readonly #limits: Limits;
  readonly #log: Log;
  #running = 0;
  readonly #waiting: (() => void)[] = [];

  constructor(store: LogStore, limits: Limits, log: Log) {
    this.#store = store;
    this.#limits = limits;
    this.#log = log;
  }

  /** The page; undefined if there is none and `create` is null. Rejects when the store fails or the page is damaged. */
  async load(page: PageId, create: PageKind | null): Promise<LoadedPage | undefined> {
    if (this.#running >= LOADS_MAX) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    this.#running++;
    try {
      return await this.#load(page, create);
    } finally {
      this.#running--;
      this.#waiting.shift()?.();
    }
  }

  async #load(page: PageId, create: PageKind | null): Promise<LoadedPage | undefined> {
    const [head, snapshots] = await Promise.all([
      this.#store.openPage(page, create ?? undefined),
      create ? [] : this.#store.readSnapshots(page),
    ]);
    if (!head) return undefined;
    if (head.kind !== 'blocks')
      throw new Error(`the page’s model is "${head.kind}", which this server does not serve`);
    const restored = await this.#restore(page, snapshots);
    const tail = await this.#readTail(page, restored.snapshot?.seq ?? seq(0), head.head);
    return { kind: head.kind, closed: head.closed, ...restored, tail };
  }

  /** The newest snapshot that can be decoded, else the one before, else the empty page (and so the whole log). */
  async #restore(page: PageId, snapshots: StoredSnapshot[]): Promise<Pick<LoadedPage, 'model' | 'private' | 'snapshot'>> {
    for (const stored of snapshots) {
      try {
        const plain = await unpack(stored.body, { maxOutputLength: SNAPSHOT_BYTES_MAX });
        const state = decodePrivateState(stored.private);
        const model = new BlocksModel(page, this.#limits, { snapshot: plain, private: state.model });
        const snapshot: CachedSnapshot = { seq: stored.seq, body: stored.body, plainBytes: plain.length };
        return { model, private: state, snapshot };
      } catch (error) {
        // Its checksum was good, so this is a bug of whoever wrote it; the log has all, go back further.
        this.#log.error({ page, seq: stored.seq, error: String(error) }, 'a snapshot cannot be decoded; using an older one');
      }
    }
    const model = new BlocksModel(page, this.#limits);
    return { model, private: { latestMs: 0, replicas: new Map(), model: new Uint8Array() }, snapshot: null };
  } // prettier-ignore

  async #readTail(page: PageId, after: Seq, head: Seq): Promise<LogEntry[]> {
    const tail: LogEntry[] = [];
    for (let at = after; at < head;) {
      const part = await this.#store.readLog(page, at, READ_CHANGES, READ_BYTES);
      const first = part[0];
      if (!first || first.seq !== at + 1) throw new Error(`the log lacks change ${at + 1} of ${head}`);
      // Pushed one by one: spreading a large array into arguments overflows the stack.
      for (const entry of part) tail.push(entry);
      at = part.at(-1)!.seq;
    }
    return tail;
  }

  /** Packs a snapshot off this thread (zlib has its own) and stores it. */
  async save(page: PageId, at: Seq, modelVersion: number, plain: Uint8Array, privateState: Uint8Array): Promise<CachedSnapshot> {
    const body = await pack(plain, { level: 3 });
    await this.#store.saveSnapshot(page, { seq: at, modelVersion, body, private: privateState });
    return { seq: at, body, plainBytes: plain.length };
  } // prettier-ignore
}
