/**
 * Known attacks, each by hand: before a token, with tokens, with Yjs updates, and with keys that mean something to
 * JavaScript. What is refused has its name and no effect; what is only data comes back as it was, by every way there is.
 */
import { createHmac } from 'node:crypto';
import { connect as connectTcp } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { JsonValue } from '../../src/base/json.ts';
import { connect, type Page } from '../../src/client/index.ts';
import { blocksToMarkdown } from '../../src/markdown/blocks-to-markdown.ts';
import { blocksToText } from '../../src/markdown/blocks-to-text.ts';
import { markdownToBlocks } from '../../src/markdown/markdown-to-blocks.ts';
import { hostileUpdates, oddUpdates } from '../support/hostile-updates.ts';
import { enter, newBlock, open, RawClient } from '../support/raw-client.ts';
import { headOf, insert, makePage, serves, textUpdates } from '../support/raw-page.ts';
import { startServer, TEST_SECRET, testToken, type TestServer } from '../support/server.ts';
import { until } from '../support/wait.ts';

const VICTIM = 4242;
let server: TestServer;
beforeAll(async () => void (server = await startServer()));
afterAll(() => server?.dispose());

describe('G74 before a token, on both transports', () => {
  let both: TestServer[];
  beforeAll(async () => {
    const start = (TRANSPORT: string) => startServer({ env: { TRANSPORT, UNAUTHENTICATED_MS: '1000' } });
    both = await Promise.all([start('uws'), start('ws')]);
  });
  afterAll(() => Promise.all(both.map((one) => one.dispose())));

  /** Writes bytes to the port; what came back until the server closed. */
  function raw(to: TestServer, write: (send: (text: string) => void) => void): Promise<string> {
    return new Promise((resolve) => {
      const socket = connectTcp(Number(new URL(to.url).port), '127.0.0.1');
      let answer = '';
      socket.on('data', (chunk) => (answer += String(chunk)));
      socket.on('error', () => {});
      socket.on('close', () => resolve(answer));
      socket.on('connect', () => write((text) => socket.write(text)));
    });
  }
  const HEAD = 'GET /v1/sync HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n';

  test('G74 a head of more than 16 KB is cut', async () => {
    for (const one of both) {
      const answer = await raw(one, (send) => send(`${HEAD}X: ${'x'.repeat(20_000)}\r\n\r\n`));
      expect(answer).not.toContain('101');
      const endless = await raw(one, (send) => {
        for (let i = 0; i < 100; i++) send(`X-${i}: ${'x'.repeat(1000)}\r\n`);
      });
      expect(endless).not.toContain('101');
      await serves(one);
    }
  });

  test('G74 a head that does not come to its end is cut', { timeout: 60_000 }, async () => {
    const answers = await Promise.all(both.map((one) => raw(one, (send) => send(HEAD))));
    for (const answer of answers) expect(answer).not.toContain('101');
  });

  test('G74 a socket without a token, and one that sends too much, is closed by name', async () => {
    for (const one of both) {
      const silent = await open(one.url);
      expect(await silent.refusal()).toBe('unauthorized');
      expect((await silent.closed).code).toBe(4500);
      const loud = await open(one.url);
      loud.sendBytes(new Uint8Array(16_385));
      expect(await loud.refusal()).toBe('unauthorized');
      expect((await loud.closed).code).toBe(4500);
    }
  });
}); // prettier-ignore

describe('G75 tokens', () => {
  const base64url = (text: string) => Buffer.from(text).toString('base64url');
  /** Signed as it should be, whatever it says. */
  function signed(payload: string): string {
    const head = `${base64url('{"alg":"HS256"}')}.${base64url(payload)}`;
    return `${head}.${createHmac('sha256', TEST_SECRET).update(head).digest('base64url')}`;
  }
  const claims = (more: object) => {
    const exp = Math.floor(Date.now() / 1000) + 600;
    return JSON.stringify({ sub: 'mallory', exp, grants: [{ workspace: 'default', role: 'owner' }], ...more });
  };
  const grants = (count: number) => Array.from({ length: count }, () => ({ workspace: 'w', role: 'viewer' }));

  test.each([
    ['claims that are no JSON', 'hello'],
    ['claims that are a list', '[1,2]'],
    ['claims that are null', 'null'],
    ['a sub of 257 characters', claims({ sub: 's'.repeat(257) })],
    ['a sub that is no text', claims({ sub: { toString: 1 } })],
    ['grants with the key `__proto__`', claims({ grants: JSON.parse('{"__proto__":{"workspace":"default","role":"owner"}}') as object })],
    ['a role from the prototype', claims({ grants: [{ workspace: 'default', role: 'constructor' }] })],
  ])('G75 %s: refused by name', async (_, payload) => {
    const client = await open(server.url, { token: signed(payload) });
    expect(await client.refusal()).toBe('unauthorized');
    expect((await client.closed).code).toBe(4500);
  });

  test.each([
    ['a sub of 10 KB', claims({ sub: 's'.repeat(10_000) })],
    ['100,000 grants', claims({ grants: grants(100_000) })],
  ])('G75 %s: past the bytes of a token, wherever it stands', async (_, payload) => {
    await expect(open(server.url, { token: signed(payload), where: 'query' })).rejects.toThrow();
    const client = await open(server.url, { token: signed(payload), where: 'frame' });
    const told = await client.closed;
    // Far past a message the transport cuts without a word.
    expect([4500, 1009, 1006]).toContain(told.code);
    await serves(server);
  });

  test('G75 as many grants as a token holds are taken, the strongest of them counts', async () => {
    const many = [...grants(80), { workspace: 'default', role: 'editor' }];
    const { page } = await makePage(server);
    const client = await enter(server.url, signed(claims({ grants: many })));
    expect((await client.subscribe(1, page)).role).toBe('editor');
    await client.close();
  });
}); // prettier-ignore

