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
import type {
  AppendBatch,
  LogEntry,
  LogTail,
  PageHead,
  PageHeadAt,
  PageKind,
  StoredSnapshot,
} from './log-store.ts';
import { assertBatches } from './append-parameters.ts';
import type { FoundSnapshot, RepairStore } from './repair-store.ts';
import { checkSnapshot, isChecksumGood, snapshotChecksum } from './snapshot-checksum.ts';
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
/** Epochs are counted here: nothing is random. */
const epochOf = (count: number) =>
  `00000000-0000-4000-8000-${count.toString(16).padStart(12, '0')}` as EpochId;

export class MemoryDatabase {
  /** Pages for which somebody has lost a race since the last append. */
  readonly wanted = new Set<PageId>();
  readonly pages = new Map<PageId, MemoryPage>();
  /** Newest first. */
  readonly snapshots = new Map<PageId, MemorySnapshot[]>();
  #epochs = 1;

  get epoch(): EpochId {
    return epochOf(this.#epochs);
  }

  newEpoch(): void {
    this.#epochs++;
  }

  /** Puts all pages back to what they were `changes` changes ago; in the same epoch, as a copied disk would. */
  goBack(changes: number): void {
    for (const [page, { log }] of this.pages) {
      log.splice(Math.max(0, log.length - changes));
      const kept = this.snapshots.get(page)?.filter((snapshot) => snapshot.seq <= log.length);
      if (kept) this.snapshots.set(page, kept);
    }
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

export class MemoryLogStore implements RepairStore {
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

  async renewEpoch(old: EpochId): Promise<void> {
    this.#assertOpen('renewEpoch');
    if (this.#database.epoch === old) this.#database.newEpoch();
  }

  async openPage(page: PageId, create?: PageKind): Promise<PageHead | undefined> {
    this.#assertOpen('openPage');
    let found = this.#database.pages.get(page);
    if (found === undefined && create !== undefined) {
      found = { kind: create, log: [], closed: false };
      this.#database.pages.set(page, found);
    }
    if (found === undefined) return undefined;
    const { epoch } = this.#database;
    return { kind: found.kind, epoch, head: seq(found.log.length), closed: found.closed };
  }

  async append(batches: readonly AppendBatch[]): Promise<ReadonlyMap<PageId, boolean>> {
    this.#assertOpen('append');
    assertBatches(batches);
    const moved = new Map<PageId, boolean>();
    for (const { page, epoch, known, changes } of batches) {
      const found = this.#database.pages.get(page);
      if (found === undefined || found.closed || found.log.length !== known) continue;
      if (epoch !== this.#database.epoch) continue;
      for (const change of changes) {
        found.log.push({ ...change, body: new Uint8Array(change.body), seq: seq(found.log.length + 1) });
      }
      moved.set(page, this.#database.wanted.delete(page));
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

  async readTail(
    page: PageId,
    after: Seq,
    limit: number,
    bytesMax: number,
    wants = false,
  ): Promise<LogTail | undefined> {
    const found = this.#database.pages.get(page);
    if (wants) this.#database.wanted.add(page);
    const { epoch } = this.#database;
    if (found === undefined) return undefined;
    const [head, { closed }] = [seq(found.log.length), found];
    return { epoch, head, closed, entries: await this.readLog(page, after, limit, bytesMax) };
  }

  async readHeads(pages: readonly PageId[]): Promise<PageHeadAt[]> {
    this.#assertOpen('readHeads');
    return pages.flatMap((page) => {
      const found = this.#database.pages.get(page);
      const { epoch } = this.#database;
      return found ? [{ page, epoch, head: seq(found.log.length), closed: found.closed }] : [];
    });
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

  async saveSnapshot(page: PageId, epoch: EpochId, snapshot: StoredSnapshot): Promise<void> {
    this.#assertOpen('saveSnapshot');
    if (epoch !== this.#database.epoch) return;
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

  async pagesAfter(after: PageId | null, limit: number): Promise<PageId[]> {
    this.#assertOpen('pagesAfter');
    const ids = [...this.#database.pages.keys()].filter((id) => after === null || id > after);
    return ids.sort().slice(0, limit);
  }

  async snapshotSeqs(page: PageId): Promise<Seq[]> {
    this.#assertOpen('snapshotSeqs');
    const stored = this.#database.snapshots.get(page) ?? [];
    return stored.map((snapshot) => snapshot.seq).reverse();
  }

  async findSnapshot(page: PageId, at: Seq): Promise<FoundSnapshot | undefined> {
    this.#assertOpen('findSnapshot');
    const found = this.#database.snapshots.get(page)?.find((snapshot) => snapshot.seq === at);
    return (
      found && { ...found, body: found.body.slice(), checksumGood: isChecksumGood(found, found.checksum) }
    );
  }

  async removeSnapshot(page: PageId, found: FoundSnapshot): Promise<boolean> {
    this.#assertOpen('removeSnapshot');
    const stored = this.#database.snapshots.get(page) ?? [];
    const same = (one: MemorySnapshot) =>
      one.seq === found.seq &&
      Buffer.compare(one.checksum, found.checksum) === 0 &&
      Buffer.compare(one.body, found.body) === 0 &&
      Buffer.compare(one.private, found.private) === 0;
    const left = stored.filter((one) => !same(one));
    this.#database.snapshots.set(page, left);
    return left.length < stored.length;
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
