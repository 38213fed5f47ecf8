/**
 * Every limit of the table, at its bound and one past it, through a real server with small bounds: what is within is taken,
 * what is past it gets its name, and a retry time where waiting helps. A limit that is decided where no socket reaches it
 * in reasonable time names the test that does it instead. A new row without either fails here.
 */
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import * as Y from 'yjs';
import { sleep } from '../../src/base/time.ts';
import type { OpDraft } from '../../src/document/ops.ts';
import type { BlockId } from '../../src/protocol/ids.ts';
import { encodeClientMessage } from '../../src/protocol/encode.ts';
import { LIMIT_TABLE, type LimitName } from '../../src/protocol/limits.ts';
import { MsgpackWriter } from '../../src/protocol/msgpack-writer.ts';
import type { ServerMessage } from '../../src/protocol/messages.ts';
import { enter, newBlock, open, RawClient } from '../support/raw-client.ts';
import { insert, makePage, type RawPage, textUpdates } from '../support/raw-page.ts';
import { startServer, testToken, type TestServer } from '../support/server.ts';

/** Small enough to be reached in a moment, and far enough from each other that each is met alone. */
const SET = {
  messageBytesMax: 20_000, opsPerChangeMax: 40, propsBytesMax: 500, textCharactersMax: 1000, textBytesMax: 20_000,
  depthMax: 4, blocksMax: 30, movedBlocksMax: 5, presenceBytesMax: 100, presencePerSecond: 20,
  userChangesPerSecond: 1, userChangesBurst: 40, pageChangesPerSecond: 20, subscribesPerSecond: 1, syncsPerSecond: 3,
  userFramesPerSecond: 1, userFramesBurst: 400, userBytesPerSecond: 1, userBytesBurst: 110_000,
  subscriptionsMax: 3, userSocketsMax: 3, addressSocketsMax: 12, unauthenticatedMs: 700,
  unauthenticatedBytesMax: 6000, clockDriftMaxMs: 50_000,
} as const satisfies Partial<Record<LimitName, number>>; // prettier-ignore

type Of<Kind extends ServerMessage['kind']> = Extract<ServerMessage, { kind: Kind }>;

let server: TestServer;
let users = 0;

beforeAll(async () => {
  const env = Object.entries(SET).map(([name, value]) => [LIMIT_TABLE[name as LimitName].env, `${value}`]);
  server = await startServer({ env: Object.fromEntries(env) as Record<string, string> });
});
afterAll(() => server?.dispose());

/** A user of its own each time, so that no case meets the rates of another. */
const enterAnew = async (): Promise<RawClient> => enter(server.url, await testToken(`user${++users}`));

interface Joined extends RawPage {
  readonly client: RawClient;
}

async function join(): Promise<Joined> {
  const made = await makePage(server);
  const client = await enterAnew();
  await client.subscribe(1, made.page);
  return { ...made, client };
}

/** At the bound: taken. Past it: refused by name; and what is good is taken afterwards. */
async function changes(code: string, at: (page: RawPage) => readonly OpDraft[], past: (page: RawPage) => readonly OpDraft[]): Promise<void> {
  const joined = await join();
  const { client, page } = joined;
  await client.write(1, page, at(joined));
  client.change(1, 2, past(joined));
  expect(await client.next('reject')).toMatchObject({ n: 2, code, retryAfterMs: null });
  client.change(1, 2, [{ op: 'restore', block: joined.block }]);
  await client.echo(page, 2);
  await client.close();
} // prettier-ignore

/** A frame of exactly `bytes`: PING with an element behind those it has. */
function padded(bytes: number): Uint8Array {
  const head = new MsgpackWriter().array(3).int(3).int(77).take();
  const rest = bytes - head.length - 3;
  return new Uint8Array(
    Buffer.concat([head, Uint8Array.of(0xc5, rest >> 8, rest & 255), new Uint8Array(rest)]),
  );
}

const props = (block: BlockId, bytes: number): OpDraft => ({ op: 'update', block, props: { a: 'x'.repeat(bytes - 5) }, type: null }); // prettier-ignore
const chain = (page: RawPage, levels: number): OpDraft[] => {
  const blocks = Array.from({ length: levels }, () => newBlock());
  return blocks.map((block, i) => insert(page.page, block, blocks[i - 1] ?? page.page));
};
/** A block with so many others below it, and another to move it under. */
function family(page: RawPage, size: number): OpDraft[] {
  const [head, host] = [newBlock(), newBlock()];
  const below = Array.from({ length: size - 1 }, () => insert(page.page, newBlock(), head));
  return [insert(page.page, head), insert(page.page, host), ...below, { op: 'move', block: head, parent: host, key: 'a1' }]; // prettier-ignore
}
const presence = (bytes: number) => new Uint8Array([0xc4, bytes - 2, ...new Uint8Array(bytes - 2)]);

