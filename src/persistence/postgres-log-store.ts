/**
 * The log store on PostgreSQL. Statements stand in sql/, the append's parameters are made in append-parameters.ts,
 * connections and their time limits are connection-pool.ts's, errors are StoreErrors.
 *
 * Three pools: append (one connection a shard measured best: while it is busy, dirty pages gather into the next
 * batch), read (loads and catch-up), other (births, snapshots, readiness). The tables must exist: prepare-database.ts
 * runs first, once for each node.
 */
import type { Registry } from 'prom-client';
import type { Log } from '../base/log.ts';
import { systemClock, type Clock, type Millis } from '../base/time.ts';
import { assert } from '../base/assert.ts';
import { seq, type EpochId, type PageId, type ReplicaId, type Seq, type UserId } from '../protocol/ids.ts';
import type {
  AppendBatch,
  LogEntry,
  LogTail,
  PageHead,
  PageHeadAt,
  PageKind,
  StoredSnapshot,
} from './log-store.ts';
import { appendParameters, assertBatches } from './append-parameters.ts';
import { ConnectionPool, type PoolTimeouts, type Row } from './connection-pool.ts';
import { measurePools } from './pool-metrics.ts';
import type { FoundSnapshot, RepairStore } from './repair-store.ts';
import { checkSnapshot, isChecksumGood, snapshotChecksum } from './snapshot-checksum.ts';
import { StoreError } from './store-error.ts';
import { APPEND, APPEND_SESSION } from './sql/append.ts';
import { EPOCH_SESSION, READ_EPOCH, RENEW_EPOCH } from './sql/epoch.ts';
import { COMMIT_NOTHING, CREATE_PAGE, FIND_PAGE, READ_HEADS } from './sql/pages.ts';
import { READ_LOG, READ_SESSION, READ_TAIL, READ_TAIL_WANTED } from './sql/read-log.ts';
import { FIND_SNAPSHOT, PAGES_AFTER, REMOVE_SNAPSHOT, SNAPSHOT_SEQS } from './sql/repair.ts';
import { READ_SNAPSHOTS, SAVE_SNAPSHOT } from './sql/snapshots.ts';

export interface PostgresLogStoreOptions extends Partial<PoolTimeouts> {
  readonly url: string;
  readonly log: Log;
  readonly clock?: Clock;
  readonly appendConnections?: number;
  readonly readConnections?: number;
  readonly otherConnections?: number;
  /** How long an append waits for one head's row before it gives up; the caller then splits the batch. */
  readonly lockTimeoutMs?: Millis;
}

const SNAPSHOTS_KEPT = 2;
/** One is the rule; a second is needed when another node makes the same page in the same moment. */
const CREATE_ATTEMPTS_MAX = 5;

export interface MeasuredStore extends RepairStore {
  /** Adds the use of its connections to what a thread tells. */
  measure(registry: Registry): void;
}

/** Connects at the first call, not now. */
export function openPostgresLogStore(options: PostgresLogStoreOptions): MeasuredStore {
  return new PostgresLogStore(options);
}

class PostgresLogStore implements MeasuredStore {
  readonly #log: Log;
  readonly #append: ConnectionPool;
  readonly #read: ConnectionPool;
  readonly #other: ConnectionPool;

