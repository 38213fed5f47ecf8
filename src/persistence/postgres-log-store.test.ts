/**
 * What only the PostgreSQL twin can show: a head that somebody else holds locked, connections killed under an append,
 * and the guards that the database itself keeps. The contract is in test/contracts/log-store.ts.
 */
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createTestDatabase, type TestDatabase } from '../../test/support/database.ts';
import { silentLog } from '../base/log.ts';
import { seededRandom } from '../base/random.ts';
import { sleep } from '../base/time.ts';
import { type EpochId, newId, seq, type PageId, type ReplicaId, type UserId } from '../protocol/ids.ts';
import type { AppendBatch, LogStore } from './log-store.ts';
import { openPostgresLogStore } from './postgres-log-store.ts';
import { prepareDatabase } from './prepare-database.ts';

let database: TestDatabase;
let store: LogStore;
/** Sessions of our own: one holds locks, one watches and kills (a transaction sees old activity until it ends). */
let other: pg.Client;
let watcher: pg.Client;
let epoch: EpochId;

beforeAll(async () => {
  database = await createTestDatabase();
  epoch = await prepareDatabase({ url: database.url, log: silentLog });
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
  return { page, epoch, known: seq(known), changes: [change] };
}

const pagesOf = (appended: ReadonlyMap<PageId, boolean>) => new Set(appended.keys());
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

test('S20 a head that another transaction holds makes the append give up within a second, with nothing written', async () => {
  const [held, free] = [await newPage(), await newPage()];
  await store.append([batch(free, 0)]);
  await lockHead(held);
  const started = performance.now();
  const failed = store.append([batch(held, 0), batch(free, 1)]);
  await expect(failed).rejects.toMatchObject({ name: 'StoreError', code: '55P03', retryable: true });
  expect(performance.now() - started).toBeLessThan(1_000);
  expect(pagesOf(await store.append([batch(free, 1)]))).toEqual(new Set([free]));
  await other.query('rollback');
  expect(pagesOf(await store.append([batch(held, 0)]))).toEqual(new Set([held]));
  expect(await headOf(free)).toBe(2);
});

test('S20 a page that moved on before is not waited for, though it is locked', async () => {
  const page = await newPage();
  await store.append([batch(page, 0)]);
  await lockHead(page);
  expect(pagesOf(await store.append([batch(page, 0)]))).toEqual(new Set());
  await other.query('rollback');
});

test('S2 S20 a head that moves while the append waits for it is left out', async () => {
  const [page, sibling] = [await newPage(), await newPage()];
  const patient = openPostgresLogStore({ url: database.url, log: silentLog, lockTimeoutMs: 4_000 });
  await lockHead(page);
  const appended = patient.append([batch(page, 0), batch(sibling, 0)]);
  await appendWaits();
  await other.query(`update page_heads set seq = 7 where page_id = '${page}'; commit`);
  expect(pagesOf(await appended)).toEqual(new Set([sibling]));
  expect(await headOf(page)).toBe(7);
  expect(await store.readLog(page, seq(0), 10, 1_000)).toEqual([]);
  await patient.close();
});

test('S125 an append tells whether another node has come too late since the one before, and once', async () => {
  const page = await newPage();
  const patient = openPostgresLogStore({ url: database.url, log: silentLog, lockTimeoutMs: 4_000 });
  for (const known of [0, 1])
    expect([...(await store.append([batch(page, known)]))]).toEqual([[page, false]]);
  await lockHead(page);
  const late = patient.append([batch(page, 2)]);
  await appendWaits();
  await other.query(`update page_heads set seq = 7 where page_id = '${page}'; commit`);
  expect(pagesOf(await late)).toEqual(new Set());
  expect([...(await store.append([batch(page, 7)]))]).toEqual([[page, true]]);
  expect([...(await store.append([batch(page, 8)]))]).toEqual([[page, false]]);
  await patient.close();
});

test('S2 S20 a page that is closed while the append waits for it is left out', async () => {
  const page = await newPage();
  const patient = openPostgresLogStore({ url: database.url, log: silentLog, lockTimeoutMs: 4_000 });
  await lockHead(page);
  const appended = patient.append([batch(page, 0)]);
  await appendWaits();
  await other.query(`update page_heads set closed = true where page_id = '${page}'; commit`);
  expect(pagesOf(await appended)).toEqual(new Set());
  await patient.close();
});

test('S21 a connection killed during an append: it rejects as retryable, nothing is written, the next one works', async () => {
  const page = await newPage();
  const patient = openPostgresLogStore({ url: database.url, log: silentLog, lockTimeoutMs: 4_000 });
  await lockHead(page);
  const failed = patient.append([batch(page, 0)]).catch((error: unknown) => error);
  await appendWaits();
  await killAppends();
  expect(await failed).toMatchObject({ name: 'StoreError', retryable: true });
  await other.query('rollback');
  expect(await headOf(page)).toBe(0);
  expect(pagesOf(await patient.append([batch(page, 0)]))).toEqual(new Set([page]));
  await patient.close();
});

test('S21 a connection killed between two appends costs at most one of them', async () => {
  const page = await newPage();
  await store.append([batch(page, 0)]);
  await killAppends();
  await store
    .append([batch(page, 1)])
    .catch((error: unknown) => expect(error).toMatchObject({ retryable: true }));
  const known = (await headOf(page))!;
  expect(pagesOf(await store.append([batch(page, known)]))).toEqual(new Set([page]));
});

test('S22 one change that PostgreSQL cannot store fails the whole append, and says so as final', async () => {
  const [page, good] = [await newPage(), await newPage()];
  const [bad] = batch(page, 0).changes;
  const withNul = { page, epoch, known: seq(0), changes: [{ ...bad!, author: 'a\0b' as UserId }] };
  await expect(store.append([batch(good, 0), withNul])).rejects.toMatchObject({
    code: '22021',
    retryable: false,
  });
  expect([await headOf(page), await headOf(good)]).toEqual([0, 0]);
});

test('S23 a log that holds more than its head says is never written over', async () => {
  const page = await newPage();
  await store.append([batch(page, 0, Uint8Array.of(42))]);
  await other.query(`update page_heads set seq = 0 where page_id = '${page}'`);
  await expect(store.append([batch(page, 0)])).rejects.toMatchObject({ code: '23505', retryable: false });
  expect((await store.readLog(page, seq(0), 10, 1_000)).map((entry) => entry.body[0])).toEqual([42]);
});

test('S64 a page that lost its head is an error, neither absent nor empty', async () => {
  const page = await newPage();
  await watcher.query('delete from page_heads where page_id = $1', [page]);
  for (const model of [undefined, 'blocks'] as const) {
    await expect(store.openPage(page, model)).rejects.toMatchObject({
      name: 'StoreError',
      retryable: false,
      message: /no row in "page_heads"/,
    });
  }
});

describe('another incarnation of the database', () => {
  /** As if this were a backup of another server, or of another time of this one. */
  const becomeAnother = () => watcher.query(`update epoch set incarnation = 'elsewhere'`);
  const open = () => openPostgresLogStore({ url: database.url, log: silentLog });

  test('S123 whoever connects first gives it a new epoch; all the others find that one', async () => {
    const before = await store.epoch();
    await becomeAnother();
    const stores = Array.from({ length: 5 }, open);
    const epochs = new Set(await Promise.all(stores.map((one) => one.epoch())));
    expect(epochs.size).toBe(1);
    expect(epochs).not.toContain(before);
    epoch = await store.epoch();
    expect(epochs).toContain(epoch);
    await Promise.all(stores.map((one) => one.close()));
  });

  test('S123 an append that meets it first makes it too, and is not done', async () => {
    const page = await newPage();
    await becomeAnother();
    const late = open();
    expect(pagesOf(await late.append([batch(page, 0)]))).toEqual(new Set());
    expect(await store.epoch()).not.toBe(epoch);
    epoch = await store.epoch();
    expect(pagesOf(await late.append([batch(page, 0)]))).toEqual(new Set([page]));
    await late.close();
  });

  test('S123 the same server, connected to again, stays in its epoch; so does one that is looked at for the first time', async () => {
    await watcher.query('update epoch set incarnation = null');
    for (let turn = 0; turn < 3; turn++) {
      const again = open();
      expect(await again.epoch()).toBe(epoch);
      await again.close();
    }
    const { rows } = await watcher.query('select incarnation from epoch');
    expect(rows[0].incarnation).toMatch(/^\d+\/[0-9A-F]{8}\/\d+$/);
  });

  test('S123 a dump that was restored has another epoch than the database that it was made of', async () => {
    // What pg_restore does: the table is made anew, with the rows of the dump.
    await watcher.query(`begin; create table restored (like epoch including all); insert into restored select * from epoch;
                         drop table epoch; alter table restored rename to epoch; commit`);
    const restored = open();
    expect(await restored.epoch()).not.toBe(epoch);
    epoch = await restored.epoch();
    await restored.close();
  });

  test('S124 where the database may not be asked it keeps its epoch, and everything works', async () => {
    await watcher.query('revoke execute on function pg_control_system() from public');
    const role = `octavo_test_${Buffer.from(random.bytes(6)).toString('hex')}`;
    await watcher.query(`create role ${role} login; grant all on all tables in schema public to ${role}`);
    const url = new URL(database.url);
    url.username = role;
    const lines: string[] = [];
    const log = { ...silentLog, warn: (_: object, message: string) => void lines.push(message) };
    await watcher.query('update epoch set incarnation = null');
    expect(await prepareDatabase({ url: url.href, log })).toBe(epoch);
    expect(lines.join()).toContain('octavo epoch --new');
    const page = await newPage();
    const limited = openPostgresLogStore({ url: url.href, log: silentLog });
    expect(pagesOf(await limited.append([batch(page, 0)]))).toEqual(new Set([page]));
    await limited.close();
    await watcher.query(`grant execute on function pg_control_system() to public; drop owned by ${role}; drop role ${role}`);
  });
}); // prettier-ignore