/** Sends `count` frames at once; the refusals and the other answers, in order. */
async function burst(client: RawClient, count: number, send: (i: number) => void): Promise<Of<'error'>[]> {
  for (let i = 0; i < count; i++) send(i);
  client.send({ kind: 'ping', t: 4242 });
  await client.take('the pong behind', (m): m is Of<'pong'> => m.kind === 'pong' && m.t === 4242);
  return client.inbox.filter((m): m is Of<'error'> => m.kind === 'error');
}

const CASES: { readonly [name in LimitName]: (() => Promise<void>) | { readonly file: string; readonly test: string } } = {
  messageBytesMax: async () => {
    const { client } = await join();
    client.sendBytes(padded(SET.messageBytesMax));
    expect(await client.next('pong')).toMatchObject({ t: 77 });
    client.sendBytes(padded(SET.messageBytesMax + 1));
    expect((await client.closed).code).toBe(1009);
  },
  opsPerChangeMax: () =>
    changes('too_large', ({ block }) => Array.from({ length: SET.opsPerChangeMax }, () => ({ op: 'restore', block })),
      ({ block }) => Array.from({ length: SET.opsPerChangeMax + 1 }, () => ({ op: 'restore', block }))),
  propsBytesMax: () =>
    changes('too_large', ({ block }) => [props(block, SET.propsBytesMax)], ({ block }) => [props(block, SET.propsBytesMax + 1)]),
  textCharactersMax: () => {
    const [full, more] = textUpdates(5, ['é'.repeat(SET.textCharactersMax), 'x']);
    return changes('too_large', ({ block }) => [{ op: 'text', block, update: full! }], ({ block }) => [{ op: 'text', block, update: more! }]);
  },
  textBytesMax: { file: 'src/document/blocks-model.test.ts', test: 'its bytes: at the bound and past it, over state and queue' },
  depthMax: () => changes('too_large', (page) => chain(page, SET.depthMax), (page) => chain(page, SET.depthMax + 1)),
  blocksMax: () =>
    // The root and a paragraph are there.
    changes('too_large', ({ page }) => Array.from({ length: SET.blocksMax - 2 }, () => insert(page)), ({ page }) => [insert(page)]),
  movedBlocksMax: () =>
    changes('too_large', (page) => family(page, SET.movedBlocksMax), (page) => family(page, SET.movedBlocksMax + 1)),
  presenceBytesMax: async () => {
    const { client } = await join();
    expect(await burst(client, 1, () => client.send({ kind: 'presence', ch: 1, state: presence(SET.presenceBytesMax) }))).toEqual([]);
    client.send({ kind: 'presence', ch: 1, state: presence(SET.presenceBytesMax + 1) });
    expect(await client.next('error')).toMatchObject({ code: 'too_large', ch: 1 });
    await client.close();
  },
  presencePerSecond: async () => {
    const { client } = await join();
    // The one that `join` sent has come back by then, and is forgotten in a second.
    await sleep(1000);
    const send = () => client.send({ kind: 'presence', ch: 1, state: presence(10) });
    expect(await burst(client, SET.presencePerSecond, send)).toEqual([]);
    const [refused] = await burst(client, 1, send);
    expect(refused).toMatchObject({ code: 'rate', ch: 1 });
    await sleep(refused!.retryAfterMs!);
    client.inbox.length = 0;
    expect(await burst(client, 1, send)).toEqual([]);
    await client.close();
  },
  userChangesPerSecond: { file: 'test/e2e/refusals-limits.test.ts', test: 'changes of a user: refused with a retry time, then taken' },
  userChangesBurst: async () => {
    const { client, page, block } = await join();
    // More than one page, or the page's rate would be met first.
    const others = [await makePage(server), await makePage(server)];
    for (const [i, other] of others.entries()) await client.subscribe(i + 2, other.page);
    const each = (SET.userChangesBurst - 10) / 2;
    for (let n = 1; n <= 10; n++) client.change(1, n, [{ op: 'restore', block }]);
    for (const [i, other] of others.entries())
      for (let n = 1; n <= each; n++) client.change(i + 2, n, [{ op: 'restore', block: other.block }]);
    client.change(1, 11, [{ op: 'restore', block }]);
    const refused = await client.next('reject');
    expect(refused).toMatchObject({ ch: 1, n: 11, code: 'rate', message: expect.stringContaining('a user may') as string });
    await client.echo(page, 10);
    for (const other of others) await client.echo(other.page, each);
    await sleep(refused.retryAfterMs!);
    client.change(1, 11, [{ op: 'restore', block }]);
    await client.echo(page, 11);
    await client.close();
  },
  pageChangesPerSecond: async () => {
    const { client, page, block } = await join();
    await sleep(1000);
    // More come in while these are sent, but not as many again.
    for (let n = 1; n <= SET.userChangesBurst; n++) client.change(1, n, [{ op: 'restore', block }]);
    const refused = await client.next('reject');
    expect(refused).toMatchObject({ code: 'rate', message: expect.stringContaining('this page takes') as string });
    expect(refused.n).toBeGreaterThan(SET.pageChangesPerSecond);
    await client.echo(page, refused.n - 1);
    expect(refused.retryAfterMs).toBeGreaterThan(0);
    await client.close();
  },
  subscribesPerSecond: async () => {
    const { client, page } = await join();
    // One is taken by the page that is open.
    const send = (i: number) => {
      client.send({ kind: 'unsubscribe', ch: i + 1 });
      client.ask(i + 2, page);
    };
    const left = SET.subscribesPerSecond + SET.subscriptionsMax - 1;
    expect(await burst(client, left, send)).toEqual([]);
    const [refused] = await burst(client, 1, () => send(left));
    expect(refused).toMatchObject({ code: 'rate', ch: left + 2 });
    expect(refused!.retryAfterMs).toBeGreaterThan(0);
    await client.close();
  },
  syncsPerSecond: async () => {
    const { client } = await join();
    const send = () => client.send({ kind: 'sync', ch: 1, since: 0 as never });
    expect(await burst(client, SET.syncsPerSecond, send)).toEqual([]);
    const [refused] = await burst(client, 1, send);
    expect(refused).toMatchObject({ code: 'rate', ch: 1 });
    expect(refused!.retryAfterMs).toBeGreaterThan(0);
    await client.close();
  },
  userFramesPerSecond: async () => {
    const { client, page } = await join();
    const quiet = await enterAnew();
    await quiet.subscribe(1, page);
    for (let i = 0; i < SET.userFramesBurst + 1; i++) client.send({ kind: 'ping', t: i });
    expect(await client.take('the refusal', (m): m is Of<'error'> => m.kind === 'error')).toMatchObject({ code: 'rate', ch: null });
    expect((await client.closed).code).toBe(4005);
    // Nobody else notices.
    await quiet.write(1, page, [insert(page)]);
    await quiet.close();
  },
  userFramesBurst: async () => {
    const client = await enterAnew();
    for (let i = 1; i < SET.userFramesBurst - 1; i++) client.send({ kind: 'ping', t: i });
    expect(await burst(client, 0, () => {})).toEqual([]);
    await client.close();
  },
  userBytesPerSecond: async () => {
    const client = await enterAnew();
    for (let i = 0; i < 6; i++) client.sendBytes(padded(SET.messageBytesMax));
    expect(await client.next('error')).toMatchObject({ code: 'rate', ch: null });
    expect((await client.closed).code).toBe(4005);
    // Five and a HELLO fit, whether that was counted or came before the token was checked.
    expect(client.inbox.filter((m) => m.kind === 'pong').length).toBe(5);
  },
  userBytesBurst: async () => {
    const client = await enterAnew();
    const hello = encodeClientMessage({ kind: 'hello', version: 1, replica: client.replica, clientName: 'raw' }).length;
    for (let i = 0; i < 5; i++) client.sendBytes(padded(SET.messageBytesMax));
    client.sendBytes(padded(SET.userBytesBurst - 5 * SET.messageBytesMax - hello - 10));
    expect(await burst(client, 0, () => {})).toEqual([]);
    await client.close();
  },
  subscriptionsMax: async () => {
    const { client } = await join();
    for (let ch = 2; ch <= SET.subscriptionsMax; ch++) await client.subscribe(ch, (await makePage(server)).page);
    client.ask(9, (await makePage(server)).page);
    expect(await client.next('error')).toMatchObject({ code: 'too_many', ch: 9 });
    await client.close();
  },
  userSocketsMax: async () => {
    const token = await testToken('crowd');
    const crowd: RawClient[] = [];
    for (let i = 0; i < SET.userSocketsMax; i++) crowd.push(await enter(server.url, token));
    const last = await open(server.url, { token });
    expect(await last.refusal()).toBe('too_many');
    expect((await last.closed).code).toBe(4004);
    await Promise.all(crowd.map((client) => client.close()));
  },
  addressSocketsMax: async () => {
    const from = { localAddress: '127.0.0.9' };
    const crowd: RawClient[] = [];
    for (let i = 0; i < SET.addressSocketsMax; i++) crowd.push(await enter(server.url, await testToken(`near${i}`), from));
    const last = await open(server.url, { token: await testToken('near'), ...from });
    expect(await last.refusal()).toBe('too_many');
    expect((await last.closed).code).toBe(4004);
    await Promise.all(crowd.map((client) => client.close()));
  },
  unauthenticatedMs: async () => {
    const started = performance.now();
    const [silent, known] = [await open(server.url), await enterAnew()];
    expect(await silent.refusal()).toBe('unauthorized');
    expect(performance.now() - started).toBeGreaterThanOrEqual(SET.unauthenticatedMs);
    expect((await silent.closed).code).toBe(4500);
    await known.quiet();
    await known.close();
  },
  unauthenticatedBytesMax: async () => {
    const ping = encodeClientMessage({ kind: 'ping', t: 77 });
    const auth = async (bytes: number) => {
      const head = new MsgpackWriter().array(3).int(2).str(await testToken('early')).take();
      const rest = bytes - head.length - 3;
      return new Uint8Array(Buffer.concat([head, Uint8Array.of(0xc5, rest >> 8, rest & 255), new Uint8Array(rest)]));
    };
    const within = await open(server.url);
    within.sendBytes(await auth(SET.unauthenticatedBytesMax - ping.length));
    within.sendBytes(ping);
    expect(await within.next('pong')).toMatchObject({ t: 77 });
    await within.close();
    const past = await open(server.url);
    past.sendBytes(await auth(SET.unauthenticatedBytesMax + 1));
    expect(await past.refusal()).toBe('unauthorized');
    expect((await past.closed).code).toBe(4500);
  },
  clockDriftMaxMs: { file: 'src/actors/admission.test.ts', test: 'a stamp may be ahead of the server or of the page, not of both' },
  tombstoneDays: { file: 'src/document/blocks-model.test.ts', test: 'purges what has been deleted for longer than it can be restored' },
  socketBufferBytesMax: { file: 'src/gateway/slow-readers.test.ts', test: 'more answers than it may hold make it overfull' },
  pageQueueMax: { file: 'src/actors/admission.test.ts', test: 'the queue is bounded in changes and in bytes, at the bound' },
  pageQueueBytesMax: { file: 'src/actors/admission.test.ts', test: 'the queue is bounded in changes and in bytes, at the bound' },
  backlogBytesMax: { file: 'src/actors/fuse.test.ts', test: 'past the shard’s bound of what waits, changes are refused as busy' },
}; // prettier-ignore