  constructor(options: PostgresLogStoreOptions) {
    this.#log = options.log;
    const common = {
      url: options.url,
      log: options.log,
      clock: options.clock ?? systemClock,
      acquireTimeoutMs: options.acquireTimeoutMs ?? 5_000,
      connectTimeoutMs: options.connectTimeoutMs ?? 5_000,
      statementTimeoutMs: options.statementTimeoutMs ?? 5_000,
      queryTimeoutMs: options.queryTimeoutMs ?? 6_000,
      session: EPOCH_SESSION,
    };
    this.#append = new ConnectionPool({
      ...common,
      work: 'append',
      connections: options.appendConnections ?? 1,
      lockTimeoutMs: options.lockTimeoutMs ?? 200,
      session: `${EPOCH_SESSION}; ${APPEND_SESSION}`,
    });
    this.#read = new ConnectionPool({
      ...common,
      work: 'read',
      connections: options.readConnections ?? 2,
      session: `${EPOCH_SESSION}; ${READ_SESSION}`,
    });
    this.#other = new ConnectionPool({
      ...common,
      work: 'other',
      connections: options.otherConnections ?? 1,
    });
  }

  async epoch(): Promise<EpochId> {
    const [row] = await this.#read.query(READ_EPOCH, []);
    return toEpoch(row?.[0]);
  }

  async renewEpoch(old: EpochId): Promise<void> {
    await this.#other.query(RENEW_EPOCH, [old]);
  }

  async openPage(page: PageId, create?: PageKind): Promise<PageHead | undefined> {
    if (create === undefined) return toHead(page, (await this.#read.query(FIND_PAGE, [page]))[0]);
    for (let attempt = 0; attempt < CREATE_ATTEMPTS_MAX; attempt++) {
      const head = toHead(page, (await this.#other.query(CREATE_PAGE, [page, create]))[0]);
      if (head !== undefined) return head;
    }
    throw new StoreError(
      'timeout',
      true,
      `page ${page} was made elsewhere and cannot be seen yet: try again`,
    );
  }

  async append(batches: readonly AppendBatch[]): Promise<ReadonlyMap<PageId, boolean>> {
    const moved = new Map<PageId, boolean>();
    if (batches.length === 0) return moved;
    assertBatches(batches);
    const rows = await this.#append.query(APPEND, appendParameters(batches));
    for (const [page, isWanted] of rows) moved.set(page as PageId, isWanted as boolean);
    return moved;
  }

  async readLog(page: PageId, after: Seq, limit: number, bytesMax: number): Promise<LogEntry[]> {
    assert(limit >= 1, 'readLog needs a limit of at least 1');
    const rows = await this.#read.query(READ_LOG, [page, after, limit, bytesMax]);
    return rows.map(toEntry);
  }

  async readTail(
    page: PageId,
    after: Seq,
    limit: number,
    bytesMax: number,
    wants = false,
  ): Promise<LogTail | undefined> {
    const rows = await this.#read.query(wants ? READ_TAIL_WANTED : READ_TAIL, [page, after, limit, bytesMax]);
    const [first] = rows;
    if (first === undefined) return undefined;
    const entries = first[0] === null ? [] : rows.map(toEntry);
    return { head: seq(Number(first[8])), closed: first[9] as boolean, epoch: toEpoch(first[10]), entries };
  }

  async readHeads(pages: readonly PageId[]): Promise<PageHeadAt[]> {
    const rows = await this.#other.query(READ_HEADS, [pages]);
    return rows.map((row) => ({
      page: row[0] as PageId,
      head: seq(Number(row[1])),
      closed: row[2] as boolean,
      epoch: toEpoch(row[3]),
    }));
  }

  async readSnapshots(page: PageId): Promise<StoredSnapshot[]> {
    const good: StoredSnapshot[] = [];
    let below = Number.MAX_SAFE_INTEGER;
    for (;;) {
      const wanted = SNAPSHOTS_KEPT - good.length;
      const rows = await this.#read.query(READ_SNAPSHOTS, [page, below, wanted]);
      for (const row of rows) {
        const snapshot = toSnapshot(row);
        below = snapshot.seq;
        if (checkSnapshot(snapshot, row[2] as Uint8Array, page, this.#log)) good.push(snapshot);
      }
      if (rows.length < wanted || good.length === SNAPSHOTS_KEPT) return good;
    }
  }

  async saveSnapshot(page: PageId, epoch: EpochId, snapshot: StoredSnapshot): Promise<void> {
    const { seq: at, modelVersion, body, private: own } = snapshot;
    const checksum = snapshotChecksum(snapshot);
    await this.#other.query(SAVE_SNAPSHOT, [page, at, modelVersion, checksum, body, own, epoch]);
  }

  async pagesAfter(after: PageId | null, limit: number): Promise<PageId[]> {
    const rows = await this.#read.query(PAGES_AFTER, [after, limit]);
    return rows.map((row) => row[0] as PageId);
  }

  async snapshotSeqs(page: PageId): Promise<Seq[]> {
    const rows = await this.#read.query(SNAPSHOT_SEQS, [page]);
    return rows.map((row) => seq(Number(row[0])));
  }

  async findSnapshot(page: PageId, at: Seq): Promise<FoundSnapshot | undefined> {
    const [row] = await this.#read.query(FIND_SNAPSHOT, [page, at]);
    if (row === undefined) return undefined;
    const snapshot = toSnapshot(row);
    const checksum = ownBytes(row[2]);
    return { ...snapshot, checksum, checksumGood: isChecksumGood(snapshot, checksum) };
  }

  async removeSnapshot(page: PageId, found: FoundSnapshot): Promise<boolean> {
    const { seq: at, checksum, body, private: own } = found;
    const rows = await this.#other.query(REMOVE_SNAPSHOT, [page, at, checksum, body, own]);
    return rows.length > 0;
  }

  measure(registry: Registry): void {
    measurePools(registry, { append: this.#append, read: this.#read, other: this.#other });
  }

  async ping(): Promise<void> {
    await this.#other.query(COMMIT_NOTHING, []);
  }

  async close(): Promise<void> {
    await Promise.all([this.#append.close(), this.#read.close(), this.#other.close()]);
  }
}

function toHead(page: PageId, row: Row | undefined): PageHead | undefined {
  if (row === undefined) return undefined;
  if (row[1] === null) {
    throw new StoreError(
      '23503',
      false,
      `page ${page} is in "pages" but has no row in "page_heads": restore both`,
    );
  }
  const [kind, head, closed, epoch] = row;
  return {
    kind: kind as PageKind,
    epoch: toEpoch(epoch),
    head: seq(Number(head)),
    closed: closed as boolean,
  };
}

function toEpoch(value: unknown): EpochId {
  if (typeof value === 'string') return value as EpochId;
  throw new StoreError('connection', false, 'the epoch table is empty: restore it from a backup, or run ' +
    '"insert into epoch default values" once, which makes every client load its pages anew'); // prettier-ignore
}

/** pg hands out slices of a shared slab. Ours may be transferred to another thread, so each gets memory of its own. */
const ownBytes = (value: unknown) => new Uint8Array(value as Uint8Array);

function toEntry(row: Row): LogEntry {
  return {
    seq: seq(Number(row[0])),
    replica: row[1] as ReplicaId,
    n: Number(row[2]),
    hlcMs: Number(row[3]),
    hlcCounter: row[4] as number,
    author: row[5] as UserId,
    at: Number(row[6]),
    body: ownBytes(row[7]),
  };
}

function toSnapshot(row: Row): StoredSnapshot {
  return {
    seq: seq(Number(row[0])),
    modelVersion: row[1] as number,
    body: ownBytes(row[3]),
    private: ownBytes(row[4]),
  };
}
