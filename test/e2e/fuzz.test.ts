/**
 * Mutated frames by the hundred thousand: valid messages of every kind, and Yjs updates sound and hostile, with fields
 * replaced, bytes flipped, cut, spliced, grown and nested, sent over several sockets before and after they have shown a
 * token, to a server with a heap of 256 MiB. All the while, and afterwards, a well-behaved client on another page gets its
 * changes through; nothing is thrown, no event loop stands still, and memory stays as it is.
 *
 * Everything is drawn from one seed, which a failure prints: OCTAVO_TEST_SEED replays it, OCTAVO_TEST_LONG=1 sends ten
 * times as many.
 */
import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Random, randomBelow, seededRandom, systemRandom } from '../../src/base/random.ts';
import { sleep } from '../../src/base/time.ts';
import { encodeClientMessage } from '../../src/protocol/encode.ts';
import { bytesToId, type PageId } from '../../src/protocol/ids.ts';
import type { ServerMessage } from '../../src/protocol/messages.ts';
import { fuzzCorpus, mutate, pick } from '../support/fuzz-frames.ts';
import { enter, newPage, open, RawClient } from '../support/raw-client.ts';
import { headOf, makePage, serves } from '../support/raw-page.ts';
import { startServer, testToken, type TestServer } from '../support/server.ts';

const FRAMES = process.env['OCTAVO_TEST_LONG'] === '1' ? 1_000_000 : 30_000;
const SEED = Number(process.env['OCTAVO_TEST_SEED'] ?? systemRandom.uint32());
const SOCKETS = 6;
/** Frames of one socket before it looks at what came of them. */
const ROUND = 100;
const UNSENT_BYTES_MAX = 1 << 20;
const HEAP_MB = 256;
/** Two heaps of their own (this thread's and a shard's), sockets and code: far from what a leak would come to. */
const GROWTH_BYTES_MAX = 192 << 20;
/** A stall that users would see; what is measured is printed, for on a crowded machine it is the machine's. */
const STALL_MS_MAX = 2000;
/** The Yjs client id of the well-behaved client, which the attackers know. */
const VICTIM = 4242;

let server: TestServer;

beforeAll(async () => {
  server = await startServer({
    env: { SHARDS: '1', PRESENCE_PER_SECOND: '1000000', USER_SOCKETS_MAX: '1000', UNAUTHENTICATED_MS: '60000', BLOCKS_MAX: '2000', NODE_OPTIONS: `--max-old-space-size=${HEAP_MB}` },
  });
}); // prettier-ignore

afterAll(() => server?.dispose());

interface Attack {
  readonly frames: number;
  readonly sockets: number;
  readonly refused: ReadonlySet<string>;
}

/** Sends its share of the frames over one socket after another, as each is closed or has had its round. */
async function attack(random: Random, frames: number, page: PageId): Promise<Attack> {
  const token = await testToken('mallory');
  const { frames: seeds, bodies } = fuzzCorpus(page, token, VICTIM);
  // A change that only its ops can spoil: a fresh replica's first.
  const change = (): Uint8Array =>
    encodeClientMessage({
      kind: 'change',
      ch: 1,
      n: 1,
      hlc: { ms: Date.now(), counter: 0 },
      ops: mutate(random, pick(random, bodies), pick(random, bodies), page),
      replica: bytesToId(random.bytes(16)),
    });
  const frame = (): Uint8Array =>
    randomBelow(random, 5) === 0 ? change() : mutate(random, pick(random, seeds), pick(random, seeds), page);
  const refused = new Set<string>();
  let sockets = 0;
  let sent = 0;
  while (sent < frames) {
    sockets++;
    const stage = randomBelow(random, 4);
    const client = await open(server.url, stage === 0 ? {} : { token });
    if (stage >= 2) await client.hello();
    if (stage === 3) client.ask(1, page, { create: 'blocks' });
    for (let round = 0; round < (stage === 0 ? 1 : 10) && sent < frames && !client.isClosed; round++) {
      for (let i = 0; i < ROUND && !client.isClosed; i++) client.sendBytes(frame());
      await answered(client);
      // Of a socket that was closed meanwhile nobody knows how many were read.
      sent += client.isClosed ? 1 : ROUND;
      for (const message of client.inbox.splice(0)) if (message.kind === 'error' || message.kind === 'reject') refused.add(message.code);
    }
    await client.terminate();
  }
  return { frames: sent, sockets, refused };
} // prettier-ignore

