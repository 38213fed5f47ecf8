/**
 * Two nodes behind the nginx of deploy/: who comes to which node, what a node knows of them, and what happens to them when
 * it is killed.
 */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { connect } from '../../src/client/index.ts';
import { hasNginx, type Nginx, startNginx } from '../support/nginx.ts';
import { newPage, newReplica, open } from '../support/raw-client.ts';
import { startServer, testToken, type TestServer } from '../support/server.ts';
import { until } from '../support/wait.ts';

const portOf = ({ url }: TestServer) => Number(new URL(url).port);

describe.skipIf(!hasNginx)('behind nginx', () => {
  let nodes: [TestServer, TestServer];
  let nginx: Nginx;

  beforeEach(async () => {
    const env = { TRUSTED_PROXIES: '127.0.0.1', ADDRESS_SOCKETS_MAX: '50', SHARDS: '1' };
    const first = await startServer({ env });
    nodes = [first, await startServer({ env, databaseUrl: first.databaseUrl! })];
    nginx = await startNginx([portOf(nodes[0]), portOf(nodes[1])]);
  });

  afterEach(async () => {
    await nginx?.dispose();
    await nodes?.[1].dispose();
    await nodes?.[0].dispose();
  });

  /** The node that a new socket comes to. */
  async function nodeBehind(query: string, forwardedFor?: string): Promise<string> {
    const client = await open(`${nginx.url}${query}`, { token: await testToken('ann'), where: 'subprotocol', ...(forwardedFor ? { forwardedFor } : {}) });
    const { node } = await client.hello();
    await client.close();
    return node;
  } // prettier-ignore

  test('a page in the query leads to one node, other pages and none to both', async () => {
    const page = `?page=${newPage()}`;
    const same = await Promise.all(Array.from({ length: 8 }, () => nodeBehind(page)));
    expect(new Set(same).size).toBe(1);
    for (const query of [() => `?page=${newPage()}`, () => '']) {
      const found = await Promise.all(Array.from({ length: 40 }, () => nodeBehind(query())));
      expect(new Set(found).size).toBe(2);
    }
    expect((await fetch(`${nginx.http}/healthz`)).status).toBe(200);
    for (const inner of ['/metrics', '/readyz', '/'])
      expect((await fetch(nginx.http + inner)).status).toBe(404);
  });

  test('the token is in no log, and the address that counts is the client’s', async () => {
    const page = `?page=${newPage()}`;
    // nginx itself is trusted, and so is 127.0.0.1, which it adds: so what came before it counts.
    const crowd = await Promise.all(
      Array.from({ length: 60 }, async (_, i) =>
        open(`${nginx.url}${page}`, { token: await testToken(`user${i}`), where: 'query', forwardedFor: `203.0.113.${i}` }),
      ),
    );
    await Promise.all(crowd.map((client) => client.quiet()));
    await Promise.all(crowd.map((client) => client.close()));
    await until(async () => (await nginx.accessLog()).split('/v1/sync 101').length === 61, () => 'not all are logged');
    expect(await nginx.accessLog()).not.toMatch(/token|eyJ/);
  }); // prettier-ignore

  test.each(['SIGKILL', 'SIGTERM'] as const)('a node gets %s: its clients go on at the other, and nothing is lost', async (signal) => {
    const id = newPage();
    const url = `${nginx.url}?page=${id}`;
    const [ann, bob] = [connect({ url, token: await testToken('ann') }), connect({ url, token: await testToken('bob') })];
    const [mine, his] = [await ann.open(id, { create: 'blocks' }), await bob.open(id, { create: 'blocks' })];
    const block = mine.insert({ type: 'paragraph', text: 'a' });
    await mine.whenSaved();
    await until(() => his.block(block)?.plainText === 'a', () => 'the first edit');
    // Both are on one node: the one that counts two sockets.
    const sockets = async ({ http }: TestServer) => Number(/^octavo_sockets (\d+)/m.exec(await (await fetch(`${http}/metrics`)).text())![1]);
    const theirs = (await sockets(nodes[0])) === 2 ? nodes[0] : nodes[1];
    expect(await sockets(theirs)).toBe(2);
    theirs.kill(signal);
    const started = performance.now();
    mine.text(block).insert(1, 'b');
    await mine.whenSaved();
    await until(() => his.block(block)?.plainText === 'ab', () => 'the edit after the kill');
    expect(performance.now() - started).toBeLessThan(10_000);
    // Handshakes that would lead there find the other at once.
    for (let i = 0; i < 10; i++) await nodeBehind(`?page=${newReplica()}`);
    await theirs.restart();
    const back = theirs.url;
    await until(
      async () => new Set(await Promise.all(Array.from({ length: 10 }, () => nodeBehind('')))).size === 2,
      () => `${back} is not used again`,
    );
    await Promise.all([ann.close(), bob.close()]);
  }); // prettier-ignore
});
