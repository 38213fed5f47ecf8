/**
 * Mutated frames by the hundred thousand: valid messages of every kind, with bytes flipped, cut, spliced, grown and
 * nested, sent over several sockets before and after they have shown a token. All the while, and afterwards, a
 * well-behaved client on another page gets its changes through; nothing is thrown, and memory stays bounded.
 *
 * Everything is drawn from one seed, which a failure prints: OCTAVO_TEST_SEED replays it, OCTAVO_TEST_LONG=1 sends ten
 * times as many.
 */
import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Random, randomBelow, seededRandom, systemRandom } from '../../src/base/random.ts';
import { sleep } from '../../src/base/time.ts';
import { encodeOps, type OpDraft } from '../../src/document/ops.ts';
import { encodeClientMessage, encodeServerMessage } from '../../src/protocol/encode.ts';
import { bytesToId, idToBytes, type PageId, seq } from '../../src/protocol/ids.ts';
import type { ClientMessage, ServerMessage } from '../../src/protocol/messages.ts';
import { enter, newBlock, newPage, newReplica, open, RawClient } from '../support/raw-client.ts';
import { headOf, insert, makePage, serves, textUpdates } from '../support/raw-page.ts';
import { startServer, testToken, type TestServer } from '../support/server.ts';

const FRAMES = process.env['OCTAVO_TEST_LONG'] === '1' ? 1_000_000 : 100_000;
const SEED = Number(process.env['OCTAVO_TEST_SEED'] ?? systemRandom.uint32());
const SOCKETS = 6;
/** Frames of one socket before it looks at what came of them. */
const ROUND = 100;
const UNSENT_BYTES_MAX = 1 << 20;
const RSS_BYTES_MAX = 1 << 30;

let server: TestServer;

beforeAll(async () => {
  server = await startServer({
    env: { SHARDS: '1', PRESENCE_PER_SECOND: '1000000', USER_SOCKETS_MAX: '1000', UNAUTHENTICATED_MS: '60000', BLOCKS_MAX: '2000' },
  });
}); // prettier-ignore

afterAll(() => server?.dispose());

const pick = <T>(random: Random, items: readonly T[]): T => items[randomBelow(random, items.length)]!;

/** Valid bytes of every kind, both directions: what mutations start from. */
function corpus(page: PageId, token: string): { frames: Uint8Array[]; bodies: Uint8Array[] } {
  const replica = newReplica();
  const block = newBlock();
  const ops: OpDraft[] = [
    { ...insert(page, block), props: { title: 'x', list: [1, { a: null }] }, text: textUpdates(99, ['hello'])[0]! } as OpDraft,
    { op: 'update', block, props: { __proto__: null, a: 1.5, b: 'ä' }, type: 'quote' },
    { op: 'move', block, parent: page as never, key: 'a1' },
    { op: 'text', block, update: textUpdates(98, ['hello', ' you'])[1]! },
    { op: 'delete', block },
    { op: 'restore', block },
    { op: 'purge', blocks: [block, newBlock()] },
  ];
  const change = (n: number, some: readonly OpDraft[]): ClientMessage =>
    ({ kind: 'change', ch: 1, n, hlc: { ms: Date.now(), counter: 3 }, ops: encodeOps(some), replica: n % 2 ? null : replica });
  const client: ClientMessage[] = [
    { kind: 'hello', version: 1, replica, clientName: 'fuzz' },
    { kind: 'auth', token },
    { kind: 'ping', t: 12345 },
    { kind: 'subscribe', ch: 1, page, since: null, epoch: null, create: 'blocks' },
    { kind: 'subscribe', ch: 2, page: newPage(), since: seq(3), epoch: replica as never, create: null },
    { kind: 'unsubscribe', ch: 2 },
    ...ops.map((op, i) => change(i + 1, [op])),
    change(1, ops),
    { kind: 'presence', ch: 1, state: Uint8Array.of(0x82, 0xa1, 0x78, 1, 0xa1, 0x79, 0x92, 1, 2) },
    { kind: 'presence', ch: 1, state: null },
    { kind: 'sync', ch: 1, since: seq(0) },
  ];
  const back: ServerMessage[] = [
    { kind: 'pong', t: 1, time: 2 },
    { kind: 'ack', ch: 1, n: 1, seq: seq(1), replica },
    { kind: 'role', ch: 1, role: 'owner' },
    { kind: 'snapshot', ch: 1, seq: seq(1), encoding: 1, part: 0, parts: 1, bytes: new Uint8Array(40) },
    { kind: 'changes', page, firstSeq: seq(1), changes: [{ replica, n: 1, hlc: { ms: 1, counter: 0 }, author: 'a' as never, at: 1, ops: encodeOps(ops) }] },
    { kind: 'presence', page, states: [{ replica, user: 'a' as never, state: Uint8Array.of(1) }] },
  ];
  const frames = [...client.map(encodeClientMessage), ...back.map(encodeServerMessage)];
  return { frames, bodies: [...ops.map((op) => encodeOps([op])), encodeOps(ops)] };
} // prettier-ignore

