/**
 * SIGTERM: the server drains while clients go on writing. It exits with 0 in time, tells every socket to come back, and
 * whatever it acknowledged is there after the restart, in a snapshot already. (How clients move to another server in
 * between: rolling-restart.test.ts.)
 */
import pg from 'pg';
import { afterEach, expect, test } from 'vitest';
import type { PageId } from '../../src/protocol/ids.ts';
import { enter, RawClient } from '../support/raw-client.ts';
import { makePage } from '../support/raw-page.ts';
import { startServer, testToken, type TestServer } from '../support/server.ts';
import { until } from '../support/wait.ts';

const STOP_MS = 5000;
const WINDOW = 20;

let server: TestServer;

afterEach(() => server?.dispose());

interface Writer {
  readonly client: RawClient;
  readonly page: PageId;
  /** The highest number whose echo has come. */
  acknowledged: number;
  readonly done: Promise<void>;
}

/** Writes without a pause, `WINDOW` changes on the way at a time, until its socket is closed. */
async function startWriter(user: string, page: PageId): Promise<Writer> {
  const client = await enter(server.url, await testToken(user));
  await client.subscribe(1, page);
  const write = async () => {
    for (let n = 1; !client.isClosed; n += WINDOW) {
      for (let i = 0; i < WINDOW; i++) client.change(1, n + i, [{ op: 'update', block: page as never, props: { title: `${user} ${n + i}` }, type: null }]);
      const last = n + WINDOW - 1;
      // Ends with the socket; the acknowledgements so far are what counts.
      if (!(await client.echo(page, last).then(() => true, () => false))) return;
      writer.acknowledged = last;
    }
  }; // prettier-ignore
  const writer: Writer = { client, page, acknowledged: 0, done: Promise.resolve().then(write) };
  return writer;
}

test.each([
  ['0', '0'],
  ['2', '0'],
  ['1', '3000'],
])('C25 SIGTERM under load, SHARDS=%s, DRAIN_MS=%s: exit code 0 in time, sockets told to come back, nothing acknowledged is lost', async (SHARDS, DRAIN_MS) => {
  server = await startServer({ env: { SHARDS, DRAIN_MS } });
  const pages = await Promise.all(Array.from({ length: 4 }, async () => (await makePage(server)).page));
  const writers: Writer[] = [];
  for (let i = 0; i < 8; i++) writers.push(await startWriter(`user-${i}`, pages[i % 4]!));
  await until(() => writers.every((writer) => writer.acknowledged >= 200), () => 'every writer to get going');
  const started = performance.now();
  server.kill('SIGTERM');
  expect(await server.exited).toBe(0);
  expect(performance.now() - started).toBeLessThan(STOP_MS + Number(DRAIN_MS));
  for (const { client, done } of writers) {
    expect((await client.closed).code).toBe(4000);
    await done;
  }
  expect(server.log()).not.toMatch(/"level":50/);

  await server.restart();
  const heads = new Map<PageId, number>();
  for (const [i, { client, page, acknowledged }] of writers.entries()) {
    const again = await enter(server.url, await testToken(`user-${i}`), { replica: client.replica });
    const { lastN, head } = await again.subscribe(1, page);
    expect(lastN).toBeGreaterThanOrEqual(acknowledged);
    heads.set(page, head);
    await again.close();
  }
  const database = new pg.Client({ connectionString: server.databaseUrl! });
  await database.connect();
  const { rows } = await database.query<{ page_id: PageId; seq: string }>('select page_id, max(seq) as seq from snapshots group by page_id');
  await database.end();
  const snapshots = new Map(rows.map((row) => [row.page_id, Number(row.seq)]));
  for (const [page, head] of heads) expect(snapshots.get(page), `the snapshot of ${page}`).toBe(head);
}); // prettier-ignore

test('C25 G107 SIGINT stops as SIGTERM does; a server without clients stops at once', async () => {
  server = await startServer({ env: { DRAIN_MS: '600000' } });
  const started = performance.now();
  server.kill('SIGINT');
  expect(await server.exited).toBe(0);
  // Of the ten minutes that clients would have had.
  expect(performance.now() - started).toBeLessThan(STOP_MS);
});

test('G105 G106 G107 while clients are there it serves them, says 503 to others, and ends at a second signal', async () => {
  server = await startServer({ env: { DRAIN_MS: '600000' } });
  const { page } = await makePage(server);
  const client = await enter(server.url, await testToken('anna'));
  await client.subscribe(1, page);
  expect((await fetch(`${server.http}/readyz`)).status).toBe(200);
  server.kill('SIGTERM');
  expect((await client.next('goaway')).afterMs).toBeLessThan(10);
  const answers = ['/readyz', '/healthz', '/metrics'].map(async (path) => (await fetch(server.http + path)).status);
  expect(await Promise.all(answers)).toEqual([503, 200, 200]);
  await expect(enter(server.url, await testToken('boris'))).rejects.toThrow('503');
  client.change(1, 1, [{ op: 'update', block: page as never, props: { title: 'still' }, type: null }]);
  await client.echo(page, 1);
  server.kill('SIGINT');
  expect((await client.closed).code).toBe(4000);
  expect(await server.exited).toBe(0);
}); // prettier-ignore

test('S28 the embedded PostgreSQL dies: the server says so and ends with code 1', async () => {
  server = await startServer({ embedded: true });
  const { readFile } = await import('node:fs/promises');
  const { join } = await import('node:path');
  const found = await readFile(join(server.dataDir, 'postgres', 'postmaster.pid'), 'utf8').catch(
    () => undefined,
  );
  expect(found, 'postmaster.pid').toBeDefined();
  process.kill(Number(found!.split('\n')[0]), 'SIGINT');
  expect(await server.exited).toBe(1);
  expect(server.log()).toContain('the embedded PostgreSQL ended by itself');
});
