/**
 * How a server starts, and what stops it from starting: each way with exit code 1 and a sentence that names the cause,
 * never a password and never a stack.
 */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { readConfig } from '../../src/config.ts';
import type { ServerFile } from '../../src/local-server.ts';
import { LIMIT_TABLE } from '../../src/protocol/limits.ts';
import { type CommandResult, octavo } from '../support/command.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { enter } from '../support/raw-client.ts';
import { headOf, makePage, serves } from '../support/raw-page.ts';
import {
  type ServerOptions,
  startServer,
  TEST_SECRET,
  testToken,
  type TestServer,
} from '../support/server.ts';
import { until } from '../support/wait.ts';

let dataDir: string;
let database: TestDatabase;
const running: TestServer[] = [];

beforeAll(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'octavo-start-'));
  database = await createTestDatabase();
});

afterAll(async () => {
  await database?.drop();
  await rm(dataDir, { recursive: true, force: true });
});

/** A server that is ended after its test, whatever comes of that. */
async function run(options: ServerOptions = {}): Promise<TestServer> {
  const server = await startServer(options);
  running.push(server);
  return server;
}

afterEach(async () => {
  await Promise.all(running.splice(0).map((server) => server.dispose()));
});

/** Starts, expects that it does not come up, and that it says why in a way made for people. */
async function failedStart(env: Record<string, string>): Promise<CommandResult> {
  const result = await octavo(['start'], { DATA_DIR: dataDir, DATABASE_URL: database.url, SYNC_PORT: '0', LOG_LEVEL: 'error', ...env });
  expect(result.stderr).not.toMatch(/\n\s+at /);
  expect(result.stdout).toBe('');
  expect(result.code).toBe(1);
  return result;
} // prettier-ignore

describe('what stops a start', () => {
  const wrong: readonly [Record<string, string>, RegExp][] = [
    [{ SYNC_PORT: 'http' }, /SYNC_PORT=http: expected a whole number from 0 to 65535/],
    [{ SHARDS: '1.5' }, /SHARDS=1.5: expected a whole number/],
    [
      { ALLOWED_ORIGINS: 'https://a.example, b.example' },
      /ALLOWED_ORIGINS: “b\.example” is no origin like https/,
    ],
    [{ TRUSTED_PROXIES: '::1, 10.0.0.0/40' }, /TRUSTED_PROXIES: “10\.0\.0\.0\/40” is no address like/],
    [{ TRANSPORT: 'tcp' }, /TRANSPORT=tcp: expected one of auto, uws, ws/],
    [{ JWT_SECRET: 'short' }, /JWT_SECRET is shorter than 32 bytes/],
    [{ JWT_SECRET: TEST_SECRET, JWKS_URL: 'https://x.test/jwks' }, /JWT_SECRET and JWKS_URL are set/],
    [{ JWT_PUBLIC_KEY: 'no key' }, /JWT_PUBLIC_KEY is no public key/],
    [{ JWKS_URL: 'ftp://x.test' }, /JWKS_URL is no URL that begins with https/],
    [{ DATABASE_URL: 'mysql://u:pass-word@h/db' }, /DATABASE_URL is no URL that begins with postgres/],
    [{ HOST: '0.0.0.0' }, /HOST=0\.0\.0\.0 is reachable.*JWT_SECRET/],
    [{ HOST: '192.0.2.1', JWT_SECRET: TEST_SECRET }, /192\.0\.2\.1/],
    [{ MESSAGE_BYTES_MAX: '70000', PROPS_BYTES_MAX: '70000' }, /MESSAGE_BYTES_MAX must hold/],
  ];
  test.each(wrong)('%o', async (env, reason) => {
    const { stderr } = await failedStart(env);
    expect(stderr).toMatch(reason);
    expect(stderr).not.toContain('pass-word');
  });

  test('W14 every variable of the table names itself', () => {
    const wrongValues: Record<string, string> = {
      SYNC_PORT: '65536', SHARDS: '-1', DATABASE_URL: 'x', JWT_SECRET: 'x', JWKS_URL: 'x', TRANSPORT: 'x',
      LOG_LEVEL: 'loud', EVICT_IDLE_MS: '1e99', MEMORY_MB_PER_SHARD: '1', HOST: '::', TRUSTED_PROXIES: 'x',
    }; // prettier-ignore
    for (const { env } of Object.values(LIMIT_TABLE)) wrongValues[env] = '0';
    for (const [name, value] of Object.entries(wrongValues)) {
      expect(() => readConfig({ [name]: value }), name).toThrow(name);
      expect(() => readConfig({ [name]: '' }), name).not.toThrow();
    }
  });

  test('G38 a port in use', async () => {
    const holder = createServer();
    await new Promise<void>((resolve) => holder.listen(0, '127.0.0.1', resolve));
    const { port } = holder.address() as AddressInfo;
    for (const TRANSPORT of ['uws', 'ws']) {
      expect((await failedStart({ SYNC_PORT: String(port), TRANSPORT })).stderr).toContain(String(port));
    }
    await new Promise((resolve) => holder.close(resolve));
  });

  test('S27 a database that does not answer, does not exist, or does not let us in: named, without the password', async () => {
    const holder = createServer();
    await new Promise<void>((resolve) => holder.listen(0, '127.0.0.1', resolve));
    const { port } = holder.address() as AddressInfo;
    await new Promise((resolve) => holder.close(resolve));
    const away = await failedStart({ DATABASE_URL: `postgres://octavo:pass-word@127.0.0.1:${port}/octavo` });
    expect(away.stderr).toContain(`127.0.0.1:${port}/octavo`);
    const missing = new URL(database.url);
    missing.pathname = '/octavo_is_not_there';
    const absent = await failedStart({ DATABASE_URL: missing.href });
    expect(absent.stderr).toMatch(/octavo_is_not_there.*createdb/s);
    const stranger = new URL(database.url);
    stranger.username = 'octavo_nobody';
    stranger.password = 'pass-word';
    const refused = await failedStart({ DATABASE_URL: stranger.href });
    expect(refused.stderr).toContain('octavo_nobody');
    expect(away.stderr + absent.stderr + refused.stderr).not.toContain('pass-word');
  });

  test('a DATA_DIR that is a file', async () => {
    const file = join(dataDir, 'file');
    await writeFile(file, '');
    expect((await failedStart({ DATA_DIR: file, JWT_SECRET: TEST_SECRET })).stderr).toContain(file);
  });
});

