/**
 * What a page refuses of a change: by its number, its owner, its stamp, its ops and its text. A refused change leaves no
 * trace: the head is where it was, and the next good change under the same n is taken.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import * as Y from 'yjs';
import { encodeOps, type OpDraft } from '../../src/document/ops.ts';
import { MsgpackWriter } from '../../src/protocol/msgpack-writer.ts';
import { enter, newBlock, newPage, newReplica, RawClient } from '../support/raw-client.ts';
import {
  editorOf,
  headOf,
  insert,
  makePage,
  type RawPage,
  textUpdates,
  viewerOf,
} from '../support/raw-page.ts';
import { startServer, testToken, type TestServer } from '../support/server.ts';

let server: TestServer;

beforeAll(async () => {
  server = await startServer({ env: { PRESENCE_PER_SECOND: '1000', DEPTH_MAX: '5', BLOCKS_MAX: '60', TEXT_BYTES_MAX: '1048576' } });
}); // prettier-ignore

afterAll(() => server?.dispose());

const editor = async (name = 'ann'): Promise<RawClient> => enter(server.url, await testToken(name));

interface Joined extends RawPage {
  readonly client: RawClient;
}

async function join(name = 'ann'): Promise<Joined> {
  const made = await makePage(server);
  const client = await editor(name);
  await client.subscribe(1, made.page);
  return { ...made, client };
}

/** Refused as `code`, nothing else told, the head unmoved, and n still free for a change that is good. */
async function expectRefused({ client, page }: Joined, ops: readonly OpDraft[] | Uint8Array, code: string): Promise<void> {
  client.change(1, 1, ops);
  expect(await client.next('reject')).toMatchObject({ ch: 1, n: 1, code, replica: client.replica });
  await client.settle(1, page);
  await client.quiet();
  expect(await headOf(server, page)).toBe(1);
  expect(await client.write(1, page, [insert(page)])).toBe(2);
  await client.close();
} // prettier-ignore

describe('the number n', () => {
  test.each([0, 2, 3, 2 ** 53 - 1])('C7 n = %d as the first is out of order', async (n) => {
    const { client, page } = await join();
    client.change(1, n, [insert(page)]);
    expect(await client.next('reject')).toMatchObject({ n, code: 'out_of_order', retryAfterMs: null });
    await client.quiet();
    expect(await headOf(server, page)).toBe(1);
    await client.close();
  });

  test('W60 a refused n refuses all that follow, and is the only one that is answered; sent again from there, they are taken', async () => {
    const { client, page } = await join();
    client.change(1, 1, [insert(page)], { hlc: { ms: Date.now() + 1e9, counter: 0 } });
    client.change(1, 2, [insert(page)]);
    client.change(1, 3, [insert(page)]);
    expect(await client.next('reject')).toMatchObject({ n: 1, code: 'clock_skew' });
    await client.settle(1, page);
    await client.quiet();
    for (const n of [1, 2, 3]) client.change(1, n, [insert(page)]);
    expect(await client.echo(page, 3)).toBe(4);
    await client.quiet();
    await client.close();
  });

  test('C10 C83 a duplicate is acknowledged, whatever its stamp, and not stored again; another change under its number is refused', async () => {
    const { client, page } = await join();
    const first = [insert(page)];
    await client.write(1, page, first);
    await client.write(1, page, [insert(page)]);
    client.change(1, 1, first, { hlc: { ms: 2 ** 48 - 1, counter: 0 } });
    expect(await client.next('ack')).toMatchObject({ ch: 1, n: 2, seq: 3, replica: client.replica });
    client.change(1, 1, Uint8Array.of(0xc0));
    expect(await client.next('reject')).toMatchObject({ ch: 1, n: 1, code: 'out_of_order' });
    await client.quiet();
    expect(await headOf(server, page)).toBe(3);
    await client.close();
  });

  test('C12 a change of an earlier session goes out under its replica', async () => {
    const { client, page } = await join();
    const earlier = newReplica();
    const left = [insert(page)];
    client.change(1, 1, left, { replica: earlier });
    const told = await client.next('changes');
    expect(told).toMatchObject({ firstSeq: 2, changes: [{ replica: earlier, n: 1, author: 'ann' }] });
    client.change(1, 1, left, { replica: earlier });
    expect(await client.next('ack')).toMatchObject({ n: 1, seq: 2, replica: earlier });
    expect(await client.write(1, page, [insert(page)])).toBe(3);
    await client.close();
  });
});

