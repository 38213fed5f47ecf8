/**
 * Migrations on a real PostgreSQL: raced, repeated, failing, and met by an older version of the code.
 */
import pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createTestDatabase, type TestDatabase } from '../../test/support/database.ts';
import { silentLog } from '../base/log.ts';
import { DatabaseTooNewError, migrate, readMigrations } from './migrate.ts';
import { checkDatabase, describeUrl, prepareDatabase } from './prepare-database.ts';

let database: TestDatabase;
beforeAll(async () => {
  database = await createTestDatabase();
});
afterAll(() => database.drop());

async function withClient<T>(url: string, work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client(url);
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}

const applied = (client: pg.Client) =>
  client.query('select number, name from octavo_migrations order by number').then((result) => result.rows);

test('S26 five nodes that start on an empty database migrate it once and agree on the epoch', async () => {
  const starts = Array.from({ length: 5 }, () => prepareDatabase({ url: database.url, log: silentLog }));
  const epochs = await Promise.all(starts);
  expect(new Set(epochs).size).toBe(1);
  expect(await prepareDatabase({ url: database.url, log: silentLog })).toBe(epochs[0]);
  const expected = readMigrations().map(({ number, name }) => ({ number, name }));
  expect(await withClient(database.url, applied)).toEqual(expected);
});

test('S26 a failing migration leaves nothing behind, and those before it stay', async () => {
  const own = await createTestDatabase();
  const good = { number: 1, name: 'good', sql: 'create table good (a int)' };
  const bad = { number: 2, name: 'bad', sql: 'create table half (a int); select 1 / 0' };
  await withClient(own.url, async (client) => {
    await expect(migrate(client, silentLog, [good, bad])).rejects.toThrow('division by zero');
    expect(await applied(client)).toEqual([{ number: 1, name: 'good' }]);
    const tables = `select to_regclass('good') is not null as good, to_regclass('half') is not null as half`;
    expect((await client.query(tables)).rows).toEqual([{ good: true, half: false }]);
  });
  await own.drop();
});

test('S26 a database migrated by a newer version is refused, with what to do', async () => {
  const own = await createTestDatabase();
  await prepareDatabase({ url: own.url, log: silentLog });
  await withClient(own.url, (client) => client.query(`insert into octavo_migrations values (999, 'future')`));
  const refused = prepareDatabase({ url: own.url, log: silentLog });
  await expect(refused).rejects.toBeInstanceOf(DatabaseTooNewError);
  await expect(refused).rejects.toThrow(/migration 999.*restore a backup/);
  await own.drop();
});

test('S63 a command changes no tables: a database that the server has not prepared is refused', async () => {
  const own = await createTestDatabase();
  await expect(checkDatabase(own.url)).rejects.toThrow(/has no tables of Octavo: start the server/);
  const tables = 'select count(*)::int4 as count from pg_tables where schemaname = current_schema()';
  expect((await withClient(own.url, (client) => client.query(tables))).rows).toEqual([{ count: 0 }]);
  await prepareDatabase({ url: own.url, log: silentLog });
  await checkDatabase(own.url);
  await withClient(own.url, (client) => client.query('delete from octavo_migrations where number > 0'));
  await withClient(own.url, (client) => client.query(`insert into octavo_migrations values (999, 'future')`));
  await expect(checkDatabase(own.url)).rejects.toBeInstanceOf(DatabaseTooNewError);
  await own.drop();
});

test('S27 a server that does not answer, a missing database and a bad URL are told apart, without the password', async () => {
  const missing = new URL(database.url);
  missing.pathname = '/octavo_no_such_database';
  missing.password ||= 'sekret';
  const cases = [
    {
      url: 'postgres://me:sekret@127.0.0.1:1/octavo',
      message: /127\.0\.0\.1:1\/octavo.*ECONNREFUSED.*Check that/s,
    },
    { url: missing.href, message: /does not exist.*Create the database/s },
    { url: 'postgres://me:sekret@[oops/octavo', message: /not a URL/ },
  ];
  for (const { url, message } of cases) {
    const failed = await prepareDatabase({ url, log: silentLog }).catch((error: unknown) => error as Error);
    expect(failed).toBeInstanceOf(Error);
    expect(String(failed)).toMatch(message);
    expect(String(failed)).not.toContain('sekret');
  }
  expect(describeUrl('postgres://me:sekret@db.example/octavo')).toBe('db.example:5432/octavo');
});
