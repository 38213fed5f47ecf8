/**
 * The bound of a shard's memory, on a real server: pages that were opened once and left do not add up; pages in use that
 * take all there is keep others out by name, and nobody else notices. With OCTAVO_TEST_LONG 20,000 pages.
 */
import { readFileSync } from 'node:fs';
import { afterEach, expect, test } from 'vitest';
import { systemRandom } from '../../src/base/random.ts';
import { sleep } from '../../src/base/time.ts';
import type { OpDraft } from '../../src/document/ops.ts';
import type { PageId } from '../../src/protocol/ids.ts';
import type { ServerMessage } from '../../src/protocol/messages.ts';
import { enter, newPage, type RawClient } from '../support/raw-client.ts';
import { insert } from '../support/raw-page.ts';
import { startServer, testToken, type TestServer } from '../support/server.ts';
import { until } from '../support/wait.ts';

const MIB = 1 << 20;
const BUDGET_MIB = 16;
const PAGES = process.env['OCTAVO_TEST_LONG'] ? 20_000 : 300;
/** Pages that one socket opens: its burst of SUBSCRIBE allows no more at once. */
const PAGES_A_SOCKET = 100;
/** What the heap may take for what it holds: V8 collects when it has about doubled. */
const HEAP_FACTOR = 4;

let server: TestServer;
afterEach(() => server?.dispose());

async function metric(name: string): Promise<number> {
  const text = await (await fetch(`${server.http}/metrics`)).text();
  return Number(new RegExp(`^${name}(?:\\{[^}]*\\})? (\\S+)`, 'm').exec(text)?.[1] ?? NaN);
}

const residentMib = (): number =>
  Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${server.pid}/status`, 'utf8'))?.[1]) / 1024;

const hasProc = process.platform === 'linux';

/** Text that does not pack: pages at rest take about as much as others, so how fast the machine is makes no difference. */
const noise = (bytes: number): string => Buffer.from(systemRandom.bytes(bytes)).toString('base64');

type Answer = ServerMessage & { kind: 'subscribed' | 'error' };

/** SUBSCRIBE of a new page; what it is told. */
function ask(client: RawClient, ch: number, page: PageId): Promise<Answer> {
  client.ask(ch, page, { create: 'blocks' });
  const isAnswer = (m: ServerMessage): m is Answer =>
    (m.kind === 'subscribed' || m.kind === 'error') && m.ch === ch;
  return client.take('an answer to SUBSCRIBE', isAnswer);
}

/** Opens a new page under a ch above `after`; the ch. Pages with news leave no faster than they are stored. */
async function openWhenThereIsRoom(client: RawClient, after: number, page: PageId): Promise<number> {
  for (let ch = after + 1; ; ch++) {
    const told = await ask(client, ch, page);
    if (told.kind === 'subscribed') return ch;
    expect(told.code).toBe('unavailable');
    // The refusal's own word on when to come again.
    await sleep(told.retryAfterMs!);
  }
}

test('A16 A75 pages that are opened once and left keep the server within its memory', async () => {
  server = await startServer({ env: { SHARDS: '1', MEMORY_MB_PER_SHARD: String(BUDGET_MIB), EVICT_IDLE_MS: '600000' } });
  const token = await testToken('ann');
  const [held, resident]: number[][] = [[], []];
  for (let opened = 0; opened < PAGES; opened += PAGES_A_SOCKET) {
    const client = await enter(server.url, token);
    for (let i = 0, ch = 0; i < PAGES_A_SOCKET; i++) {
      const page = newPage();
      ch = await openWhenThereIsRoom(client, ch, page);
      client.change(ch, 1, Array.from({ length: 40 }, () => ({ ...insert(page), props: { noise: noise(750) } })));
      await client.echo(page, 1);
      client.send({ kind: 'unsubscribe', ch });
    }
    await client.close();
    held!.push((await metric('octavo_pages_bytes')) / MIB);
    if (hasProc) resident!.push(residentMib());
  }
  // First that they left: what a shard has not told yet counts as nothing.
  await until(async () => (await metric('octavo_evictions_total')) > PAGES / 10, () => 'too few pages had to leave');
  await until(async () => (await metric('octavo_pages_bytes')) <= BUDGET_MIB * MIB, () => 'the pages still take more than they may');
  expect(await metric('octavo_shard_pages_bytes')).toBeLessThanOrEqual(BUDGET_MIB * MIB);
  // Between two looks, a second apart, some may be over.
  expect(Math.max(...held!)).toBeLessThan(2 * BUDGET_MIB);
  if (hasProc) expect(resident!.at(-1)! - resident![0]!).toBeLessThan(HEAP_FACTOR * BUDGET_MIB);
}, 3_600_000); // prettier-ignore

/** 240 KB that do not pack. */
const muchNoise = (page: PageId): OpDraft[] =>
  Array.from({ length: 4 }, () => ({ ...insert(page), props: { noise: noise(45_000) } }));

test('A76 pages in use that take all memory keep others out by name, until there is room', async () => {
  server = await startServer({ env: { SHARDS: '1', MEMORY_MB_PER_SHARD: String(BUDGET_MIB), SUBSCRIPTIONS_MAX: '1000' } });
  const client = await enter(server.url, await testToken('ann'));
  const first = newPage();
  let refusal: Answer | undefined;
  let open = 0;
  for (let page = first; open < 500 && !refusal; page = newPage()) {
    const told = await ask(client, ++open, page);
    if (told.kind === 'error') refusal = told;
    else {
      client.change(open, 1, muchNoise(page));
      await client.echo(page, 1);
    }
  }
  expect(refusal).toMatchObject({ code: 'unavailable', retryAfterMs: 2000 });
  expect(await metric('octavo_loads_without_room_total')).toBeGreaterThan(0);
  // Who is on a page notices nothing.
  client.change(1, 2, [insert(first)]);
  expect(await client.echo(first, 2)).toBe(2);

  const other = await enter(server.url, await testToken('bob'));
  for (let ch = 2; ch < open; ch++) client.send({ kind: 'unsubscribe', ch });
  let ch = 0;
  await until(async () => (await ask(other, ++ch, newPage())).kind === 'subscribed', () => 'there is still no room');
  await Promise.all([client.close(), other.close()]);
}, 120_000); // prettier-ignore
