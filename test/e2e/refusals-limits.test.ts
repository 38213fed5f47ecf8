/**
 * Rates and counts, and presence: past a limit a named refusal with a retry time where one helps, never a silent drop;
 * after that time the same frame is taken.
 */
import { afterEach, describe, expect, test } from 'vitest';
import { sleep } from '../../src/base/time.ts';
import { MsgpackWriter } from '../../src/protocol/msgpack-writer.ts';
import type { ServerMessage } from '../../src/protocol/messages.ts';
import { enter, newReplica, open, RawClient } from '../support/raw-client.ts';
import { headOf, insert, makePage, serves, viewerOf } from '../support/raw-page.ts';
import { startServer, testToken, type TestServer } from '../support/server.ts';

let server: TestServer;

afterEach(() => server?.dispose());

const limited = async (env: Record<string, string>): Promise<void> => {
  server = await startServer({ env: { PRESENCE_PER_SECOND: '1000', ...env } });
};

const editor = async (name = 'ann'): Promise<RawClient> => enter(server.url, await testToken(name));
type Answer = ServerMessage & { kind: 'reject' | 'changes' };
const isAnswer = (m: ServerMessage): m is Answer => m.kind === 'reject' || m.kind === 'changes';

/** Sends n, and again after the time that each refusal names, until it is taken. */
async function insist(client: RawClient, page: Parameters<RawClient['echo']>[0], n: number): Promise<void> {
  for (;;) {
    client.change(1, n, [insert(page)]);
    const told = await client.take('an answer', isAnswer);
    if (told.kind === 'changes') return;
    expect(told).toMatchObject({ n, code: 'rate' });
    expect(told.retryAfterMs).toBeGreaterThan(0);
    // The refusal's own word on when to come again: not a wait for something to happen.
    await sleep(told.retryAfterMs!);
  }
}

describe('rates', () => {
  test('C14 C10 changes of a user: refused with a retry time, then taken; duplicates are acknowledged all the same', async () => {
    await limited({ USER_CHANGES_PER_SECOND: '2', USER_CHANGES_BURST: '6' });
    const { page } = await makePage(server);
    const client = await editor();
    await client.subscribe(1, page);
    // At once: more come in while they are sent, but not as many again.
    const ops = Array.from({ length: 12 }, () => [insert(page)]);
    ops.forEach((one, i) => client.change(1, i + 1, one));
    const refused = await client.next('reject');
    expect(refused).toMatchObject({ code: 'rate', replica: client.replica });
    expect(refused.n).toBeGreaterThan(6);
    expect(refused.retryAfterMs).toBeGreaterThan(0);
    const last = refused.n - 1;
    await client.echo(page, last);
    client.change(1, 3, ops[2]!);
    expect(await client.next('ack')).toMatchObject({ n: last, seq: last + 1 });
    // Another user is not slowed.
    const other = await editor('bob');
    await other.subscribe(1, page);
    expect(await other.write(1, page, [insert(page)])).toBe(last + 2);
    client.inbox.length = 0;
    await insist(client, page, refused.n);
    await client.quiet();
    expect(await headOf(server, page)).toBe(last + 3);
    await Promise.all([client.close(), other.close()]);
  });

  test('C14 the rate is the user’s, over all sockets', async () => {
    await limited({ USER_CHANGES_PER_SECOND: '1', USER_CHANGES_BURST: '4' });
    const { page } = await makePage(server);
    const [one, two] = [await editor(), await editor()];
    await one.subscribe(1, page);
    await two.subscribe(1, page);
    for (let n = 1; n <= 3; n++) await one.write(1, page, [insert(page)]);
    for (let n = 1; n <= 8; n++) two.change(1, n, [insert(page)]);
    expect(await two.next('reject')).toMatchObject({ code: 'rate' });
    await Promise.all([one.close(), two.close()]);
  });

  test('C14 changes of a page: those that are refused for another reason cost others nothing', async () => {
    await limited({ PAGE_CHANGES_PER_SECOND: '5' });
    const { page } = await makePage(server);
    const viewer = await enter(server.url, await testToken('val', { grants: viewerOf(page) }));
    const client = await editor();
    await viewer.subscribe(1, page);
    await client.subscribe(1, page);
    for (let i = 0; i < 20; i++) viewer.change(1, 1, [insert(page)]);
    for (let i = 0; i < 20; i++) expect((await viewer.next('reject')).code).toBe('forbidden');
    await client.write(1, page, [insert(page)]);
    for (let n = 2; n <= 12; n++) client.change(1, n, [insert(page)]);
    const { n: next, code } = await client.next('reject');
    expect(code).toBe('rate');
    expect(next).toBeGreaterThan(3);
    await client.echo(page, next - 1);
    client.inbox.length = 0;
    await insist(client, page, next);
    await Promise.all([client.close(), viewer.close()]);
  });
});

