/**
 * A small pool of connections to PostgreSQL on which no call waits for ever. Over pg's own pool it adds:
 * - one time limit for each phase: waiting for a connection, making one, the statement (server side), the query
 *   (client side). The last is for a frozen server, which cannot keep the third; it destroys the connection;
 * - connections that are kept after an error which left them sound (a lock timeout), since making one and preparing its
 *   statements again costs more than the append itself;
 * - a listener for every error of every connection, idle or not: an unheard one would end the process;
 * - a close that waits for the queries under way. (pg's forgets those still waiting for a connection.)
 *
 * Lost connections are replaced at the next query. Used by postgres-log-store.ts, which has one pool for each kind of
 * work, so that a burst of page loads cannot hold up an append.
 */
import pg from 'pg';
import type { Log } from '../base/log.ts';
import type { Clock, Millis } from '../base/time.ts';
import { assert } from '../base/assert.ts';
import { closedError, leavesConnectionUsable, timeoutError, toStoreError } from './store-error.ts';

export interface Statement {
  /** Prepared under this name, once for each connection. */
  readonly name: string;
  readonly text: string;
}

export interface PoolTimeouts {
  readonly acquireTimeoutMs: Millis;
  readonly connectTimeoutMs: Millis;
  readonly statementTimeoutMs: Millis;
  /** Longer than the statement's, so that a server that is alive answers first. */
  readonly queryTimeoutMs: Millis;
}

export interface PoolOptions extends PoolTimeouts {
  readonly url: string;
  /** Names the work, in errors, logs and pg_stat_activity. */
  readonly work: string;
  readonly connections: number;
  readonly lockTimeoutMs?: Millis;
  /** SQL run once on every new connection. */
  readonly session?: string;
  readonly log: Log;
  readonly clock: Clock;
}

export interface PoolUse {
  readonly busy: number;
  readonly idle: number;
  /** Queries that wait for a connection. */
  readonly waiting: number;
}

export type Row = readonly unknown[];

const KEEP_ALIVE_FIRST_MS = 10_000;

export class ConnectionPool {
  readonly #options: PoolOptions;
  readonly #pool: pg.Pool;
  readonly #underWay = new Set<Promise<unknown>>();
  #closed: Promise<void> | undefined;

  constructor(options: PoolOptions) {
    assert(
      options.queryTimeoutMs > options.statementTimeoutMs,
      'the query timeout must exceed the statement timeout',
    );
    this.#options = options;
    const { session } = options;
    this.#pool = new pg.Pool({
      connectionString: options.url,
      max: options.connections,
      application_name: `octavo ${options.work}`,
      connectionTimeoutMillis: options.connectTimeoutMs,
      statement_timeout: options.statementTimeoutMs,
      ...(options.lockTimeoutMs === undefined ? {} : { lock_timeout: options.lockTimeoutMs }),
      // Idle connections stay: the pools are small, and the first edit after a pause should not wait for a handshake.
      idleTimeoutMillis: 0,
      keepAlive: true,
      keepAliveInitialDelayMillis: KEEP_ALIVE_FIRST_MS,
      // The pool awaits what this returns, though its types do not say so.
      ...(session === undefined ? {} : { onConnect: (client) => client.query(session) as unknown as void }),
    });
    const lost = (error: Error) =>
      options.log.warn(
        { work: options.work, reason: error.message },
        'database connection lost; the next query makes a new one',
      );
    this.#pool.on('error', lost);
    // While a connection is lent out the pool does not listen; the query under way is told by itself.
    this.#pool.on('connect', (client) => void client.on('error', () => {}));
  }

  get use(): PoolUse {
    const { totalCount, idleCount, waitingCount } = this.#pool;
    return { busy: totalCount - idleCount, idle: idleCount, waiting: waitingCount };
  }

  /** Runs a statement; rows are arrays in the order of the columns. Rejects with StoreError only. */
  query(statement: Statement, values: unknown[]): Promise<readonly Row[]> {
    if (this.#closed !== undefined) return Promise.reject(closedError(this.#options.work));
    const running = this.#query(statement, values);
    this.#underWay.add(running);
    const done = () => void this.#underWay.delete(running);
    running.then(done, done);
    return running;
  }

  /** Refuses new queries, waits for those under way, and lets go of the connections. Further calls wait for the first. */
  close(): Promise<void> {
    this.#closed ??= Promise.allSettled(this.#underWay).then(() => this.#pool.end());
    return this.#closed;
  }

  async #query(statement: Statement, values: unknown[]): Promise<readonly Row[]> {
    let client: pg.PoolClient | undefined;
    try {
      client = await this.#acquire();
      const rows = await this.#run(client, statement, values);
      client.release();
      return rows;
    } catch (error) {
      client?.release(!leavesConnectionUsable(error));
      throw toStoreError(error, this.#options.work);
    }
  }

  #acquire(): Promise<pg.PoolClient> {
    const { clock, acquireTimeoutMs, work } = this.#options;
    return new Promise((resolve, reject) => {
      let waiting = true;
      const timer = clock.after(acquireTimeoutMs, () => {
        waiting = false;
        reject(timeoutError(work, 'waiting for a connection', acquireTimeoutMs));
      });
      this.#pool.connect().then(
        (client) => {
          timer.cancel();
          if (waiting) resolve(client);
          else client.release();
        },
        (error: unknown) => {
          timer.cancel();
          reject(error);
        },
      );
    });
  }

  #run(client: pg.PoolClient, statement: Statement, values: unknown[]): Promise<readonly Row[]> {
    const { clock, queryTimeoutMs, work } = this.#options;
    return new Promise((resolve, reject) => {
      const timer = clock.after(queryTimeoutMs, () =>
        reject(timeoutError(work, 'the query', queryTimeoutMs)),
      );
      const config = { name: statement.name, text: statement.text, values, rowMode: 'array' as const };
      client.query(config, (error: Error | null, result: pg.QueryArrayResult) => {
        timer.cancel();
        if (error) reject(error);
        else resolve(result.rows);
      });
    });
  }
}