/** The server has answered all that was sent, or has closed the socket. */
async function answered(client: RawClient): Promise<void> {
  while (client.bufferedBytes > UNSENT_BYTES_MAX && !client.isClosed) await sleep(1);
  // Without a token a socket is closed for its first frame, unless that happened to be a good AUTH.
  client.send({ kind: 'ping', t: 4242 });
  const isOurs = (m: ServerMessage): m is ServerMessage & { kind: 'pong' } =>
    m.kind === 'pong' && m.t === 4242;
  // A socket that was closed for what it sent has answered too.
  await client.take('an answer', isOurs, 20_000).catch((error: unknown) => {
    if (!client.isClosed) throw error;
  });
}

/** How late the event loops were at worst since the last call, in ms. */
async function worstDelayMs(): Promise<number> {
  const metrics = await (await fetch(`${server.http}/metrics`)).text();
  const worst = [...metrics.matchAll(/^octavo_event_loop_delay_seconds\{.*of="max"\} (\S+)$/gm)].map(([, seconds]) => 1000 * Number(seconds));
  expect(worst.length).toBeGreaterThanOrEqual(2);
  return Math.max(...worst);
} // prettier-ignore

async function rssBytes(pid: number): Promise<number | undefined> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => undefined);
  const kib = status && /^VmRSS:\s+(\d+) kB/m.exec(status)?.[1];
  return kib ? Number(kib) * 1024 : undefined;
}

test(`G21 ${FRAMES} mutated frames, seed ${SEED}`, { timeout: 1_800_000 }, async () => {
  const { pid } = server;
  const quiet = await makePage(server);
  const good = await enter(server.url, await testToken('ann'));
  await good.subscribe(1, quiet.page);

  let attacking = true;
  let written = 0;
  let slowestMs = 0;
  let rssMax = 0;
  const writing = (async () => {
    while (attacking) {
      const started = performance.now();
      await good.write(1, quiet.page, [{ op: 'update', block: quiet.block, props: { count: ++written }, type: null }]);
      slowestMs = Math.max(slowestMs, performance.now() - started);
      rssMax = Math.max(rssMax, (await rssBytes(pid)) ?? 0);
    }
  })();

  const random = seededRandom(SEED);
  const target = newPage();
  const attackers = (frames: number) =>
    Promise.all(Array.from({ length: SOCKETS }, () => attack(seededRandom(random.uint32()), Math.ceil(frames / SOCKETS), target)));
  // The first tenth warms up: code is compiled, heaps find their size.
  const attacks = await attackers(FRAMES / 10);
  const rssWarm = rssMax;
  await worstDelayMs();
  attacks.push(...(await attackers((9 * FRAMES) / 10)));
  const delayMs = await worstDelayMs();
  attacking = false;
  await writing;

  expect(attacks.reduce((sum, one) => sum + one.frames, 0)).toBeGreaterThanOrEqual(FRAMES);
  const refused = new Set(attacks.flatMap((one) => [...one.refused]));
  for (const code of ['malformed', 'unauthorized', 'not_open', 'already_open', 'out_of_order', 'unsupported']) {
    expect([...refused]).toContain(code);
  }
  expect(server.pid).toBe(pid);
  expect(await headOf(server, quiet.page)).toBe(1 + written);
  expect(written).toBeGreaterThan(10);
  expect(slowestMs).toBeLessThan(5000);
  expect(rssMax - rssWarm).toBeLessThan(GROWTH_BYTES_MAX);
  expect(delayMs).toBeLessThan(STALL_MS_MAX);
  await serves(server);
  const log = server.log();
  expect(log).not.toMatch(/uncaught|unhandled|threw|ended a page|a shard died|cannot be loaded/i);
  expect(log).not.toMatch(/"level":[56]0/);
  // The page that they wrote to can still be read from its log by a server that starts anew.
  const before = await headOf(server, target);
  server.kill('SIGKILL');
  await server.exited;
  await server.restart();
  expect(await headOf(server, target)).toBe(before);
  expect(await headOf(server, quiet.page)).toBe(1 + written);
  await good.closed;
  console.info(`fuzz: seed ${SEED}, ${attacks.reduce((sum, one) => sum + one.sockets, 0)} sockets, head ${before}, ${written} good writes, slowest ${Math.round(slowestMs)} ms, event loops at worst ${Math.round(delayMs)} ms late, rss ${Math.round(rssWarm / 2 ** 20)} MiB warm, ${Math.round(rssMax / 2 ** 20)} MiB at most, codes ${[...refused].sort().join(' ')}`);
}); // prettier-ignore
