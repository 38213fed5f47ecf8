/**
 * The log store's twin in memory, for tests and the cluster simulation. What is stored lies in a MemoryDatabase, which
 * several stores may share, as nodes share PostgreSQL; it outlives them, as a database outlives a node.
 *
 * Deterministic: a call takes effect at once, its promise settles on a microtask, and there is no clock and no
 * randomness. Bytes are copied on the way in, since a caller may reuse its buffers here as well.
 */
import { silentLog, type Log } from '../base/log.ts';
import { assert } from '../base/assert.ts';
import { seq, type EpochId, type PageId, type Seq } from '../protocol/ids.ts';
import type { AppendBatch, LogEntry, LogStore, PageHead, PageKind, StoredSnapshot } from './log-store.ts';
import { assertBatches } from './append-parameters.ts';
import { checkSnapshot, snapshotChecksum } from './snapshot-checksum.ts';
import { closedError } from './store-error.ts';

interface MemoryPage {
  readonly kind: PageKind;
  readonly log: LogEntry[];
  closed: boolean;
}

interface MemorySnapshot extends StoredSnapshot {
  readonly checksum: Uint8Array;
}

const SNAPSHOTS_KEPT = 2;
const FIRST_EPOCH = '00000000-0000-4000-8000-000000000001' as EpochId;

export class MemoryDatabase {
  readonly pages = new Map<PageId, MemoryPage>();
  /** Newest first. */
  readonly snapshots = new Map<PageId, MemorySnapshot[]>();
  readonly epoch: EpochId;

  constructor(epoch: EpochId = FIRST_EPOCH) {
    this.epoch = epoch;
  }

  /** What trashing and restoring a page do. */
  setClosed(page: PageId, closed: boolean): void {
    const found = this.pages.get(page);
    assert(found !== undefined, 'no such page');
    found.closed = closed;
  }

  /** Flips a bit of a stored snapshot, as a failing disk would. */
  damageSnapshot(page: PageId, at: Seq): void {
    const found = this.snapshots.get(page)?.find((snapshot) => snapshot.seq === at);
    assert(found !== undefined && found.body.length > 0, 'no such snapshot');
    found.body[0]! ^= 1;
  }
}

export class MemoryLogStore implements LogStore {
  readonly #database: MemoryDatabase;
  readonly #log: Log;
  #closed = false;

  constructor(database = new MemoryDatabase(), log: Log = silentLog) {
    this.#database = database;
    this.#log = log;
  }

  async epoch(): Promise<EpochId> {
    this.#assertOpen('epoch');
    return this.#database.epoch;
  }

  async openPage(page: PageId, create?: PageKind): Promise<PageHead | undefined> {
    this.#assertOpen('openPage');
    let found = this.#database.pages.get(page);
    if (found === undefined && create !== undefined) {
      found = { kind: create, log: [], closed: false };
      this.#database.pages.set(page, found);
    }
    return found && { kind: found.kind, head: seq(found.log.length), closed: found.closed };
  }

  async append(batches: readonly AppendBatch[]): Promise<ReadonlySet<PageId>> {
    this.#assertOpen('append');
    assertBatches(batches);
    const moved = new Set<PageId>();
    for (const { page, known, changes } of batches) {
      const found = this.#database.pages.get(page);
      if (found === undefined || found.closed || found.log.length !== known) continue;
      for (const change of changes) {
        found.log.push({ ...change, body: new Uint8Array(change.body), seq: seq(found.log.length + 1) });
      }
      moved.add(page);
    }
    return moved;
  }

  async readLog(page: PageId, after: Seq, limit: number, bytesMax: number): Promise<LogEntry[]> {
    this.#assertOpen('readLog');
    assert(limit >= 1, 'readLog needs a limit of at least 1');
    const log = this.#database.pages.get(page)?.log ?? [];
    const portion: LogEntry[] = [];
    let bytes = 0;
    // Seqs have no gaps, so the entry after `after` stands at that index.
    for (let i = Math.max(0, after); i < log.length && portion.length < limit; i++) {
      const entry = log[i]!;
      bytes += entry.body.length;
      if (bytes > bytesMax && portion.length > 0) break;
      portion.push(entry);
    }
    return portion;
  }

  async readSnapshots(page: PageId): Promise<StoredSnapshot[]> {
    this.#assertOpen('readSnapshots');
    const stored = this.#database.snapshots.get(page) ?? [];
    return stored
      .filter((snapshot) => checkSnapshot(snapshot, snapshot.checksum, page, this.#log))
      .map(({ seq: at, modelVersion, body, private: own }) => ({
        seq: at,
        modelVersion,
        body,
        private: own,
      }));
  }

  async saveSnapshot(page: PageId, snapshot: StoredSnapshot): Promise<void> {
    this.#assertOpen('saveSnapshot');
    const others = (this.#database.snapshots.get(page) ?? []).filter((other) => other.seq !== snapshot.seq);
    const saved = {
      seq: snapshot.seq,
      modelVersion: snapshot.modelVersion,
      body: new Uint8Array(snapshot.body),
      private: new Uint8Array(snapshot.private),
      checksum: snapshotChecksum(snapshot),
    };
    const newest = [...others, saved].sort((a, b) => b.seq - a.seq).slice(0, SNAPSHOTS_KEPT);
    this.#database.snapshots.set(page, newest);
  }

  async ping(): Promise<void> {
    this.#assertOpen('ping');
  }

  async close(): Promise<void> {
    this.#closed = true;
  }

  #assertOpen(work: string): void {
    if (this.#closed) throw closedError(work);
  }
}
