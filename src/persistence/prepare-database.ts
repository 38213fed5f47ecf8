/**
 * What a node does with its database before anything else: connect, check the settings, migrate, look whether it is still
 * the database that it was (else it gets a new epoch). Every way to fail ends in one sentence with cause and remedy; the
 * password of the URL is in none of them.
 *
 * Called by main and by commands. A StoreError with `retryable` (the server is not up yet) is worth another try.
 */
import pg from 'pg';
import type { Log } from '../base/log.ts';
import type { Millis } from '../base/time.ts';
import type { EpochId } from '../protocol/ids.ts';
import { checkDatabaseSettings } from './check-settings.ts';
import { checkMigrated, migrate } from './migrate.ts';
import { StoreError, toStoreError } from './store-error.ts';
import { DESCRIBE_EPOCH, EPOCH_SESSION } from './sql/epoch.ts';

export interface PrepareOptions {
  readonly url: string;
  readonly log: Log;
  readonly connectTimeoutMs?: Millis;
}

const CONNECT_TIMEOUT_MS = 5_000;

/** Returns the epoch of the database, which is ready for `openPostgresLogStore` from now on. */
export async function prepareDatabase({
  url,
  log,
  connectTimeoutMs = CONNECT_TIMEOUT_MS,
}: PrepareOptions): Promise<EpochId> {
  return withClient(url, connectTimeoutMs, async (client) => {
    await checkDatabaseSettings(client);
    await migrate(client, log);
    await client.query(EPOCH_SESSION);
    const result = await client.query<{ id: EpochId; noticed: boolean }>(DESCRIBE_EPOCH);
    const row = result.rows[0];
    if (row === undefined)
      throw new StoreError('connection', false, 'the epoch table is empty: restore it from a backup');
    if (!row.noticed) log.warn({}, 'this database does not say which incarnation it is: run "octavo epoch --new" after a restore or a failover'); // prettier-ignore
    return row.id;
  });
}

/** For commands: rejects unless the database answers and its tables are those of this version. Changes nothing. */
export async function checkDatabase(url: string): Promise<void> {
  await withClient(url, CONNECT_TIMEOUT_MS, (client) => checkMigrated(client, describeUrl(url)));
}

async function withClient<T>(url: string, connectTimeoutMs: Millis, work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = await connectDatabase(url, 'start', connectTimeoutMs);
  try {
    return await work(client);
  } catch (error) {
    // Ours name themselves; what PostgreSQL said gets the same shape as everywhere.
    throw error instanceof pg.DatabaseError ? toStoreError(error, `preparing ${describeUrl(url)}`) : error;
  } finally {
    await client.end().catch(() => {});
  }
} // prettier-ignore

/** One connection for a piece of `work`, ended by the caller. Rejects with a StoreError that says what to do. */
export async function connectDatabase(
  url: string,
  work: string,
  connectTimeoutMs: Millis = CONNECT_TIMEOUT_MS,
): Promise<pg.Client> {
  const place = describeUrl(url);
  const client = new pg.Client({
    connectionString: url,
    application_name: `octavo ${work}`,
    connectionTimeoutMillis: connectTimeoutMs,
    keepAlive: true,
  });
  // A connection lost between two queries must not end the process; the next query will say so.
  client.on('error', () => {});
  try {
    await client.connect();
  } catch (error) {
    const failed = toStoreError(error, `cannot connect to the database at ${place}`);
    throw new StoreError(
      failed.code,
      failed.retryable,
      `${failed.message}. ${remedy(failed.code, place)}`,
      error,
    );
  }
  return client;
}

function remedy(code: string, place: string): string {
  if (code === '3D000') return 'Create the database (createdb), or correct its name in DATABASE_URL.';
  if (code.startsWith('28'))
    return 'Correct user and password in DATABASE_URL, or allow the user in pg_hba.conf.';
  if (code === '53300') return 'Raise max_connections, or run fewer nodes or shards.';
  if (code === '57P03') return 'The server is starting or stopping: try again in a moment.';
  return `Check that PostgreSQL runs and listens at ${place}, and that nothing between blocks it; or unset DATABASE_URL to use the embedded one.`;
}

/** Host, port and database of a connection URL, without user and password. */
export function describeUrl(url: string): string {
  let parsed: URL;
  try {
    parsed = new URL(url);
  } catch {
    // The error would carry the text, and so the password, along.
    throw new StoreError(
      'connection',
      false,
      'DATABASE_URL is not a URL like postgres://user:password@host:5432/name',
    );
  }
  const host = parsed.hostname || parsed.searchParams.get('host') || 'localhost';
  return `${host}:${parsed.port || '5432'}${parsed.pathname}`;
}
