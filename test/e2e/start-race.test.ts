/**
 * Five servers that are started at the same moment on a database without tables: one makes them, and all serve.
 */
import pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { enter, newPage } from '../support/raw-client.ts';
import { startServer, testToken, type TestServer } from '../support/server.ts';

const SERVERS = 5;

let database: TestDatabase;
let servers: TestServer[];

beforeAll(async () => {
  database = await createTestDatabase();
});

afterAll(async () => {
  await Promise.all(servers.map((server) => server.dispose()));
  await database?.drop();
});

test('S26 five servers that start at once on an empty database: one migration, one epoch, no error', async () => {
  const starts = Array.from({ length: SERVERS }, () => startServer({ databaseUrl: database.url }));
  const started = await Promise.allSettled(starts);
  servers = started.flatMap((one) => (one.status === 'fulfilled' ? one.value : []));
  expect(started.filter(({ status }) => status === 'rejected')).toEqual([]);

  const client = new pg.Client(database.url);
  await client.connect();
  const { rows: migrations } = await client.query('select number from octavo_migrations order by number');
  const { rows: epochs } = await client.query('select id from epoch');
  await client.end();
  expect(migrations.map(({ number }) => number)).toEqual(migrations.map((_, i) => i + 1));
  expect(epochs).toHaveLength(1);

  const page = newPage();
  for (const [i, server] of servers.entries()) {
    expect((await fetch(`${server.http}/readyz`)).status).toBe(200);
    const one = await enter(server.url, await testToken(`user ${i}`));
    one.ask(1, page, { create: 'blocks' });
    expect(await one.next('subscribed')).toMatchObject({ head: 0, epoch: epochs[0].id });
    one.close();
  }
  // Levels from 50 on are errors.
  for (const server of servers) expect(server.log()).not.toMatch(/"level":[56]0/);
}, 120_000);
