/**
 * What a server refuses for the shape or the place of a frame: garbage, wrong kinds, HELLO and SUBSCRIBE out of order,
 * pages opened twice or not at all, models that it does not have, frames too large.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { encodeClientMessage, encodeServerMessage } from '../../src/protocol/encode.ts';
import { MsgpackWriter } from '../../src/protocol/msgpack-writer.ts';
import { enter, newPage, newReplica, open, RawClient } from '../support/raw-client.ts';
import { headOf, insert, makePage, serves } from '../support/raw-page.ts';
import { startServer, testToken, type TestServer } from '../support/server.ts';

let server: TestServer;

beforeAll(async () => {
  server = await startServer({ env: { PRESENCE_PER_SECOND: '1000', MESSAGE_BYTES_MAX: '200000' } });
});

afterAll(() => server?.dispose());

const editor = async (name = 'ann'): Promise<RawClient> => enter(server.url, await testToken(name));

describe('frames', () => {
  const nested = (depth: number) => new Uint8Array(depth).fill(0x91);
  const garbage: readonly [string, Uint8Array][] = [
    ['nothing', new Uint8Array(0)],
    ['a byte that MessagePack does not use', Uint8Array.of(0xc1)],
    ['a map', Uint8Array.of(0x81, 1, 2)],
    ['an empty array', Uint8Array.of(0x90)],
    ['an array without its items', Uint8Array.of(0xdd, 0xff, 0xff, 0xff, 0xff)],
    ['a kind that is a string', Uint8Array.of(0x91, 0xa1, 0x41)],
    ['kind 0', Uint8Array.of(0x91, 0)],
    ['an unknown client kind', Uint8Array.of(0x92, 31, 1)],
    ['a server’s PONG', encodeServerMessage({ kind: 'pong', t: 1, time: 1 })],
    ['a server’s ACK', encodeServerMessage({ kind: 'ack', ch: 1, n: 1, seq: 1 as never, replica: newReplica() })],
    ['a ch past 32 bits', new MsgpackWriter().array(2).int(5).int(2 ** 32).take()],
    ['a negative ch', Uint8Array.of(0x92, 5, 0xff)],
    ['a PING without its time', Uint8Array.of(0x91, 3)],
    ['an AUTH of a token past its limit', new MsgpackWriter().array(2).int(2).str('x'.repeat(9000)).take()],
    ['a SUBSCRIBE with half an id', Uint8Array.of(0x93, 4, 9, 0xc4, 8, 1, 2, 3, 4, 5, 6, 7, 8)],
    ['a CHANGE of an open page without ops', new MsgpackWriter().array(3).int(6).int(1).int(1).take()],
    ['a CHANGE whose bin claims 4 GB', Uint8Array.of(0x96, 6, 1, 1, 0x92, 1, 0, 0xc6, 0xff, 0xff, 0xff, 0xff, 0xc0)],
    ['a PRESENCE that ends early', Uint8Array.of(0x93, 7, 1, 0xdc, 0xff)],
    ['a SYNC since a string', Uint8Array.of(0x93, 8, 1, 0xa0)],
    ['100,000 nested arrays', nested(100_000)],
  ]; // prettier-ignore

  test.each(garbage)('G9 %s is malformed, and the socket lives', async (_, bytes) => {
    const { page } = await makePage(server);
    const client = await editor();
    await client.subscribe(1, page);
    client.sendBytes(bytes);
    expect(await client.next('error')).toMatchObject({ code: 'malformed' });
    await client.settle(1, page);
    await client.quiet();
    expect(await client.write(1, page, [insert(page)])).toBe(2);
    await client.close();
  });

  test('G9 the answer names the ch where that could be read, else none', async () => {
    const { page } = await makePage(server);
    const client = await editor();
    await client.subscribe(7, page);
    const bad = [
      new MsgpackWriter().array(2).int(4).int(8),
      new MsgpackWriter().array(3).int(6).int(7).int(1),
      new MsgpackWriter().array(3).int(8).int(7).str(''),
      new MsgpackWriter().array(2).int(2).int(7),
      new MsgpackWriter().array(3).int(8).str('').int(7),
    ];
    for (const frame of bad) client.sendBytes(frame.take());
    const answers: string[] = [];
    for (const _ of bad) answers.push(await client.next('error').then(({ code, ch }) => `${code} ${ch}`));
    // The gateway's own answers overtake those of the page.
    expect(answers.sort()).toEqual([7, 7, 8, null, null].map((ch) => `malformed ${ch}`));
    await client.close();
  });

  test('G9 a text frame is malformed', async () => {
    const client = await editor();
    client.sendText('hello');
    expect(await client.next('error')).toMatchObject({ code: 'malformed', ch: null });
    await client.quiet();
    await client.close();
  });

  test('G10 a frame too large closes its socket with 1009; the others live', async () => {
    const { page } = await makePage(server);
    const [client, other] = [await editor(), await editor('bob')];
    await client.subscribe(1, page);
    await other.subscribe(1, page);
    client.sendBytes(new Uint8Array(200_001));
    expect((await client.closed).code).toBe(1009);
    expect(await other.write(1, page, [insert(page)])).toBe(2);
    await other.close();
    await serves(server);
  });

  test('W3 elements after the known ones are ignored', async () => {
    const client = await editor();
    client.sendBytes(
      new MsgpackWriter()
        .array(4)
        .int(3)
        .int(7)
        .str('new')
        .json({ a: [1] })
        .take(),
    );
    expect(await client.next('pong')).toMatchObject({ t: 7 });
    await client.close();
  });
});

describe('HELLO', () => {
  test('G11 is needed before a page', async () => {
    const client = await open(server.url, { token: await testToken('ann') });
    client.ask(1, newPage(), { create: 'blocks' });
    expect(await client.next('error')).toMatchObject({ code: 'malformed', ch: 1 });
    client.change(1, 1, [insert(newPage())]);
    expect(await client.next('error')).toMatchObject({ code: 'malformed', ch: 1 });
    await client.hello();
    await client.quiet();
    await client.close();
  });

  test('G11 is said once', async () => {
    const { page } = await makePage(server);
    const client = await editor();
    client.send({ kind: 'hello', version: 1, replica: newReplica(), clientName: 'again' });
    expect(await client.next('error')).toMatchObject({ code: 'malformed', ch: null });
    await client.subscribe(1, page);
    // Still the first replica: echo() looks for that.
    expect(await client.write(1, page, [insert(page)])).toBe(2);
    await client.close();
  });

  test('G11 of another version ends the socket, not to come back', async () => {
    const client = await open(server.url, { token: await testToken('ann') });
    client.send({ kind: 'hello', version: 2, replica: client.replica, clientName: '' });
    expect(await client.next('error')).toMatchObject({ code: 'unsupported' });
    expect((await client.closed).code).toBe(4502);
  });
});

describe('pages and ch', () => {
  test('G12 a frame for a page that is not open', async () => {
    const { page } = await makePage(server);
    const client = await editor();
    for (const message of [
      { kind: 'change', ch: 1, n: 1, hlc: { ms: 1, counter: 0 }, ops: Uint8Array.of(0x90), replica: null },
      { kind: 'presence', ch: 1, state: Uint8Array.of(1) },
      { kind: 'sync', ch: 1, since: 0 as never },
      { kind: 'unsubscribe', ch: 1 },
    ] as const) {
      client.send(message);
      expect(await client.next('error')).toMatchObject({ code: 'not_open', ch: 1 });
    }
    await client.quiet();
    await client.close();
    expect(await headOf(server, page)).toBe(1);
  });

  test('G12 a page is open once on a socket, and a ch is never used again', async () => {
    const [one, two] = [await makePage(server), await makePage(server)];
    const client = await editor();
    await client.subscribe(5, one.page);
    client.ask(6, one.page);
    expect(await client.next('error')).toMatchObject({ code: 'already_open', ch: 6 });
    client.ask(5, two.page);
    expect(await client.next('error')).toMatchObject({ code: 'already_open', ch: 5 });
    client.ask(4, two.page);
    expect(await client.next('error')).toMatchObject({ code: 'already_open', ch: 4 });
    client.send({ kind: 'unsubscribe', ch: 5 });
    client.ask(5, two.page);
    expect(await client.next('error')).toMatchObject({ code: 'already_open', ch: 5 });
    await client.subscribe(7, one.page);
    expect(await client.write(7, one.page, [insert(one.page)])).toBe(2);
    await client.quiet();
    await client.close();
  });

  test('G12 after UNSUBSCRIBE only what was under way arrives', async () => {
    const { page } = await makePage(server);
    const [client, writer] = [await editor(), await editor('bob')];
    await client.subscribe(1, page);
    await writer.subscribe(1, page);
    client.send({ kind: 'unsubscribe', ch: 1 });
    await client.quiet();
    await writer.settle(1, page);
    client.inbox.length = 0;
    await writer.write(1, page, [insert(page)]);
    await client.quiet();
    await Promise.all([client.close(), writer.close()]);
  });

  test('A4 an unknown page, and one asked for after it was refused', async () => {
    const page = newPage();
    const client = await editor();
    client.ask(1, page);
    expect(await client.next('error')).toMatchObject({ code: 'unknown_page', ch: 1 });
    client.change(1, 1, [insert(page)]);
    expect(await client.next('error')).toMatchObject({ code: 'not_open', ch: 1 });
    await client.subscribe(2, page, { create: 'blocks' });
    expect(await client.write(2, page, [insert(page)])).toBe(1);
    await client.close();
  });

  test('A4 models: another one for a page that exists, and one that there is not', async () => {
    const { page } = await makePage(server);
    const client = await editor();
    client.ask(1, page, { create: 'ydoc' });
    expect(await client.next('error')).toMatchObject({ code: 'wrong_model', ch: 1 });
    client.ask(2, newPage(), { create: 'spreadsheet' });
    expect(await client.next('error')).toMatchObject({ code: 'unsupported', ch: 2 });
    expect(await client.subscribe(3, page, { create: 'blocks' })).toMatchObject({ head: 1 });
    await client.quiet();
    await client.close();
  });

  test('A6 A7 a position past the head, or of another epoch, gets the page anew', async () => {
    const { page } = await makePage(server);
    const client = await editor();
    client.ask(1, page, { since: 1000 as never });
    expect(await client.next('subscribed')).toMatchObject({ head: 1 });
    expect(await client.next('changes')).toMatchObject({ firstSeq: 1 });
    client.send({ kind: 'unsubscribe', ch: 1 });
    client.ask(2, page, { since: 1 as never, epoch: newReplica() as never });
    expect(await client.next('subscribed')).toMatchObject({ head: 1, ch: 2 });
    expect(await client.next('changes')).toMatchObject({ firstSeq: 1 });
    await client.close();
  });

  test('G13 pages open on one socket are bounded', async () => {
    const client = await editor();
    const page = newPage();
    for (let ch = 1; ch <= 100; ch++) client.ask(ch, newPage(), { create: 'blocks' });
    for (let ch = 1; ch <= 100; ch++) await client.next('subscribed');
    client.ask(101, page, { create: 'blocks' });
    expect(await client.next('error')).toMatchObject({ code: 'too_many', ch: 101 });
    client.sendBytes(encodeClientMessage({ kind: 'unsubscribe', ch: 50 }));
    await client.subscribe(102, page, { create: 'blocks' });
    await client.quiet();
    await client.close();
  });
});
