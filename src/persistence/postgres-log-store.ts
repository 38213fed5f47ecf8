/**
 * The log store on PostgreSQL. Statements stand in sql/, the append's parameters are made in append-parameters.ts,
 * connections and their time limits are connection-pool.ts's, errors are StoreErrors.
 *
 * Three pools: append (one connection a shard measured best: while it is busy, dirty pages gather into the next
 * batch), read (loads and catch-up), other (births, snapshots, readiness). The tables must exist: prepare-database.ts
 * runs first, once for each node.
 */
import type { Log } from '../base/log.ts';
import { systemClock, type Clock, type Millis } from '../base/time.ts';
import { assert } from '../base/assert.ts';
import { seq, type EpochId, type PageId, type ReplicaId, type Seq, type UserId } from '../protocol/ids.ts';
import type { AppendBatch, LogEntry, LogStore, PageHead, PageKind, StoredSnapshot } from './log-store.ts';
import { appendParameters, assertBatches } from './append-parameters.ts';
import { ConnectionPool, type PoolTimeouts, type Row } from './connection-pool.ts';
import { checkSnapshot, snapshotChecksum } from './snapshot-checksum.ts';
import { StoreError } from './store-error.ts';
import { APPEND, APPEND_SESSION } from './sql/append.ts';
import { COMMIT_NOTHING, CREATE_PAGE, FIND_PAGE, READ_EPOCH } from './sql/pages.ts';
import { READ_LOG } from './sql/read-log.ts';
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
/** A deadlock or a serialization failure undoes the whole statement, so it may be run again unseen. */
const APPEND_ATTEMPTS_MAX = 3;
const UNDONE = new Set(['40001', '40P01']);

/** Connects at the first call, not now. */
export function openPostgresLogStore(options: PostgresLogStoreOptions): LogStore {
  return new PostgresLogStore(options);
}

class PostgresLogStore implements LogStore {
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
    };
    this.#append = new ConnectionPool({
      ...common,
      work: 'append',
      connections: options.appendConnections ?? 1,
      lockTimeoutMs: options.lockTimeoutMs ?? 200,
      session: APPEND_SESSION,
    });
    this.#read = new ConnectionPool({ ...common, work: 'read', connections: options.readConnections ?? 2 });
    this.#other = new ConnectionPool({
      ...common,
      work: 'other',
      connections: options.otherConnections ?? 1,
    });
  }

  async epoch(): Promise<EpochId> {
    const [row] = await this.#read.query(READ_EPOCH, []);
    if (row === undefined) {
      throw new StoreError('connection', false, 'the epoch table is empty: restore it from a backup, or run ' +
        '"insert into epoch default values" once, which makes every client load its pages anew'); // prettier-ignore
    }
    return row[0] as EpochId;
  }

  async openPage(page: PageId, create?: PageKind): Promise<PageHead | undefined> {
    if (create === undefined) return toHead((await this.#read.query(FIND_PAGE, [page]))[0]);
    for (let attempt = 0; attempt < CREATE_ATTEMPTS_MAX; attempt++) {
      const head = toHead((await this.#other.query(CREATE_PAGE, [page, create]))[0]);
      if (head !== undefined) return head;
    }
    throw new StoreError(
      '23503',
      false,
      `page ${page} is in "pages" but has no row in "page_heads": restore both`,
    );
  }

  async append(batches: readonly AppendBatch[]): Promise<ReadonlySet<PageId>> {
    const moved = new Set<PageId>();
    if (batches.length === 0) return moved;
    assertBatches(batches);
    const rows = await this.#appendRows(appendParameters(batches));
    for (const row of rows) moved.add(row[0] as PageId);
    return moved;
  }

  async #appendRows(parameters: unknown[]): Promise<readonly Row[]> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.#append.query(APPEND, parameters);
      } catch (error) {
        // The outside world failed. Only where it is certain that nothing was done is the second try ours to make.
        const again = error instanceof StoreError && UNDONE.has(error.code) && attempt < APPEND_ATTEMPTS_MAX;
        if (!again) throw error;
      }
    }
  }

  async readLog(page: PageId, after: Seq, limit: number, bytesMax: number): Promise<LogEntry[]> {
    assert(limit >= 1, 'readLog needs a limit of at least 1');
    const rows = await this.#read.query(READ_LOG, [page, after, limit, bytesMax]);
    return rows.map(toEntry);
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

  async saveSnapshot(page: PageId, snapshot: StoredSnapshot): Promise<void> {
    const { seq: at, modelVersion, body, private: own } = snapshot;
    await this.#other.query(SAVE_SNAPSHOT, [page, at, modelVersion, snapshotChecksum(snapshot), body, own]);
  }

  async ping(): Promise<void> {
    await this.#other.query(COMMIT_NOTHING, []);
  }

  async close(): Promise<void> {
    await Promise.all([this.#append.close(), this.#read.close(), this.#other.close()]);
  }
}

function toHead(row: Row | undefined): PageHead | undefined {
  if (row === undefined) return undefined;
  return { kind: row[0] as PageKind, head: seq(Number(row[1])), closed: row[2] as boolean };
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