describe('the owner', () => {
  test('C11 another user’s replica id is not theirs to use, in HELLO or in a change', async () => {
    const { client, page } = await join();
    await client.write(1, page, [insert(page)]);
    const thief = await enter(server.url, await testToken('eve'), { replica: client.replica });
    thief.ask(1, page);
    await thief.next('subscribed');
    await thief.next('changes');
    // Even a duplicate number: an ACK would say what ann has written.
    for (const n of [1, 2]) {
      thief.change(1, n, [insert(page)]);
      expect(await thief.next('reject')).toMatchObject({ n, code: 'not_yours' });
    }
    await thief.quiet();
    const other = await editor('eve');
    await other.subscribe(1, page);
    other.change(1, 2, [insert(page)], { replica: client.replica });
    expect(await other.next('reject')).toMatchObject({ code: 'not_yours', replica: client.replica });
    expect(await client.write(1, page, [insert(page)])).toBe(3);
    await Promise.all([client.close(), thief.close(), other.close()]);
  });

  test('A19 a replica id of another user cannot be used to show a cursor in their name', async () => {
    const { client, page } = await join();
    const watcher = await editor('bob');
    await watcher.subscribe(1, page);
    client.send({ kind: 'presence', ch: 1, state: Uint8Array.of(1) });
    await watcher.take('ann’s presence', (m): m is typeof m & { kind: 'presence' } => m.kind === 'presence' && m.states.some((one) => one.user === 'ann' && one.state?.[0] === 1));
    const thief = await enter(server.url, await testToken('eve'), { replica: client.replica });
    thief.ask(1, page);
    await thief.next('subscribed');
    thief.send({ kind: 'presence', ch: 1, state: Uint8Array.of(66) });
    expect(await thief.next('error')).toMatchObject({ code: 'not_yours', ch: 1 });
    await thief.close();
    await client.settle(1, page);
    await watcher.settle(1, page);
    const shown = watcher.inbox.flatMap((m) => (m.kind === 'presence' ? m.states : [])).filter((one) => one.replica === client.replica);
    expect(shown.map((one) => one.user)).toEqual(shown.map(() => 'ann'));
    expect(shown.every((one) => one.state !== null)).toBe(true);
    await Promise.all([client.close(), watcher.close()]);
  }); // prettier-ignore

  test('D36 another user’s Yjs client id', async () => {
    const joined = await join('ann');
    const [first, second] = textUpdates(4711, ['mine', ' too']);
    await joined.client.write(1, joined.page, [{ op: 'text', block: joined.block, update: first! }]);
    const thief = await editor('eve');
    await thief.subscribe(1, joined.page);
    thief.change(1, 1, [{ op: 'text', block: joined.block, update: second! }]);
    expect(await thief.next('reject')).toMatchObject({ code: 'not_yours' });
    // In a block of its own as well: the id is the user's on the whole page.
    thief.change(1, 1, [{ ...insert(joined.page), text: first! } as OpDraft]);
    expect(await thief.next('reject')).toMatchObject({ code: 'not_yours' });
    expect(
      await joined.client.write(1, joined.page, [{ op: 'text', block: joined.block, update: second! }]),
    ).toBe(3);
    await Promise.all([joined.client.close(), thief.close()]);
  });
});

describe('the clock', () => {
  test('H8 a year ahead is refused; far in the past is not', async () => {
    const { client, page } = await join();
    client.change(1, 1, [insert(page)], { hlc: { ms: Date.now() + 365 * 86_400_000, counter: 0 } });
    expect(await client.next('reject')).toMatchObject({ n: 1, code: 'clock_skew' });
    for (const [n, ms] of [[1, 0], [2, 1], [3, Date.now() - 1e12]] as const) {
      client.change(1, n, [insert(page)], { hlc: { ms, counter: 0xffff } });
      expect(await client.echo(page, n)).toBe(n + 1);
    }
    client.change(1, 4, [insert(page)], { hlc: { ms: Date.now() + 30_000, counter: 0 } });
    expect(await client.echo(page, 4)).toBe(5);
    await client.quiet();
    await client.close();
  }); // prettier-ignore
});