describe('ways to run', () => {
  const modes: readonly [string, Record<string, string>, number][] = [
    ['the ws transport', { TRANSPORT: 'ws' }, 1],
    ['no shard threads', { SHARDS: '0' }, 1],
    ['two shard threads', { SHARDS: '2' }, 2],
  ];
  test.each(modes)('G22 %s: pages live, restart, and are counted', async (_, env, shards) => {
    const server = await run({ env });
    const made = await Promise.all(Array.from({ length: 6 }, () => makePage(server)));
    const client = await enter(server.url, await testToken('ann'));
    for (const [ch, { page }] of made.entries()) await client.subscribe(ch, page);
    const metrics = await (await fetch(`${server.http}/metrics`)).text();
    const value = (name: string) => Number(new RegExp(`^${name} (\\S+)$`, 'm').exec(metrics)?.[1]);
    expect(value('octavo_pages_live')).toBe(6);
    expect(value('octavo_shard_up')).toBe(shards);
    expect(value('octavo_sockets')).toBe(1);
    expect(value('octavo_changes_committed_total')).toBe(6);
    const accepted = [...metrics.matchAll(/^octavo_changes_total\{outcome="accepted",op="\w+"\} (\d+)$/gm)];
    expect(accepted.reduce((sum, [, count]) => sum + Number(count), 0)).toBe(6);
    expect(value('octavo_frames_received_total')).toBeGreaterThan(6);
    expect(metrics).toContain('octavo_commit_seconds_bucket');
    expect(value('process_cpu_user_seconds_total')).toBeGreaterThan(0);
    server.kill('SIGTERM');
    expect(await server.exited).toBe(0);
    await server.restart();
    for (const { page } of made) expect(await headOf(server, page)).toBe(1);
  });

  test('S28 the embedded PostgreSQL: started with the server, stopped with it, and its pages stay', async () => {
    const server = await run({ embedded: true });
    const { page } = await makePage(server);
    expect((await fetch(`${server.http}/readyz`)).status).toBe(200);
    server.kill('SIGTERM');
    expect(await server.exited).toBe(0);
    await server.restart();
    expect(await headOf(server, page)).toBe(1);
  });

  test('S26 two servers that start at once on one empty database', async () => {
    const servers = await Promise.all([1, 2].map(() => run({ env: { DATABASE_URL: database.url } })));
    const [one, two] = servers as [TestServer, TestServer];
    await serves(one);
    const { page } = await makePage(two);
    expect(await headOf(one, page)).toBe(1);
    const migrated = servers.map((server) => server.log().split('migrating the database').length - 1);
    expect(migrated.sort()[0]).toBe(0);
  });

  test('a secret of its own is made once, and is nobody else’s to read', async () => {
    const first = await octavo(['token', '--user', 'ann'], { DATA_DIR: dataDir });
    const server = await run({ env: { JWT_SECRET: '' } });
    const { mode } = await import('node:fs/promises').then(({ stat }) =>
      stat(join(server.dataDir, 'jwt-secret')),
    );
    expect(mode & 0o077).toBe(0);
    const { stdout } = await octavo(['token', '--user', 'ann'], { DATA_DIR: server.dataDir });
    const client = await enter(server.url, stdout.trim());
    await client.close();
    await expect(enter(server.url, first.stdout.trim())).rejects.toThrow(/closed/);
  });
});

