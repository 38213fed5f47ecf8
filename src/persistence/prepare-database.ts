/**
 * What a node does with its database before anything else: connect, check the settings, migrate, read the epoch. Every
 * way to fail ends in one sentence with cause and remedy; the password of the URL is in none of them.
 *
 * Called by main and by commands. A StoreError with `retryable` (the server is not up yet) is worth another try.
 */
import pg from 'pg';
import type { Log } from '../base/log.ts';
import type { Millis } from '../base/time.ts';
import type { EpochId } from '../protocol/ids.ts';
import { checkDatabaseSettings } from './check-settings.ts';
import { migrate } from './migrate.ts';
import { StoreError, toStoreError } from './store-error.ts';
import { READ_EPOCH } from './sql/pages.ts';

export interface PrepareOptions {
  readonly url: string;
  readonly log: Log;
  readonly connectTimeoutMs?: Millis;
}

/** Returns the epoch of the database, which is ready for `openPostgresLogStore` from now on. */
export async function prepareDatabase({
  url,
  log,
  connectTimeoutMs = 5_000,
}: PrepareOptions): Promise<EpochId> {
  const client = await connect(url, connectTimeoutMs);
  try {
    await checkDatabaseSettings(client);
    await migrate(client, log);
    const result = await client.query<{ id: EpochId }>(READ_EPOCH.text);
    const row = result.rows[0];
    if (row === undefined)
      throw new StoreError('connection', false, 'the epoch table is empty: restore it from a backup');
    return row.id;
  } catch (error) {
    // Ours name themselves; what PostgreSQL said gets the same shape as everywhere.
    throw error instanceof pg.DatabaseError ? toStoreError(error, `preparing ${describeUrl(url)}`) : error;
  } finally {
    await client.end().catch(() => {});
  }
}

async function connect(url: string, connectTimeoutMs: Millis): Promise<pg.Client> {
  const place = describeUrl(url);
  const client = new pg.Client({
    connectionString: url,
    application_name: 'octavo start',
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