describe('D53 Yjs updates', () => {
  let client: RawClient;
  let made: Awaited<ReturnType<typeof makePage>>;
  beforeAll(async () => {
    made = await makePage(server);
    const victim = await enter(server.url, await testToken('victim'));
    await victim.subscribe(1, made.page);
    await victim.write(1, made.page, [{ op: 'text', block: made.block, update: textUpdates(VICTIM, ['hello'])[0]! }]);
    await victim.close();
    client = await enter(server.url, await testToken('mallory'));
    await client.subscribe(1, made.page);
  });
  afterAll(() => client.close());

  test.each(hostileUpdates(VICTIM))('D53 %s: %s', async (_, code, update) => {
    client.change(1, 1, [{ op: 'text', block: made.block, update }]);
    expect(await client.next('reject')).toMatchObject({ n: 1, code });
    expect(await headOf(server, made.page)).toBe(2);
  });

  test('D53 and the victim types on', async () => {
    const victim = await enter(server.url, await testToken('victim'));
    await victim.subscribe(1, made.page);
    const update = textUpdates(VICTIM, ['hello', ' again'])[1]!;
    expect(await victim.write(1, made.page, [{ op: 'text', block: made.block, update }])).toBe(3);
    await victim.close();
  });
}); // prettier-ignore

describe('D54 keys that mean something to JavaScript are data', () => {
  const KEYS = ['__proto__', 'constructor', 'prototype', 'toString', 'hasOwnProperty', '__defineGetter__'];
  const odd = (value: JsonValue) => JSON.parse(`{${KEYS.map((key) => `"${key}":${JSON.stringify(value)}`).join(',')}}`) as { [key: string]: JsonValue }; // prettier-ignore
  const entries = (value: unknown) => Object.entries(value as object).toSorted(([a], [b]) => (a < b ? -1 : 1));
  const expectClean = () => expect(({} as { polluted?: unknown }).polluted).toBeUndefined();

  test('D54 in props, attributes, embeds and presence: through server, SDK, snapshot, JSON, Markdown and text', async () => {
    const { page: id } = await makePage(server);
    const open = async (user: string): Promise<Page> => connect({ url: server.url, token: await testToken(user) }).open(id);
    const ann = await open('ann');
    const bob = await open('bob');
    const props = { ...odd({ polluted: 1 }), nested: odd([{ polluted: odd(1) }] as never) } as { [key: string]: JsonValue };
    for (const [key, value] of Object.entries(odd(7))) Object.defineProperty(props, key, { value, enumerable: true, configurable: true, writable: true });
    const raw = await enter(server.url, await testToken('raw'));
    await raw.subscribe(1, id);
    const block = newBlock();
    await raw.write(1, id, [{ ...insert(id, block), props } as never]);
    for (const [i] of oddUpdates(0).entries()) {
      // One Yjs client id for each, so that none continues another.
      const text = oddUpdates(900 + i)[i]![1];
      await raw.write(1, id, [{ ...insert(id), text } as never]);
    }
    ann.presence.set(odd('here'));
    const seenBy = (page: Page) => page.toJSON().root.children.find(({ id: one }) => one === block)?.props;
    await until(() => bob.toJSON().root.children.length >= 8 && [...bob.presence.others.values()].some(({ user }) => user === 'ann'), () => `${bob.toJSON().root.children.length}`);
    const [shown] = [...bob.presence.others.values()].filter(({ user }) => user === 'ann');
    expect(entries(shown!.state)).toEqual(entries(odd('here')));
    // And from a snapshot, by a server that starts anew.
    server.kill('SIGTERM');
    await server.exited;
    await server.restart();
    const late = await open('late');
    for (const page of [bob, late]) {
      expect(entries(seenBy(page))).toEqual(entries(props));
      const json = page.toJSON().root.children;
      expect(JSON.parse(JSON.stringify(json))).toEqual(json);
      const again = markdownToBlocks(blocksToMarkdown(json));
      expect(blocksToText(again).length).toBeGreaterThan(0);
      expect(entries(again.find(({ props: found }) => Object.hasOwn(found, 'nested'))?.props)).toEqual(entries(props));
      expect(blocksToText(json)).toContain('abc');
    }
    expectClean();
    await raw.terminate();
  });
}); // prettier-ignore