describe('what a few bytes can ask for', () => {
  test('G14 SYNC and SUBSCRIBE of one socket: past their rate refused, and writers are not kept waiting', async () => {
    await limited({ SHARDS: '1', SUBSCRIPTIONS_MAX: '5' });
    const { page } = await makePage(server);
    const [writer, viewer] = [await editor(), await enter(server.url, await testToken('val', { grants: viewerOf(page) }))];
    await writer.subscribe(1, page);
    const filler = 'x'.repeat(60_000);
    for (let i = 0; i < 40; i++) await writer.write(1, page, [{ op: 'update', block: page as never, props: { filler, i }, type: null }]);
    await viewer.subscribe(1, page);
    for (let i = 0; i < 2000; i++) viewer.send({ kind: 'sync', ch: 1, since: 0 as never });
    await writer.write(1, page, [insert(page)]);
    const refused = await viewer.next('error');
    expect(refused).toMatchObject({ code: 'rate', ch: 1 });
    expect(refused.retryAfterMs).toBeGreaterThan(0);
    await viewer.close();

    const other = await enter(server.url, await testToken('val', { grants: viewerOf(page) }));
    for (let ch = 1; ch <= 100; ch++) {
      other.ask(ch, page);
      other.send({ kind: 'unsubscribe', ch });
    }
    const told = await other.take('a refusal', (m): m is ServerMessage & { kind: 'error' } => m.kind === 'error' && m.code === 'rate');
    expect(told.ch).toBeGreaterThanOrEqual(26);
    await writer.write(1, page, [insert(page)]);
    await Promise.all([writer.close(), other.close()]);
  }); // prettier-ignore
});

describe('sockets', () => {
  test('G13 of one user, and of one address: closed with “come back later”', async () => {
    await limited({ USER_SOCKETS_MAX: '2', ADDRESS_SOCKETS_MAX: '4' });
    const ann = [await editor(), await editor()];
    const third = await open(server.url, { token: await testToken('ann') });
    expect(await third.refusal()).toBe('too_many');
    expect((await third.closed).code).toBe(4004);
    const others = [await editor('bob'), await open(server.url, { token: await testToken('eve') })];
    const fifth = await open(server.url, { token: await testToken('zoe') });
    expect(await fifth.refusal()).toBe('too_many');
    expect((await fifth.closed).code).toBe(4004);
    // Those who go make room, and nobody's refusal took any.
    await ann[0]!.close();
    const again = await editor();
    await again.quiet();
    const elsewhere = await enter(server.url, await testToken('zoe'), { localAddress: '127.0.0.2' });
    await elsewhere.quiet();
    await Promise.all([...ann.slice(1), ...others, again, elsewhere].map((client) => client.close()));
    await serves(server);
  });
});

describe.each(['uws', 'ws'])('behind a proxy, on %s', (transport) => {
  const from = async (forwardedFor: string, localAddress = '127.0.0.7') =>
    open(server.url, { token: await testToken('ann'), forwardedFor, localAddress });

  test('G120 sockets are counted by the client’s address, of a trusted proxy only', async () => {
    await limited({
      TRANSPORT: transport,
      ADDRESS_SOCKETS_MAX: '2',
      TRUSTED_PROXIES: '127.0.0.7, 10.0.0.0/8',
    });
    const near = [await from('203.0.113.9'), await from('6.6.6.6, 203.0.113.9, 10.0.0.4')];
    const far = await from('203.0.113.10');
    await Promise.all([...near, far].map((client) => client.quiet()));
    const third = await from('203.0.113.9');
    expect(await third.refusal()).toBe('too_many');
    await near[0]!.close();
    await (await from('203.0.113.9')).quiet();
    // A stranger's claims count for nothing: all of these are one address.
    const strangers = [await from('1.1.1.1', '127.0.0.8'), await from('1.1.1.2', '127.0.0.8')];
    await Promise.all(strangers.map((client) => client.quiet()));
    const liar = await from('1.1.1.3', '127.0.0.8');
    expect(await liar.refusal()).toBe('too_many');
  });

  test('G122 a page in the query, whatever it says, changes nothing', async () => {
    await limited({ TRANSPORT: transport });
    const { page } = await makePage(server);
    for (const hint of [page, newReplica(), '', `x&page=${'%00'.repeat(500)}`]) {
      const client = await enter(`${server.url}?page=${hint}`, await testToken('ann'), { where: 'query' });
      await client.subscribe(1, page);
      await client.write(1, page, [insert(page)]);
      await client.close();
    }
  });
});