describe('G70 at the bound and one past it', () => {
  for (const [name, how] of Object.entries(CASES)) {
    test(`G70 ${name}`, async () => {
      if (typeof how === 'function') return how();
      expect(readFileSync(how.file, 'utf8')).toContain(how.test);
    });
  }

  test('G70 every limit of the table has its case, and is in WELCOME as it was set', async () => {
    expect(Object.keys(CASES)).toEqual(Object.keys(LIMIT_TABLE));
    const client = await open(server.url, { token: await testToken(`user${++users}`) });
    const { limits } = await client.hello();
    expect(Object.keys(limits).toSorted()).toEqual(Object.keys(LIMIT_TABLE).toSorted());
    expect(limits).toMatchObject(SET);
    await client.close();
  });
});

test('G71 garbage counts like anything else: its socket is closed by name, and comes back', async () => {
  const { client, page } = await join();
  for (let i = 0; i <= SET.userFramesBurst; i++) client.sendBytes(Uint8Array.of(0xc1, i));
  const isClosing = (m: ServerMessage): m is Of<'error'> => m.kind === 'error' && m.code === 'rate';
  expect(await client.take('the last word', isClosing)).toMatchObject({ ch: null });
  expect(await client.closed).toEqual({
    code: 4005,
    reason: 'more was sent than may be: come back later',
  });
  const again = await enterAnew();
  await again.subscribe(1, page);
  await again.write(1, page, [insert(page)]);
  await again.close();
});

