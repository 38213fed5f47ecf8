/**
 * The database of a run: that of DATABASE_URL, or an embedded PostgreSQL in a temporary directory, started at the first
 * call and stopped at the end. Every suite gets a fresh database on it and drops it. The processes of PostgreSQL are
 * found through the connection itself, so that their CPU time can be counted.
 */
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { silentLog } from '../../src/base/log.ts';
import { startEmbeddedPostgres } from '../../src/persistence/embedded/embedded-postgres.ts';
import { prepareDatabase } from '../../src/persistence/prepare-database.ts';
import type { EpochId } from '../../src/protocol/ids.ts';
import { parentOf } from './processes.ts';

export interface EmptyDatabase {
  readonly url: string;
  /** PostgreSQL's main process, when it runs on this machine. */
  readonly postmasterPid: number | null;
  drop(): Promise<void>;
}

export interface BenchDatabase extends EmptyDatabase {
  readonly epoch: EpochId;
}

interface Server {
  readonly url: string;
  readonly version: string;
  readonly postmasterPid: number | null;
  stop(): Promise<void>;
}

let server: Promise<Server> | undefined;

async function query(url: string, sql: string): Promise<unknown[][]> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 5_000 });
  client.on('error', () => {});
  await client.connect();
  try {
    return (await client.query({ text: sql, rowMode: 'array' })).rows as unknown[][];
  } finally {
    await client.end();
  }
}

async function findServer(): Promise<Server> {
  const given = process.env['DATABASE_URL'];
  if (given) return describe(given, `${new URL(given).hostname}`, async () => {});
  const dir = await mkdtemp(join(tmpdir(), 'octavo-bench-'));
  const embedded = await startEmbeddedPostgres({ dataDir: dir, log: silentLog });
  return describe(embedded.url, 'embedded', async () => {
    await embedded.stop();
    await rm(dir, { recursive: true, force: true });
  });
}

async function describe(url: string, place: string, stop: () => Promise<void>): Promise<Server> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    const { rows } = await client.query<{ version: string; pid: number }>(
      `select current_setting('server_version') as version, pg_backend_pid() as pid`,
    );
    const { version, pid } = rows[0]!;
    const postmasterPid = parentOf(pid, 'postgres');
    return { url, version: `${version.split(' ')[0]} (${place})`, postmasterPid, stop };
  } finally {
    await client.end();
  }
}

/** A fresh database with nothing in it. */
export async function openEmptyDatabase(): Promise<EmptyDatabase> {
  server ??= findServer();
  const { url: serverUrl, postmasterPid } = await server;
  const name = `octavo_bench_${randomBytes(6).toString('hex')}`;
  await query(serverUrl, `create database ${name} encoding 'UTF8' template template0`);
  const url = new URL(serverUrl);
  url.pathname = `/${name}`;
  const drop = async () => void (await query(serverUrl, `drop database if exists ${name} with (force)`));
  return { url: url.href, postmasterPid, drop };
}

/** A fresh, migrated database. */
export async function openBenchDatabase(): Promise<BenchDatabase> {
  const database = await openEmptyDatabase();
  const epoch = await prepareDatabase({ url: database.url, log: silentLog });
  return { ...database, epoch };
}

/** Writes all dirty pages out, so that no round pays for the one before. Needs the right to; without it, nothing. */
export async function checkpoint(url: string): Promise<void> {
  await query(url, 'checkpoint').catch(() => {});
}

/** The version of the PostgreSQL that was used; null if none was. */
export async function databaseVersion(): Promise<string | null> {
  return server ? (await server).version : null;
}

export async function closeDatabases(): Promise<void> {
  const last = server;
  server = undefined;
  await (await last)?.stop();
}