describe('presence', () => {
  const state = (text: string) => new MsgpackWriter().str(text).take();

  test('A18 is seen by others and by those who come later, and gone when its socket is', async () => {
    await limited({});
    const { page } = await makePage(server);
    const [ann, bob] = [await editor(), await editor('bob')];
    await ann.subscribe(1, page);
    await bob.subscribe(1, page);
    bob.inbox.length = 0;
    const of = (client: RawClient, text: string | null) =>
      bob.take(`presence ${text}`, (m): m is ServerMessage & { kind: 'presence' } =>
        m.kind === 'presence' && m.states.some((one) => one.replica === client.replica && one.user === 'ann' &&
          (text === null ? one.state === null : Buffer.from(one.state ?? []).equals(Buffer.from(state(text)))))); // prettier-ignore
    ann.send({ kind: 'presence', ch: 1, state: state('here') });
    await of(ann, 'here');
    const late = await editor('zoe');
    late.ask(1, page);
    const told = await late.next('presence');
    expect(told.states.map((one) => one.user).sort()).toEqual(['ann', 'bob']);
    ann.send({ kind: 'presence', ch: 1, state: null });
    await of(ann, null);
    ann.send({ kind: 'presence', ch: 1, state: state('back') });
    await of(ann, 'back');
    await ann.terminate();
    await of(ann, null);
    await Promise.all([bob.close(), late.close()]);
  });

  test('G14 G15 too large and too often: named, and the state before it stays', async () => {
    await limited({ PRESENCE_PER_SECOND: '10', PRESENCE_BYTES_MAX: '100' });
    const { page } = await makePage(server);
    const client = await editor();
    await client.subscribe(1, page);
    client.send({ kind: 'presence', ch: 1, state: state('y'.repeat(98)) });
    client.send({ kind: 'presence', ch: 1, state: state('x'.repeat(99)) });
    expect(await client.next('error')).toMatchObject({ code: 'too_large', ch: 1 });
    const other = await editor('bob');
    other.ask(1, page);
    const { states } = await other.next('presence');
    expect(states.map((one) => one.state?.length)).toEqual([100]);
    for (let i = 0; i < 15; i++) client.send({ kind: 'presence', ch: 1, state: state(`${i}`) });
    const refused = await client.next('error');
    expect(refused).toMatchObject({ code: 'rate', ch: 1 });
    expect(refused.retryAfterMs).toBeGreaterThan(0);
    expect(await client.write(1, page, [insert(page)])).toBe(2);
    await Promise.all([client.close(), other.close()]);
  });

  test('G67 too often over several sockets of one user: counted together; another user is not slowed', async () => {
    await limited({ PRESENCE_PER_SECOND: '1' });
    const { page } = await makePage(server);
    const [EACH, SOCKETS] = [20, 5];
    const clients = await Promise.all(Array.from({ length: SOCKETS }, () => editor()));
    for (const client of [...clients, await editor('bob')]) {
      client.ask(1, page);
      await client.next('subscribed');
      if (!clients.includes(client)) clients.push(client);
    }
    const bob = clients.pop()!;
    for (const client of clients) for (let i = 0; i < EACH; i++) client.send({ kind: 'presence', ch: 1, state: state(`${i}`) });
    bob.send({ kind: 'presence', ch: 1, state: state('bob') });
    let refused = 0;
    for (const client of [...clients, bob]) {
      client.send({ kind: 'ping', t: 1 });
      await client.next('pong');
      for (const told of client.inbox) {
        if (told.kind !== 'error') continue;
        expect([told.code, told.ch, told.retryAfterMs! > 0, client !== bob]).toEqual(['rate', 1, true, true]);
        refused++;
      }
    }
    // One state a second is taken from the user; counted by socket it would be one from each.
    expect(refused).toBeGreaterThan(SOCKETS * (EACH - 1));
    await Promise.all([...clients, bob].map((client) => client.close()));
  }); // prettier-ignore

  test('A19 of a replica that comes back on another socket is not taken away by the old one’s end', async () => {
    await limited({});
    const { page } = await makePage(server);
    const replica = newReplica();
    const old = await enter(server.url, await testToken('ann'), { replica });
    await old.subscribe(1, page);
    const again = await enter(server.url, await testToken('ann'), { replica });
    await again.subscribe(1, page);
    await old.close();
    await again.settle(1, page);
    const other = await editor('bob');
    other.ask(1, page);
    expect((await other.next('presence')).states).toMatchObject([{ replica, user: 'ann' }]);
    await Promise.all([again.close(), other.close()]);
  });
});
