/**
 * What only the PostgreSQL twin can show: a head that somebody else holds locked, connections killed under an append,
 * and the guards that the database itself keeps. The contract is in test/contracts/log-store.ts.
 */
import pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createTestDatabase, type TestDatabase } from '../../test/support/database.ts';
import { silentLog } from '../base/log.ts';
import { seededRandom } from '../base/random.ts';
import { sleep } from '../base/time.ts';
import { newId, seq, type PageId, type ReplicaId, type UserId } from '../protocol/ids.ts';
import type { AppendBatch, LogStore } from './log-store.ts';
import { openPostgresLogStore } from './postgres-log-store.ts';
import { prepareDatabase } from './prepare-database.ts';

let database: TestDatabase;
let store: LogStore;
/** Sessions of our own: one holds locks, one watches and kills (a transaction sees old activity until it ends). */
let other: pg.Client;
let watcher: pg.Client;

beforeAll(async () => {
  database = await createTestDatabase();
  await prepareDatabase({ url: database.url, log: silentLog });
  store = openPostgresLogStore({ url: database.url, log: silentLog });
  other = new pg.Client(database.url);
  watcher = new pg.Client(database.url);
  await Promise.all([other.connect(), watcher.connect()]);
});
afterAll(async () => {
  await Promise.all([other.end(), watcher.end()]);
  await store.close();
  await database.drop();
});

const random = seededRandom(4);
const replica = newId<ReplicaId>(0, random);

async function newPage(): Promise<PageId> {
  const page = newId<PageId>(1_700_000_000_000, random);
  await store.openPage(page, 'blocks');
  return page;
}

function batch(page: PageId, known: number, body = Uint8Array.of(1)): AppendBatch {
  const change = { replica, n: known + 1, hlcMs: 1, hlcCounter: 0, author: 'u' as UserId, at: 1, body };
  return { page, known: seq(known), changes: [change] };
}

const headOf = async (page: PageId) => (await store.openPage(page))?.head;
const lockHead = (page: PageId) =>
  other.query(`begin; select from page_heads where page_id = '${page}' for update`);
const killAppends = () =>
  watcher.query(`select pg_terminate_backend(pid, 5000) from pg_stat_activity
               where datname = current_database() and application_name = 'octavo append'`);

/** Resolves when an append of this database waits for a lock. */
async function appendWaits(): Promise<void> {
  const waiting = `select from pg_stat_activity where datname = current_database()
                   and application_name = 'octavo append' and wait_event_type = 'Lock'`;
  for (let attempt = 0; (await watcher.query(waiting)).rowCount === 0; attempt++) {
    expect(attempt).toBeLessThan(400);
    await sleep(5);
  }
}

test('a head that another transaction holds makes the append give up within a second, with nothing written', async () => {
  const [held, free] = [await newPage(), await newPage()];
  await store.append([batch(free, 0)]);
  await lockHead(held);
  const started = performance.now();
  const failed = store.append([batch(held, 0), batch(free, 1)]);
  await expect(failed).rejects.toMatchObject({ name: 'StoreError', code: '55P03', retryable: true });
  expect(performance.now() - started).toBeLessThan(1_000);
  expect(await store.append([batch(free, 1)])).toEqual(new Set([free]));
  await other.query('rollback');
  expect(await store.append([batch(held, 0)])).toEqual(new Set([held]));
  expect(await headOf(free)).toBe(2);
});

test('a page that moved on before is not waited for, though it is locked', async () => {
  const page = await newPage();
  await store.append([batch(page, 0)]);
  await lockHead(page);
  expect(await store.append([batch(page, 0)])).toEqual(new Set());
  await other.query('rollback');
});

test('a head that moves while the append waits for it is left out', async () => {
  const [page, sibling] = [await newPage(), await newPage()];
  const patient = openPostgresLogStore({ url: database.url, log: silentLog, lockTimeoutMs: 4_000 });
  await lockHead(page);
  const appended = patient.append([batch(page, 0), batch(sibling, 0)]);
  await appendWaits();
  await other.query(`update page_heads set seq = 7 where page_id = '${page}'; commit`);
  expect(await appended).toEqual(new Set([sibling]));
  expect(await headOf(page)).toBe(7);
  expect(await store.readLog(page, seq(0), 10, 1_000)).toEqual([]);
  await patient.close();
});

test('a page that is closed while the append waits for it is left out', async () => {
  const page = await newPage();
  const patient = openPostgresLogStore({ url: database.url, log: silentLog, lockTimeoutMs: 4_000 });
  await lockHead(page);
  const appended = patient.append([batch(page, 0)]);
  await appendWaits();
  await other.query(`update page_heads set closed = true where page_id = '${page}'; commit`);
  expect(await appended).toEqual(new Set());
  await patient.close();
});

test('a connection killed during an append: it rejects as retryable, nothing is written, the next one works', async () => {
  const page = await newPage();
  const patient = openPostgresLogStore({ url: database.url, log: silentLog, lockTimeoutMs: 4_000 });
  await lockHead(page);
  const failed = patient.append([batch(page, 0)]).catch((error: unknown) => error);
  await appendWaits();
  await killAppends();
  expect(await failed).toMatchObject({ name: 'StoreError', retryable: true });
  await other.query('rollback');
  expect(await headOf(page)).toBe(0);
  expect(await patient.append([batch(page, 0)])).toEqual(new Set([page]));
  await patient.close();
});

test('a connection killed between two appends costs at most one of them', async () => {
  const page = await newPage();
  await store.append([batch(page, 0)]);
  await killAppends();
  await store
    .append([batch(page, 1)])
    .catch((error: unknown) => expect(error).toMatchObject({ retryable: true }));
  const known = (await headOf(page))!;
  expect(await store.append([batch(page, known)])).toEqual(new Set([page]));
});

test('one change that PostgreSQL cannot store fails the whole append, and says so as final', async () => {
  const [page, good] = [await newPage(), await newPage()];
  const [bad] = batch(page, 0).changes;
  const withNul = { page, known: seq(0), changes: [{ ...bad!, author: 'a\0b' as UserId }] };
  await expect(store.append([batch(good, 0), withNul])).rejects.toMatchObject({
    code: '22021',
    retryable: false,
  });
  expect([await headOf(page), await headOf(good)]).toEqual([0, 0]);
});

test('a log that holds more than its head says is never written over', async () => {
  const page = await newPage();
  await store.append([batch(page, 0, Uint8Array.of(42))]);
  await other.query(`update page_heads set seq = 0 where page_id = '${page}'`);
  await expect(store.append([batch(page, 0)])).rejects.toMatchObject({ code: '23505', retryable: false });
  expect((await store.readLog(page, seq(0), 10, 1_000)).map((entry) => entry.body[0])).toEqual([42]);
});
