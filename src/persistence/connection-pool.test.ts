/**
 * The pool's promises: no call waits for ever, a query that ran out of time takes its connection with it, a sound
 * connection is kept, a lost one replaced.
 */
import { createServer, type AddressInfo } from 'node:net';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createTestDatabase, type TestDatabase } from '../../test/support/database.ts';
import { silentLog } from '../base/log.ts';
import { systemClock } from '../base/time.ts';
import { ConnectionPool, type PoolOptions } from './connection-pool.ts';

const BACKEND = { name: 'backend', text: 'select pg_backend_pid()' };
const SLEEP = { name: 'sleep', text: 'select pg_sleep($1::float8)' };

let database: TestDatabase;
beforeAll(async () => {
  database = await createTestDatabase();
});
afterAll(() => database.drop());

function open(options: Partial<PoolOptions> = {}): ConnectionPool {
  return new ConnectionPool({
    url: database.url,
    work: 'test',
    connections: 1,
    acquireTimeoutMs: 2_000,
    connectTimeoutMs: 2_000,
    statementTimeoutMs: 2_000,
    queryTimeoutMs: 3_000,
    log: silentLog,
    clock: systemClock,
    ...options,
  });
}

const backendOf = async (pool: ConnectionPool) => (await pool.query(BACKEND, []))[0]?.[0];

test('S24 a statement that takes too long is ended by the server; the connection is kept', async () => {
  const pool = open({ statementTimeoutMs: 150 });
  const before = await backendOf(pool);
  await expect(pool.query(SLEEP, [5])).rejects.toMatchObject({
    name: 'StoreError',
    code: '57014',
    retryable: true,
  });
  expect(await backendOf(pool)).toBe(before);
  await pool.close();
});

test('S24 a query that the server does not end is given up, together with its connection', async () => {
  const pool = open({ statementTimeoutMs: 299, queryTimeoutMs: 300, session: 'set statement_timeout = 0' });
  const before = await backendOf(pool);
  await expect(pool.query(SLEEP, [5])).rejects.toMatchObject({ code: 'timeout', retryable: true });
  const after = await backendOf(pool);
  expect(after).toEqual(expect.any(Number));
  expect(after).not.toBe(before);
  await pool.close();
});

test('S24 waiting for a connection ends; the connection is not lost by it', async () => {
  const pool = open({ acquireTimeoutMs: 150 });
  const before = await backendOf(pool);
  const slow = pool.query(SLEEP, [0.5]);
  await expect(pool.query(BACKEND, [])).rejects.toMatchObject({ code: 'timeout', retryable: true });
  await slow;
  expect(await backendOf(pool)).toBe(before);
  await pool.close();
});

test('S24 a host that accepts and says nothing, as a frozen one does, is given up', async () => {
  const mute = createServer(() => {}).listen(0, '127.0.0.1');
  await new Promise((resolve) => mute.once('listening', resolve));
  const url = `postgres://me:sekret@127.0.0.1:${(mute.address() as AddressInfo).port}/octavo`;
  const pool = open({ url, connectTimeoutMs: 200 });
  const failed = await pool.query(BACKEND, []).catch((error: unknown) => error);
  expect(failed).toMatchObject({ name: 'StoreError', code: 'timeout', retryable: true });
  expect(String(failed)).not.toContain('sekret');
  await pool.close();
  mute.close();
});

test('S21 a connection that is killed while idle is replaced, and the process hears no error', async () => {
  const [pool, killer] = [open(), open()];
  const before = await backendOf(pool);
  await killer.query({ name: 'kill', text: 'select pg_terminate_backend($1::int4, 2000)' }, [before]);
  await backendOf(pool).catch((error: unknown) => expect(error).toMatchObject({ retryable: true }));
  expect(await backendOf(pool)).not.toBe(before);
  await Promise.all([pool.close(), killer.close()]);
});