describe('ops', () => {
  const raw = (write: (w: MsgpackWriter) => void): Uint8Array => {
    const w = new MsgpackWriter();
    write(w);
    return w.take();
  };
  const deep = (depth: number): never => (depth === 0 ? 1 : [deep(depth - 1)]) as never;
  const update = (block: RawPage['block'], props: object): OpDraft[] => [
    { op: 'update', block, props: props as never, type: null },
  ];
  const many = Object.fromEntries(Array.from({ length: 257 }, (_, i) => [`k${i}`, 1]));
  const cases: readonly [string, string, (page: RawPage) => readonly OpDraft[] | Uint8Array][] = [
    ['no ops', 'malformed', () => []],
    ['no array', 'malformed', () => Uint8Array.of(0xc0)],
    ['an op without a block', 'malformed', () => raw((w) => w.array(1).array(1).int(3))],
    ['an op number that is text', 'malformed', () => raw((w) => w.array(1).array(2).str('insert').nil())],
    ['an insert of too few elements', 'malformed', () => raw((w) => w.array(1).array(3).int(1).id(newBlock()).id(newBlock()))],
    ['an order key that is none', 'malformed', ({ page }) => [{ ...insert(page), key: 'a0!' } as OpDraft]],
    ['an empty type', 'malformed', ({ page }) => [{ ...insert(page), type: '' } as OpDraft]],
    ['a type past its length', 'malformed', ({ page }) => [{ ...insert(page), type: 'x'.repeat(65) } as OpDraft]],
    ['a prop nested too deeply', 'malformed', ({ block }) => update(block, { a: deep(17) })],
    ['a prop with a bin', 'malformed', ({ block }) => raw((w) => w.array(1).array(4).int(2).id(block).map(1).str('a').bin(new Uint8Array(3)).nil())],
    ['a prop that is not finite', 'malformed', ({ block }) => raw((w) => w.array(1).array(4).int(2).id(block).map(1).str('a').raw(Uint8Array.of(0xcb, 0x7f, 0xf0, 0, 0, 0, 0, 0, 0)).nil())],
    ['a string that is not UTF-8', 'malformed', ({ block }) => raw((w) => w.array(1).array(4).int(2).id(block).map(1).str('a').raw(Uint8Array.of(0xa1, 0xff)).nil())],
    ['more props than one op may have', 'malformed', ({ block }) => update(block, many)],
    ['a prop key past its length', 'malformed', ({ block }) => update(block, { ['k'.repeat(129)]: 1 })],
    ['a purge, which is the server’s own', 'unsupported', ({ block }) => [{ op: 'purge', blocks: [block] }]],
    ['an op that is not known', 'unsupported', () => raw((w) => w.array(1).array(2).int(200).nil())],
    ['an unknown op after a good one', 'unsupported', ({ page }) => raw((w) => w.array(2).raw(encodeOps([insert(page)]).subarray(1)).array(2).int(99).nil())],
    ['1,001 ops', 'too_large', ({ block }) => Array.from({ length: 1001 }, () => ({ op: 'restore', block }) as const)],
    ['props past 64 KiB', 'too_large', ({ block }) => update(block, { a: 'x'.repeat(66_000) })],
    ['props past 64 KiB of a new block', 'too_large', ({ page }) => [{ ...insert(page), props: { a: 'x'.repeat(40_000), b: 'y'.repeat(40_000) } } as OpDraft]],
    ['too many levels', 'too_large', ({ page }) => {
      const blocks = Array.from({ length: 6 }, () => newBlock());
      return blocks.map((block, i) => insert(page, block, blocks[i - 1] ?? page));
    }],
    ['too many blocks', 'too_large', ({ page }) => Array.from({ length: 61 }, () => insert(page))],
    ['text that builds on what the page lacks', 'missing', ({ block }) => [{ op: 'text', block, update: textUpdates(5, ['a', 'b'])[1]! }]],
    ['an update of Yjs’s second version', 'malformed', ({ block }) => [{ op: 'text', block, update: textUpdates(5, ['hello'], Y.encodeStateAsUpdateV2)[0]! }]],
    ['an update of another root', 'malformed', ({ block }) => {
      const doc = new Y.Doc();
      doc.getText('other').insert(0, 'x');
      return [{ op: 'text', block, update: Y.encodeStateAsUpdate(doc) }];
    }],
    ['an update with a map in it', 'malformed', ({ block }) => {
      const doc = new Y.Doc();
      doc.getMap('text').set('a', 1);
      return [{ op: 'text', block, update: Y.encodeStateAsUpdate(doc) }];
    }],
    ['text of two Yjs clients at once', 'malformed', ({ block }) => [{ op: 'text', block, update: Y.mergeUpdates([textUpdates(5, ['a'])[0]!, textUpdates(6, ['b'])[0]!]) }]],
    ['an update that is garbage', 'malformed', ({ block }) => [{ op: 'text', block, update: Uint8Array.of(255, 255, 255) }]],
  ]; // prettier-ignore

  test.each(cases)('C8 %s: %s', async (_, code, make) => {
    const joined = await join();
    await expectRefused(joined, make(joined), code);
  });

  test('C8 a change is taken whole or not at all: a bad op takes the good ones before it along', async () => {
    const joined = await join();
    const block = newBlock();
    const [first, second] = textUpdates(7, ['one', 'two']);
    const ops: OpDraft[] = [
      { ...insert(joined.page, block), text: first! } as OpDraft,
      { op: 'purge', blocks: [block] },
    ];
    joined.client.change(1, 1, ops);
    expect(await joined.client.next('reject')).toMatchObject({ code: 'unsupported' });
    // What that insert would have brought is not counted as there.
    joined.client.change(1, 1, [{ op: 'text', block: joined.block, update: second! }]);
    expect(await joined.client.next('reject')).toMatchObject({ code: 'missing' });
    expect(
      await joined.client.write(1, joined.page, [{ ...insert(joined.page, block), text: first! } as OpDraft]),
    ).toBe(2);
    await joined.client.close();
  });

  test('D37 C15 an op on a block that is not there is no refusal: it is taken, and its sender told', async () => {
    const { client, page } = await join();
    const [gone, there] = [newBlock(), newBlock()];
    client.change(1, 1, [insert(page, there), { op: 'delete', block: gone }, insert(page, there)]);
    expect(await client.next('notice')).toMatchObject({ ch: 1, n: 1, code: 'gone', opIndex: 1 });
    expect(await client.next('notice')).toMatchObject({ ch: 1, n: 1, code: 'exists', opIndex: 2 });
    expect(await client.echo(page, 1)).toBe(2);
    await client.quiet();
    await client.close();
  });

  test('G7 a change for a page of which the role allows reading only, beside one that may be written', async () => {
    const [read, write] = [await makePage(server), await makePage(server)];
    const grants = [...viewerOf(read.page), ...editorOf(write.page)];
    const client = await enter(server.url, await testToken('ann', { grants }));
    await client.subscribe(1, read.page);
    await client.subscribe(2, write.page);
    client.change(1, 1, [insert(read.page)]);
    client.change(2, 1, [insert(write.page)]);
    expect(await client.next('reject')).toMatchObject({ ch: 1, code: 'forbidden' });
    expect(await client.echo(write.page, 1)).toBe(2);
    expect(await headOf(server, read.page)).toBe(1);
    await client.close();
  });

  test('G12 a change to a page whose id nobody has made, by a ch of another page', async () => {
    const { client, page } = await join();
    const elsewhere = newPage();
    client.change(1, 1, [insert(elsewhere, newBlock(), elsewhere)]);
    expect(await client.next('notice')).toMatchObject({ code: 'gone' });
    expect(await client.echo(page, 1)).toBe(2);
    client.ask(2, elsewhere);
    expect(await client.next('error')).toMatchObject({ code: 'unknown_page', ch: 2 });
    await client.close();
  });
});