/** Bytes that mean something to a MessagePack reader, so that a flip often changes the shape and not only a value. */
const TAGS = [0x00, 0x01, 0x7f, 0x80, 0x8f, 0x90, 0x91, 0x9f, 0xa0, 0xbf, 0xc0, 0xc1, 0xc3, 0xc4, 0xc5, 0xc6, 0xc7, 0xc9, 0xca, 0xcb, 0xcc, 0xce, 0xcf, 0xd3, 0xd9, 0xdb, 0xdc, 0xdd, 0xde, 0xdf, 0xff]; // prettier-ignore
const HUGE = [0xc6, 0xc9, 0xdb, 0xdd, 0xdf];

const join = (...parts: readonly Uint8Array[]) => new Uint8Array(Buffer.concat(parts));

function mutate(random: Random, from: Uint8Array, other: Uint8Array, page: PageId): Uint8Array {
  const bytes = from.slice();
  const at = randomBelow(random, Math.max(1, bytes.length));
  switch (randomBelow(random, 10)) {
    case 0: // valid as it is: what is around it makes it wrong, or it is right
      return bytes;
    case 1:
      bytes[at] = random.uint32() & 255;
      return bytes;
    case 2:
      for (let left = 1 + randomBelow(random, 4); left > 0; left--) bytes[randomBelow(random, bytes.length)] = pick(random, TAGS);
      return bytes;
    case 3:
      return bytes.subarray(0, at);
    case 4: // one's head, another's tail
      return join(bytes.subarray(0, at), other.subarray(randomBelow(random, other.length)));
    case 5: // a length that nothing follows
      return join(bytes.subarray(0, at), Uint8Array.of(pick(random, HUGE), 0xff, 0xff, 0xff, random.uint32() & 255), bytes.subarray(at));
    case 6: // deep nesting in the place of a value
      return join(bytes.subarray(0, at), new Uint8Array(1 + randomBelow(random, 3000)).fill(pick(random, [0x91, 0x81, 0x9f])), bytes.subarray(at));
    case 7: // a piece again
      return join(bytes, bytes.subarray(at));
    case 8: // another id where one stands
      for (let i = 0; i + 18 <= bytes.length; i++) if (bytes[i] === 0xc4 && bytes[i + 1] === 16 && (random.uint32() & 1) === 1) bytes.set(random.uint32() & 1 ? random.bytes(16) : idToBytes(page), i + 2);
      return bytes;
    default: // nothing but noise
      return random.bytes(randomBelow(random, 200));
  }
} // prettier-ignore

interface Attack {
  readonly frames: number;
  readonly sockets: number;
  readonly refused: ReadonlySet<string>;
}

/** Sends its share of the frames over one socket after another, as each is closed or has had its round. */
async function attack(random: Random, frames: number, page: PageId): Promise<Attack> {
  const token = await testToken('mallory');
  const { frames: seeds, bodies } = corpus(page, token);
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

async function rssBytes(pid: number): Promise<number | undefined> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => undefined);
  const kib = status && /^VmRSS:\s+(\d+) kB/m.exec(status)?.[1];
  return kib ? Number(kib) * 1024 : undefined;
}

test(`${FRAMES} mutated frames, seed ${SEED}`, { timeout: 600_000 }, async () => {
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
  const share = Math.ceil(FRAMES / SOCKETS);
  const attacks = await Promise.all(
    Array.from({ length: SOCKETS }, () => attack(seededRandom(random.uint32()), share, target)),
  );
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
  expect(rssMax).toBeLessThan(RSS_BYTES_MAX);
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
  console.info(`fuzz: seed ${SEED}, ${attacks.reduce((sum, one) => sum + one.sockets, 0)} sockets, head ${before}, ${written} good writes, slowest ${Math.round(slowestMs)} ms, rss at most ${Math.round(rssMax / 2 ** 20)} MiB, codes ${[...refused].sort().join(' ')}`);
}); // prettier-ignore
