/**
 * What a server refuses before and because of who is asking: tokens that are missing, wrong, late or another's, and
 * roles that do not allow it. Each gets its named code, and a second client sees that nothing else has happened.
 */
import { createHmac, generateKeyPairSync } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { ServerMessage } from '../../src/protocol/messages.ts';
import { enter, newPage, open, RawClient } from '../support/raw-client.ts';
import { editorOf, headOf, insert, makePage, type RawPage, serves, viewerOf } from '../support/raw-page.ts';
import { startServer, TEST_SECRET, testToken, type TestServer } from '../support/server.ts';

let server: TestServer;
let shared: RawPage;

beforeAll(async () => {
  server = await startServer({ env: { UNAUTHENTICATED_MS: '300', PRESENCE_PER_SECOND: '1000' } });
  shared = await makePage(server);
});

afterAll(() => server?.dispose());

const base64url = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');

function claims(more: object = {}): object {
  const now = Math.floor(Date.now() / 1000);
  return {
    sub: 'mallory',
    exp: now + 600,
    iat: now,
    grants: [{ workspace: 'default', role: 'owner' }],
    ...more,
  };
}

/** A token made by hand, with any header, signed by HMAC with `key`. */
function forge(header: object, key: string | null, payload: object = claims()): string {
  const signed = `${base64url(header)}.${base64url(payload)}`;
  return `${signed}.${key === null ? '' : createHmac('sha256', key).update(signed).digest('base64url')}`;
}

async function expectRefused(client: RawClient, code: string, closeCode: number): Promise<void> {
  expect(await client.refusal()).toBe(code);
  expect((await client.closed).code).toBe(closeCode);
  expect(client.inbox).toEqual([]);
}

