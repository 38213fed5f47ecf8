/**
 * Databases for tests: a real PostgreSQL, a fresh randomly named database for each call, dropped by its caller.
 *
 * The server is the one of TEST_DATABASE_URL; without that, one on 127.0.0.1:5432 if it answers; else the embedded one
 * is started in a temporary directory and stopped when the last database of this process is dropped. With CI=true a
 * missing service fails instead: a pipeline that quietly tests something else is worse than a red one.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { silentLog } from '../../src/base/log.ts';
import { systemRandom } from '../../src/base/random.ts';

export interface TestDatabase {
  readonly url: string;
  /** Drops the database, also under the feet of connections that are still open. */
  drop(): Promise<void>;
}

interface Server {
  readonly url: string;
  stop(): Promise<void>;
}

const LOCAL_URL = 'postgres://postgres@127.0.0.1:5432/postgres';

let server: Promise<Server> | undefined;
let databases = 0;

export async function createTestDatabase(): Promise<TestDatabase> {
  server ??= findServer();
  const { url: serverUrl } = await server;
  databases++;
  const name = `octavo_test_${Buffer.from(systemRandom.bytes(8)).toString('hex')}`;
  await runOn(serverUrl, `create database ${name} encoding 'UTF8' template template0`);
  const url = new URL(serverUrl);
  url.pathname = `/${name}`;
  let dropped: Promise<void> | undefined;
  return { url: url.href, drop: () => (dropped ??= drop(serverUrl, name)) };
}

async function drop(serverUrl: string, name: string): Promise<void> {
  await runOn(serverUrl, `drop database if exists ${name} with (force)`);
  if (--databases > 0) return;
  const last = server;
  server = undefined;
  await (await last)?.stop();
}

async function runOn(url: string, sql: string): Promise<void> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 3_000 });
  client.on('error', () => {});
  await client.connect();
  try {
    await client.query(sql);
  } finally {
    await client.end();
  }
}

async function findServer(): Promise<Server> {
  const given = process.env['TEST_DATABASE_URL'];
  const url = given ?? LOCAL_URL;
  try {
    await runOn(url, 'select 1');
    return { url, stop: async () => {} };
  } catch (error) {
    // The outside world: no server there. A URL that somebody gave is meant, so it is never replaced.
    if (given !== undefined || process.env['CI'] === 'true') {
      throw new Error('no PostgreSQL for the tests: start one, or correct TEST_DATABASE_URL', {
        cause: error,
      });
    }
    return startEmbedded();
  }
}

async function startEmbedded(): Promise<Server> {
  // Loaded only when needed: it brings a whole PostgreSQL along.
  const { startEmbeddedPostgres } = await import('../../src/persistence/embedded/embedded-postgres.ts');
  const dataDir = await mkdtemp(join(tmpdir(), 'octavo-test-postgres-'));
  const embedded = await startEmbeddedPostgres({ dataDir: join(dataDir, 'data'), log: silentLog });
  return {
    url: embedded.url,
    async stop() {
      await embedded.stop();
      await rm(dataDir, { recursive: true, force: true });
    },
  };
}
