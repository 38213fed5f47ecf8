/**
 * What a server tells at /metrics: beside what docs/operations.md says that it does, and in what has happened to it.
 */
import { spawnSync } from 'node:child_process';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { documentedMetrics, fetchMetrics, type Told } from '../support/metrics.ts';
import { enter, newPage } from '../support/raw-client.ts';
import { insert, makePage } from '../support/raw-page.ts';
import { startServer, testToken, type TestServer } from '../support/server.ts';

const hasPromtool = spawnSync('promtool', ['--version']).status === 0;

let server: TestServer;

beforeAll(async () => {
  server = await startServer({ env: { SHARDS: '2' } });
});
afterAll(() => server?.dispose());

test('G130 what is at /metrics is what docs/operations.md lists, with these types and labels, from the start', async () => {
  const told = await fetchMetrics(server.http);
  const documented = documentedMetrics();
  expect(documented.size).toBeGreaterThan(60);
  expect([...told.keys()].filter((name) => !documented.has(name)), 'to be added to docs/operations.md').toEqual([]);
  const missing = [...documented].filter(([name, { onlyWithRedis }]) => !told.has(name) && !onlyWithRedis);
  expect(missing, 'to be taken out of docs/operations.md').toEqual([]);
  for (const [name, { type, labels, values }] of told) {
    const { type: said, labels: named } = documented.get(name)!;
    expect({ name, type, labels }).toEqual({ name, type: said, labels: named });
    expect(values.size, name).toBeGreaterThan(0);
  }
}); // prettier-ignore

test.skipIf(!hasPromtool)('G130 names, units and helps are as promtool wants them', async () => {
  const input = await (await fetch(`${server.http}/metrics`)).text();
  const { status, stdout, stderr } = spawnSync('promtool', ['check', 'metrics'], { input, encoding: 'utf8' });
  expect([status, stdout, stderr]).toEqual([0, '', '']);
});

test('G130 what happens is counted where it belongs', async () => {
  const sum = ({ values }: Told) => [...values.values()].reduce((a, b) => a + b, 0);
  const { page } = await makePage(server);
  const client = await enter(server.url, await testToken('ann'));
  await client.subscribe(1, page);
  await client.write(1, page, [insert(page)]);
  await client.subscribe(2, newPage(), { create: 'blocks' });
  expect((await fetch(`${server.http}/nothing`)).status).toBe(404);
  const told = await fetchMetrics(server.http);
  const value = (sample: string) => told.get(/^[a-z_]+?(?=_count|\{|$)/.exec(sample)![0])!.values.get(sample);
  expect(value('octavo_changes_total{outcome="accepted",op="insert"}')).toBe(2);
  expect(value('octavo_joins_total{kind="new"}')).toBe(3);
  expect(value('octavo_join_seconds_count')).toBe(3);
  expect(value('octavo_subscribers')).toBe(2);
  expect(value('octavo_commit_seconds_count')).toBe(2);
  for (const hop of ['queue', 'commit']) expect(value(`octavo_hop_seconds_count{hop="${hop}"}`)).toBe(2);
  for (const hop of ['gateway_to_shard', 'shard_to_gateway']) expect(value(`octavo_hop_seconds_count{hop="${hop}"}`)).toBeGreaterThan(3);
  expect(value('octavo_propagation_seconds_count')).toBe(2);
  expect(value('octavo_log_bytes_total')).toBeGreaterThan(40);
  expect(value('octavo_sockets_opened_total')).toBe(2);
  expect(value('octavo_sockets_closed_total{how="closed"}')).toBe(1);
  expect(value('octavo_handshakes_total{status="101"}')).toBe(2);
  expect(value('octavo_ready')).toBe(1);
  expect(value('octavo_shards')).toBe(2);
  expect(value('octavo_http_requests_total{path="other",status="404"}')).toBe(1);
  // Times are of this machine's clock, in seconds: not in ms, and not of two clocks.
  for (const name of ['octavo_hop_seconds', 'octavo_propagation_seconds', 'octavo_join_seconds']) {
    const { values } = told.get(name)!;
    const sums = [...values].filter(([sample]) => sample.includes('_sum'));
    for (const [sample, seconds] of sums) expect(seconds, sample).toSatisfy((one: number) => one > 0 && one < 20);
  }
  expect(sum(told.get('octavo_divergences_total')!)).toBe(0);
  await client.close();
}); // prettier-ignore

test('G132 G133 /debug/pages tells this machine of the busiest pages, as many as asked for, and nobody else', async () => {
  const ask = async (query: string, headers: Record<string, string> = {}) => {
    const answer = await fetch(`${server.http}/debug/pages${query}`, { headers });
    return { status: answer.status, body: await answer.text() };
  };
  const client = await enter(server.url, await testToken('ann'));
  const pages = Array.from({ length: 5 }, () => newPage());
  for (const [ch, page] of pages.entries()) await client.subscribe(ch, page, { create: 'blocks' });
  const reader = await enter(server.url, await testToken('bob'));
  await reader.subscribe(1, pages[3]!);
  const told = JSON.parse((await ask('?sort=subscribers&limit=2')).body) as { pages: Record<string, unknown>[] };
  expect(told).toMatchObject({ sort: 'subscribers', limit: 2 });
  expect(told.pages).toHaveLength(2);
  const { page, ...figures } = told.pages[0]!;
  expect(page).toBe(pages[3]);
  expect(figures).toEqual({
    subscribers: 2, changesPerSecond: 0, queued: 0, bytes: expect.any(Number), ageSeconds: expect.any(Number), shard: expect.any(Number),
  });
  const top = (await fetchMetrics(server.http)).get('octavo_top_page_subscribers')!.values;
  expect(top.size).toBe(10);
  expect(top.get('octavo_top_page_subscribers{rank="1"}')).toBe(2);
  // Of both shards.
  const all = JSON.parse((await ask('')).body) as { pages: { shard: number }[] };
  expect(new Set(all.pages.map(({ shard }) => shard)).size).toBe(2);
  for (const wrong of ['?limit=0', '?limit=101', '?limit=x', '?sort=name']) expect((await ask(wrong)).status, wrong).toBe(400);
  for (const headers of [{ 'X-Forwarded-For': '203.0.113.9' }, { Forwarded: 'for=203.0.113.9' }]) {
    const { status, body } = await ask('', headers as never);
    expect([status, body]).toEqual([403, expect.stringContaining('ADMIN_TOKEN')]);
  }
  await client.close();
  await reader.close();
}); // prettier-ignore