test('G78 the delay of every thread’s event loop is at /metrics', async () => {
  const metrics = await (await fetch(`${server.http}/metrics`)).text();
  for (const thread of ['main', 'shard 0']) {
    for (const of of ['p50', 'p99', 'max'])
      expect(metrics).toMatch(
        new RegExp(`octavo_event_loop_delay_seconds{thread="${thread}",of="${of}"} [0-9.]+`),
      );
  }
});

test('D51 a text whose history is past its bytes is rewritten, not refused, while it shows little', async () => {
  const { client, page, block } = await join();
  const doc = new Y.Doc();
  doc.clientID = 9;
  const updates: Uint8Array[] = [];
  doc.on('update', (update: Uint8Array) => updates.push(update));
  // Each round writes 900 characters over those before it: ten rounds are 9,000 and more, of 3 bytes each.
  for (let round = 0; round < 10; round++) {
    doc.transact(() => {
      doc.getText('text').delete(0, doc.getText('text').length);
      doc.getText('text').insert(0, '€'.repeat(900));
    });
  }
  expect(updates.reduce((sum, update) => sum + update.length, 0)).toBeGreaterThan(SET.textBytesMax);
  for (const update of updates) await client.write(1, page, [{ op: 'text', block, update }]);
  await client.close();
});