describe('no token, or a bad one', () => {
  test('G3 a socket without a token is closed when its time is over', async () => {
    const started = performance.now();
    await expectRefused(await open(server.url), 'unauthorized', 4500);
    expect(performance.now() - started).toBeGreaterThan(250);
  });

  test('G3 frames other than AUTH before the token are refused at once', async () => {
    const client = await open(server.url);
    client.send({ kind: 'hello', version: 1, replica: client.replica, clientName: '' });
    await expectRefused(client, 'unauthorized', 4500);
  });

  test('G3 text frames before the token close the socket: they would not count as bytes', async () => {
    const client = await open(server.url);
    client.sendText('x'.repeat(100_000));
    client.sendText('x'.repeat(100_000));
    await expectRefused(client, 'malformed', 4501);
  });

  test('G3 more than 16 KB before the token is known to be good', async () => {
    const client = await open(server.url, { token: await testToken('ann'), where: 'frame' });
    for (let i = 0; i < 20; i++) client.sendBytes(new Uint8Array(1000));
    // All in one turn with AUTH: the server is still looking at the token, or has just let us in.
    const told = await client.take(
      'a refusal',
      (m): m is ServerMessage & { kind: 'error' } => m.kind === 'error',
    );
    expect(['unauthorized', 'malformed']).toContain(told.code);
    const anonymous = await open(server.url);
    anonymous.sendBytes(new Uint8Array(17_000));
    await expectRefused(anonymous, 'unauthorized', 4500);
  });

  const wrong: readonly [string, () => string | Promise<string>][] = [
    ['signed with another secret', () => testToken('mallory', { secret: 'another secret, also of 32 bytes and more' })],
    ['alg none', () => forge({ alg: 'none', typ: 'JWT' }, null)],
    ['alg none in other letters', () => forge({ alg: 'NoNe' }, null)],
    ['alg HS512', () => forge({ alg: 'HS512' }, TEST_SECRET)],
    ['alg RS256 with an HMAC of the secret', () => forge({ alg: 'RS256' }, TEST_SECRET)],
    ['HS256 keyed by a public key', () => {
      const { publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
      return forge({ alg: 'HS256' }, publicKey.export({ type: 'spki', format: 'pem' }) as string);
    }],
    ['truncated', async () => (await testToken('mallory')).slice(0, -3)],
    ['the payload exchanged', async () => {
      const [head, , signature] = (await testToken('mallory')).split('.');
      return `${head}.${base64url(claims({ sub: 'admin' }))}.${signature}`;
    }],
    ['no words at all', () => 'x'],
    ['no sub', () => forge({ alg: 'HS256' }, TEST_SECRET, claims({ sub: undefined }))],
    ['a sub with a NUL', () => forge({ alg: 'HS256' }, TEST_SECRET, claims({ sub: 'a\u0000b' }))],
    ['no exp', () => forge({ alg: 'HS256' }, TEST_SECRET, claims({ exp: undefined }))],
    ['exp as text', () => forge({ alg: 'HS256' }, TEST_SECRET, claims({ exp: '9999999999' }))],
    ['not yet valid', () => forge({ alg: 'HS256' }, TEST_SECRET, claims({ nbf: Math.floor(Date.now() / 1000) + 600 }))],
    ['grants that are no list', () => forge({ alg: 'HS256' }, TEST_SECRET, claims({ grants: 'all' }))],
    ['a grant of null', () => forge({ alg: 'HS256' }, TEST_SECRET, claims({ grants: [null] }))],
    ['a role that there is not', () => forge({ alg: 'HS256' }, TEST_SECRET, claims({ grants: [{ workspace: 'default', role: 'root' }] }))],
  ]; // prettier-ignore

  test.each(wrong)('G4 a token: %s', async (_, make) => {
    const token = await make();
    await expectRefused(await open(server.url, { token }), 'unauthorized', 4500);
    await expectRefused(await open(server.url, { token, where: 'frame' }), 'unauthorized', 4500);
  });

  test('G4 a forged token of the right secret would have been let in: the forgeries fail for their fault alone', async () => {
    const client = await enter(server.url, forge({ alg: 'HS256' }, TEST_SECRET));
    await client.close();
  });

  test('G1 a token past 8 KB is refused in the handshake', async () => {
    await expect(open(server.url, { token: 'x'.repeat(9000), where: 'query' })).rejects.toThrow(/400|431/);
    await serves(server);
  });

  test('G4 a token that has expired', async () => {
    const token = await testToken('ann', { ttlSeconds: -1 });
    await expectRefused(await open(server.url, { token }), 'expired', 4002);
  });

  test.each(['header', 'query', 'subprotocol', 'frame'] as const)(
    'G2 a good token is taken from the %s',
    async (where) => {
      const client = await enter(server.url, await testToken('ann'), { where });
      expect((await client.subscribe(1, shared.page)).role).toBe('editor');
      await client.quiet();
      await client.close();
    },
  );

  test('G1 the handshake: another path, and no subprotocol of ours', async () => {
    await expect(open(server.url.replace('/v1/sync', '/v2/sync'))).rejects.toThrow('404');
    const { default: WebSocket } = await import('ws');
    const socket = new WebSocket(server.url, ['graphql-ws']);
    await expect(new Promise((_, reject) => socket.on('error', reject))).rejects.toThrow('400');
  });

  test('G68 the handshake: from web pages of this machine, and from those of ALLOWED_ORIGINS', async () => {
    const { default: WebSocket } = await import('ws');
    const from = (url: string, origin: string) =>
      new Promise<string>((resolve) => {
        const socket = new WebSocket(url, ['octavo.v1'], { origin });
        socket.on('error', (error) => resolve(error.message));
        socket.on('open', () => {
          socket.terminate();
          resolve('open');
        });
      });
    expect(await from(server.url, 'http://localhost:5173')).toBe('open');
    expect(await from(server.url, 'https://app.example')).toMatch('403');
    const listed = await startServer({ env: { ALLOWED_ORIGINS: 'https://app.example' } });
    expect(await from(listed.url, 'https://app.example')).toBe('open');
    expect(await from(listed.url, 'http://localhost:5173')).toMatch('403');
    await listed.dispose();
  });
});

describe('time and AUTH', () => {
  test('G5 changes wait while the token is expired; AUTH renews; without it the socket is closed', { timeout: 30_000 }, async () => {
    const { page } = await makePage(server);
    const token = await testToken('ann', { ttlSeconds: 2 });
    const [renews, lapses] = [await enter(server.url, token), await enter(server.url, token)];
    await renews.subscribe(1, page);
    await lapses.subscribe(1, page);
    const first = await renews.write(1, page, [insert(page)]);
    const refused: number[] = [];
    for (let n = 2; refused.length === 0; n++) {
      renews.change(1, n, [insert(page)]);
      const told = await renews.take('an answer', (m): m is ServerMessage & { kind: 'reject' | 'changes' } => m.kind === 'reject' || m.kind === 'changes');
      if (told.kind === 'changes') continue;
      expect(told).toMatchObject({ ch: 1, n, code: 'expired', replica: renews.replica });
      refused.push(n);
    }
    const head = await headOf(server, page);
    expect(head).toBe(first + refused[0]! - 2);
    renews.ask(2, newPage(), { create: 'blocks' });
    expect(await renews.next('error')).toMatchObject({ code: 'expired', ch: 2 });

    renews.send({ kind: 'auth', token: await testToken('ann') });
    expect(await renews.next('role')).toMatchObject({ ch: null });
    expect(await renews.next('role')).toMatchObject({ ch: 1, role: 'editor' });
    renews.change(1, refused[0]!, [insert(page)]);
    expect(await renews.echo(page, refused[0]!)).toBe(head + 1);

    expect((await lapses.closed).code).toBe(4002);
    expect(renews.isClosed).toBe(false);
    await renews.close();
  }); // prettier-ignore

  test('G6 AUTH that names another user, or is bad, changes nothing', async () => {
    const { page } = await makePage(server);
    const client = await enter(server.url, await testToken('ann', { grants: viewerOf(page) }));
    await client.subscribe(1, page);
    client.send({ kind: 'auth', token: await testToken('bob') });
    expect(await client.next('error')).toMatchObject({ code: 'unauthorized', ch: null });
    client.send({ kind: 'auth', token: forge({ alg: 'none' }, null, claims({ sub: 'ann' })) });
    expect(await client.next('error')).toMatchObject({ code: 'unauthorized', ch: null });
    client.send({ kind: 'auth', token: await testToken('ann', { ttlSeconds: -10 }) });
    expect(await client.next('error')).toMatchObject({ code: 'expired', ch: null });
    client.change(1, 1, [insert(page)]);
    expect(await client.refusal()).toBe('forbidden');
    await client.quiet();
    expect(await headOf(server, page)).toBe(1);
    await client.close();
  });

  test('G6 A9 roles follow AUTH in both directions', async () => {
    const { page } = await makePage(server);
    const client = await enter(server.url, await testToken('ann', { grants: editorOf(page) }));
    await client.subscribe(1, page);
    const first = [insert(page)];
    await client.write(1, page, first);
    client.send({ kind: 'auth', token: await testToken('ann', { grants: viewerOf(page) }) });
    await client.next('role');
    expect(await client.next('role')).toMatchObject({ ch: 1, role: 'viewer' });
    client.change(1, 2, [insert(page)]);
    expect(await client.next('reject')).toMatchObject({ code: 'forbidden', n: 2 });
    client.change(1, 1, first);
    expect(await client.next('ack')).toMatchObject({ n: 1, seq: 2, replica: client.replica });
    client.send({ kind: 'auth', token: await testToken('ann', { grants: editorOf(page) }) });
    await client.next('role');
    expect(await client.next('role')).toMatchObject({ ch: 1, role: 'editor' });
    expect(await client.write(1, page, [insert(page)])).toBe(3);
    await client.quiet();
    await client.close();
  });

  test('A9 a lost grant ends the page at once: no frame of it arrives any more', async () => {
    const { page } = await makePage(server);
    const other = await makePage(server);
    const grants = [...editorOf(page), ...editorOf(other.page)];
    const [client, writer] = [
      await enter(server.url, await testToken('ann', { grants })),
      await enter(server.url, await testToken('bob')),
    ];
    await client.subscribe(1, page);
    await client.subscribe(2, other.page);
    await writer.subscribe(1, page);
    client.send({ kind: 'auth', token: await testToken('ann', { grants: editorOf(other.page) }) });
    expect(await client.next('role')).toMatchObject({ ch: null });
    // The shards answer in any order.
    const told = [await client.next('role'), await client.next('role')];
    expect(told.sort((a, b) => a.ch! - b.ch!)).toMatchObject([
      { ch: 1, role: null },
      { ch: 2, role: 'editor' },
    ]);
    expect(await client.next('error')).toMatchObject({ code: 'forbidden', ch: 1 });
    client.inbox.length = 0;
    await writer.write(1, page, [insert(page)]);
    await writer.settle(1, page);
    client.change(1, 1, [insert(page)]);
    expect(await client.next('error')).toMatchObject({ code: 'not_open', ch: 1 });
    client.ask(3, page);
    expect(await client.next('error')).toMatchObject({ code: 'forbidden', ch: 3 });
    expect(await client.write(2, other.page, [insert(other.page)])).toBe(2);
    await client.quiet();
    expect(await headOf(server, page)).toBe(2);
    await Promise.all([client.close(), writer.close()]);
  });
});

describe('roles', () => {
  test('G8 without a grant nobody learns whether a page exists', async () => {
    const client = await enter(server.url, await testToken('eve', { grants: editorOf(newPage()) }));
    const answers: unknown[] = [];
    for (const [ch, page, create] of [[1, shared.page, null], [2, newPage(), null], [3, shared.page, 'blocks'], [4, newPage(), 'ydoc']] as const) {
      client.ask(ch, page, { create });
      answers.push({ ...(await client.next('error')), ch: 0 });
    }
    expect(answers[0]).toMatchObject({ code: 'forbidden' });
    expect(new Set(answers.map((answer) => JSON.stringify(answer))).size).toBe(1);
    await client.quiet();
    await client.close();
  }); // prettier-ignore

  test('G8 a token without any grant, or for another workspace', async () => {
    for (const grants of [[], [{ workspace: 'other', role: 'owner' }]]) {
      const client = await enter(server.url, await testToken('eve', { grants }));
      client.ask(1, shared.page);
      expect(await client.next('error')).toMatchObject({ code: 'forbidden', ch: 1 });
      await client.close();
    }
  });

  test.each(['viewer', 'commenter'] as const)(
    'G7 a %s reads and may neither write nor create',
    async (role) => {
      const { page } = await makePage(server);
      const client = await enter(
        server.url,
        await testToken('val', { grants: [{ workspace: 'default', role }] }),
      );
      expect(await client.subscribe(1, page)).toMatchObject({ role, head: 1 });
      client.change(1, 1, [insert(page)]);
      expect(await client.next('reject')).toMatchObject({ code: 'forbidden', n: 1, ch: 1 });
      const missing = newPage();
      client.ask(2, missing, { create: 'blocks' });
      expect(await client.next('error')).toMatchObject({ code: 'unknown_page', ch: 2 });
      await client.quiet();
      await client.close();
      const owner = await enter(server.url, await testToken('own'));
      owner.ask(1, missing);
      expect(await owner.next('error')).toMatchObject({ code: 'unknown_page', ch: 1 });
      await owner.close();
      expect(await headOf(server, page)).toBe(1);
    },
  );
});