describe('health', () => {
  test('G22 /healthz lives, /readyz follows the database, other paths are 404', async () => {
    const server = await run();
    const status = async (path: string) => (await fetch(`${server.http}${path}`)).status;
    expect(await status('/healthz')).toBe(200);
    expect(await status('/readyz')).toBe(200);
    expect(await status('/nonsense')).toBe(404);
    const { page } = await makePage(server);

    const url = new URL(server.databaseUrl!);
    const name = url.pathname.slice(1);
    url.pathname = '/postgres';
    const admin = new pg.Client({ connectionString: url.href });
    await admin.connect();
    await admin.query(`alter database ${name} allow_connections false`);
    await admin.query('select pg_terminate_backend(pid) from pg_stat_activity where datname = $1', [name]);
    expect(await status('/readyz')).toBe(503);
    expect(await status('/healthz')).toBe(200);
    expect(await status('/metrics')).toBe(200);
    await admin.query(`alter database ${name} allow_connections true`);
    await admin.end();
    await until(async () => (await status('/readyz')) === 200, () => server.log().slice(-2000));
    expect(await headOf(server, page)).toBe(1);
    await serves(server);
  }); // prettier-ignore
});

describe('server.json', () => {
  test('is written at the start and removed at the stop; one that was left behind is known as such', async () => {
    const server = await run();
    const path = join(server.dataDir, 'server.json');
    const text = await readFile(path, 'utf8');
    const file = JSON.parse(text) as ServerFile;
    expect(file).toMatchObject({ pid: server.pid, url: server.url, http: server.http });
    expect(file.url).toMatch(/^ws:\/\/127\.0\.0\.1:\d+\/v1\/sync$/);
    const { page } = await makePage(server);
    const env = { DATA_DIR: server.dataDir, JWT_SECRET: TEST_SECRET };
    expect((await octavo(['cat', page], env)).code).toBe(0);
    server.kill('SIGTERM');
    expect(await server.exited).toBe(0);
    await expect(readFile(path)).rejects.toThrow('ENOENT');
    expect(await octavo(['cat', page], env)).toMatchObject({ code: 1, stderr: expect.stringContaining('no server runs') });

    await server.restart();
    server.kill('SIGKILL');
    await server.exited;
    const stale = await octavo(['cat', page], env);
    expect(stale).toMatchObject({ code: 1, stdout: '', stderr: expect.stringMatching(/is gone.*npm start/) });
    await server.restart();
    expect(JSON.parse(await readFile(path, 'utf8'))).toMatchObject({ pid: server.pid });
  }); // prettier-ignore
});
