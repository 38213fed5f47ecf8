/**
 * Traces of a real server, as a real collector gets them: whole, with the right parents, in order, without a word of what was
 * written; and a collector that hangs or refuses, which nobody but its operator notices.
 */
import { randomBytes } from 'node:crypto';
import pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type CollectedSpan, type Collector, startCollector } from '../support/collector.ts';
import { documentedEvents, faultsOf, logLines } from '../support/log-events.ts';
import { enter, newBlock, newPage } from '../support/raw-client.ts';
import { insert, textUpdates, viewerOf } from '../support/raw-page.ts';
import { startServer, testToken, type TestServer } from '../support/server.ts';
import { until } from '../support/wait.ts';

const MARK = 'xyzzyMark';
/** What a stop may take besides the time that clients have to move. */
const STOP_MS = 5000;

let collector: Collector;
let server: TestServer;
let database: pg.Client;

beforeAll(async () => {
  collector = await startCollector();
  server = await startServer({
    env: {
      SHARDS: '1',
      LOG_LEVEL: 'debug',
      EVICT_IDLE_MS: '1',
      OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
      OTEL_EXPORTER_OTLP_HEADERS: `x-key=${MARK}%20key`,
      OTEL_TRACES_SAMPLER_ARG: '1',
      OTEL_SERVICE_NAME: 'octavo-under-test',
    },
  });
  database = new pg.Client({ connectionString: server.databaseUrl! });
  await database.connect();
});

afterAll(async () => {
  await database?.end();
  await server?.dispose();
  await collector?.close();
});

async function found(what: string, matches: (span: CollectedSpan) => boolean): Promise<CollectedSpan> {
  await until(() => collector.spans.some(matches), () => `${what} among ${collector.spans.map(({ name }) => name).join(' ')}`);
  return collector.spans.find(matches)!;
} // prettier-ignore

const childrenOf = ({ traceId, spanId }: CollectedSpan): CollectedSpan[] =>
  collector.spans.filter((span) => span.traceId === traceId && span.parentSpanId === spanId);

/** Its children, by name and in time, within it. */
function expectWhole(root: CollectedSpan, names: readonly string[]): CollectedSpan[] {
  const children = childrenOf(root);
  expect(children.map(({ name }) => name)).toEqual(names);
  let at = root.start;
  for (const { start, end } of children) {
    expect(start).toBe(at);
    expect(end).toBeGreaterThanOrEqual(start);
    at = end;
  }
  expect(root.end).toBeGreaterThanOrEqual(at);
  return children;
}

const of = (name: string, page: string) => (span: CollectedSpan) =>
  span.name === name && span.attributes['octavo.page'] === page;

test('G145 a change has one trace from its socket to all sockets, and its append one that many changes share', async () => {
  const before = BigInt(Date.now()) * 1_000_000n;
  const client = await enter(server.url, await testToken('ann'));
  const [page, block] = [newPage(), newBlock()];
  await client.subscribe(1, page, { create: 'blocks' });
  await client.write(1, page, [insert(page, block), { op: 'update', block, props: { [MARK]: MARK }, type: null }]);
  const change = await found('a change', of('change', page));
  expect(change.parentSpanId).toBeUndefined();
  expect(change.kind).toBe(2);
  expect(change.start).toBeGreaterThan(before - 10_000_000n);
  expect(change.end).toBeLessThan(BigInt(Date.now() + 10) * 1_000_000n);
  expect(change.attributes).toMatchObject({
    'octavo.ops': 2,
    'octavo.outcome': 'committed',
    'octavo.bytes': expect.any(Number),
    'octavo.connection': expect.any(Number),
    'octavo.node': expect.stringMatching(/^[0-9a-f-]{36}$/),
  });
  const children = expectWhole(change, ['gateway', 'shard.queue', 'actor', 'commit', 'broadcast']);
  const commit = children[3]!;
  const append = await found('its append', ({ spanId }) => spanId === commit.links[0]!.spanId);
  expect(append).toMatchObject({ name: 'append', kind: 3, links: [{ traceId: change.traceId, spanId: commit.spanId }] });
  expect(append.attributes).toMatchObject({ 'octavo.append.changes': 1, 'octavo.append.pages': 1 });
  expect(append.start).toBeGreaterThanOrEqual(commit.start);
  expect(append.end).toBe(commit.end);
  expect(collector.resource).toMatchObject({ 'service.name': 'octavo-under-test', 'service.instance.id': change.attributes['octavo.node'] });
  expect(collector.headers).toMatchObject({ 'x-key': `${MARK} key`, 'content-type': 'application/json' });

  const viewer = await enter(server.url, await testToken('eve', { grants: viewerOf(page) }));
  await viewer.subscribe(1, page);
  viewer.change(1, 1, [insert(page)]);
  expect(await viewer.refusal()).toBe('forbidden');
  const refused = await found('a refused one', (span) => of('change', page)(span) && span.attributes['octavo.outcome'] === 'refused');
  expectWhole(refused, ['gateway', 'shard.queue', 'actor']);
  expect(refused).toMatchObject({ status: { code: 2, message: 'forbidden' }, attributes: { 'octavo.code': 'forbidden' } });
  await viewer.close();
  await client.close();
}); // prettier-ignore

test('G145 a join tells whether the page was in memory, and what it took to load and to send', async () => {
  const writer = await enter(server.url, await testToken('ann'));
  const page = newPage();
  await writer.subscribe(1, page, { create: 'blocks' });
  const block = newBlock();
  await writer.write(1, page, [insert(page, block)]);
  // More than goes without being asked for.
  await writer.write(1, page, [{ op: 'text', block, update: textUpdates(1, [`${MARK} ${randomBytes(6000).toString('hex')}`])[0]! }]);
  const reader = await enter(server.url, await testToken('bob'));
  await reader.subscribe(1, page);
  const near = await found('a join in memory', (span) => of('join', page)(span) && span.attributes['octavo.join.from'] === 'memory');
  expectWhole(near, ['gateway', 'shard.queue', 'send']);
  await reader.close();
  await writer.close();
  await until(
    () => logLines(server.log()).some((line) => line.msg === 'a page left memory' && line['page'] === page),
    () => 'the page to leave memory',
  );
  await until(async () => (await database.query('select 1 from snapshots where page_id = $1', [page])).rowCount === 1, () => 'its snapshot to be stored');
  const late = await enter(server.url, await testToken('bob'));
  await late.subscribe(1, page);
  const far = await found('a join that had to load', (span) =>
    of('join', page)(span) && span.attributes['octavo.join.from'] === 'database' && span.attributes['octavo.join.snapshot_bytes'] !== 0);
  expectWhole(far, ['gateway', 'shard.queue', 'load', 'send']);
  expect(far.attributes).toMatchObject({ 'octavo.outcome': 'joined', 'octavo.connection': expect.any(Number) });
  late.ask(2, newPage());
  expect(await late.refusal()).toBe('unknown_page');
  await found('one that was refused', ({ status }) => status?.message === 'unknown_page');
  await late.close();
}); // prettier-ignore

test('G146 a handshake takes its parent from traceparent, and what its socket opens belongs to it; one that says no is not traced', async () => {
  const shake = async (flag: string) => {
    const traceId = `${flag}f92f3577b34da6a3ce929d0e0e47`.padEnd(32, '0');
    const traceparent = `00-${traceId}-00f067aa0ba902b7-${flag}`;
    const client = await enter(server.url, await testToken('ann'), { traceparent });
    const page = newPage();
    await client.subscribe(1, page, { create: 'blocks' });
    await client.write(1, page, [insert(page)]);
    await client.close();
    return traceId;
  };
  const no = await shake('00');
  const yes = await shake('01');
  const span = await found('the handshake', ({ traceId }) => traceId === yes);
  expect(span).toMatchObject({ name: 'GET /v1/sync', parentSpanId: '00f067aa0ba902b7', attributes: { 'http.response.status_code': 101, 'http.route': '/v1/sync' } });
  expect((await found('its join', ({ traceId, name }) => traceId === yes && name === 'join')).parentSpanId).toBe(span.spanId);
  const { traceId, spanId } = span;
  await found('its change', ({ name, links }) => name === 'change' && links[0]?.traceId === traceId && links[0].spanId === spanId);
  await fetch(`${server.http}/readyz`);
  await fetch(`${server.http}/${MARK}`);
  expect(await found('a request', ({ name }) => name === 'GET /readyz')).toMatchObject({ attributes: { 'http.response.status_code': 200 } });
  await found('another', ({ name, attributes }) => name === 'GET' && attributes['http.response.status_code'] === 404);
  expect(collector.spans.filter(({ traceId }) => traceId === no)).toEqual([]);
}); // prettier-ignore

test('G141 G147 nothing that people write is in traces; a collector that refuses or hangs costs its spans, which are counted, and no stop waits for it', async () => {
  expect(collector.text).not.toContain(MARK);
  const lines = logLines(server.log());
  const events = documentedEvents();
  expect([...new Set(lines.flatMap((line) => faultsOf(line, events)))]).toEqual([]);
  expect(server.log()).not.toContain(MARK);
  const recorded = lines.find(({ msg, span }) => msg === 'a trace was recorded' && span === 'change')!;
  expect(collector.spans.some(({ traceId }) => traceId === recorded['trace'])).toBe(true);

  collector.status = 400;
  const count = async (name: string) => Number(new RegExp(`^${name.replace(/[{}]/g, '\\$&')} (\\d+)$`, 'm').exec(await (await fetch(`${server.http}/metrics`)).text())?.[1]);
  await until(async () => (await count('octavo_spans_dropped_total{reason="refused"}')) > 0, () => 'dropped spans');
  expect(await count('octavo_spans_exported_total')).toBeGreaterThan(20);
  collector.status = null;
  const client = await enter(server.url, await testToken('ann'));
  const page = newPage();
  await client.subscribe(1, page, { create: 'blocks' });
  const { requests } = collector;
  await until(() => collector.requests > requests, () => 'a request that gets no answer');
  for (let i = 0; i < 20; i++) await client.write(1, page, [insert(page)]);
  const started = performance.now();
  server.kill('SIGTERM');
  expect(await server.exited).toBe(0);
  expect(performance.now() - started).toBeLessThan(STOP_MS);
  expect(logLines(server.log()).filter(({ msg }) => msg === 'traces cannot be exported: they are dropped until they can')).toHaveLength(1);
}); // prettier-ignore
