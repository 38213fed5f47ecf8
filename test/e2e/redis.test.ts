/**
 * Two server processes on one database and one Redis of the test's own: what people see of each other across nodes, with
 * Redis there, killed, frozen, and when it throws its listeners out.
 */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { systemRandom } from '../../src/base/random.ts';
import { sleep } from '../../src/base/time.ts';
import { type Client, connect, type Page } from '../../src/client/index.ts';
import { newId, type PageId } from '../../src/protocol/ids.ts';
import { createTestDatabase } from '../support/database.ts';
import { hasRedisServer, OwnRedis } from '../support/own-redis.ts';
import { startServer, testToken, type TestServer } from '../support/server.ts';
import { until } from '../support/wait.ts';

describe.skipIf(!hasRedisServer())('two nodes and Redis', () => {
  let database: Awaited<ReturnType<typeof createTestDatabase>>;
  let redis: OwnRedis;
  let nodes: TestServer[];
  let clients: Client[];
  let pages: [Page, Page];
  let edits = 0;

  beforeAll(async () => {
    database = await createTestDatabase();
    redis = await OwnRedis.start();
    // Nodes start without it.
    await redis.kill();
    const env = { REDIS_URL: redis.url, SHARDS: '2' };
    nodes = await Promise.all([1, 2].map(() => startServer({ databaseUrl: database.url, env })));
    await redis.start();
  });
  afterAll(async () => {
    await Promise.all(nodes.map((node) => node.dispose()));
    await redis.dispose();
    await database.drop();
  });

  beforeEach(async () => {
    await redisIs('up');
    const id = newId<PageId>(Date.now(), systemRandom);
    const tokens = await Promise.all(['anna', 'boris'].map((user) => testToken(user)));
    clients = nodes.map(({ url }, i) => connect({ url, token: tokens[i]! }));
    const [anna, boris] = clients as [Client, Client];
    const first = await anna.open(id, { create: 'blocks' });
    pages = [first, await boris.open(id)];
  });
  afterEach(() => clients.forEach((client) => client.close()));

  async function metric(node: TestServer, name: string): Promise<number> {
    const text = await (await fetch(`${node.http}/metrics`)).text();
    const lines = text.split('\n').filter((line) => line.startsWith(name));
    return lines.reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0);
  }

  /** As all shards of both nodes see it. */
  const redisIs = (how: 'up' | 'down') =>
    until(
      async () => {
        const up = await Promise.all(nodes.map((node) => metric(node, 'octavo_bus_up')));
        return up.every((shards) => shards === (how === 'up' ? 2 : 0));
      },
      () => `Redis ${how}`,
      10_000,
    );

  /** ms until an edit on one node is seen on the other. */
  async function editAcross(from: 0 | 1): Promise<number> {
    const value = ++edits;
    const [here, there] = [pages[from], pages[1 - from]!];
    const started = performance.now();
    here.update(here.root.id, { value });
    await until(
      () => there.root.props['value'] === value,
      () => 'the edit on the other node',
    );
    return performance.now() - started;
  }

  async function editsAcross(count: number): Promise<number[]> {
    const times: number[] = [];
    for (let i = 0; i < count; i++) times.push(await editAcross((i % 2) as 0 | 1));
    return times.sort((a, b) => a - b);
  }

  test('A110 edits and people are seen across nodes at once', async () => {
    const times = await editsAcross(50);
    // By the database alone it would be 250 ms at the median.
    expect(times[25]).toBeLessThan(100);
    pages[0].presence.set('at the top');
    pages[1].presence.set('below');
    const shown = (page: Page) => [...page.presence.others.values()].map(({ user, state }) => [user, state]);
    await until(
      () => shown(pages[0]).length === 1 && shown(pages[1]).length === 1,
      () => 'both',
    );
    expect(pages.map(shown)).toEqual([[['boris', 'below']], [['anna', 'at the top']]]);
    clients[0]!.close();
    await until(
      () => shown(pages[1]).length === 0,
      () => 'anna has left',
    );
    for (const node of nodes) expect(await metric(node, 'octavo_bus_received_total')).toBeGreaterThan(25);
  });

  test('A111 Redis killed: edits are seen within 2 s by the database; back, they are seen at once again', async () => {
    await redis.kill();
    const away = await editsAcross(8);
    expect(away.at(-1)).toBeLessThan(2000);
    await redisIs('down');
    const dropped = metric(nodes[0]!, 'octavo_bus_dropped_total');
    expect((await fetch(`${nodes[0]!.http}/readyz`)).status).toBe(200);
    await redis.start();
    const started = performance.now();
    await redisIs('up');
    expect(performance.now() - started).toBeLessThan(5000);
    expect((await editsAcross(20))[10]).toBeLessThan(100);
    expect(await dropped).toBeGreaterThan(0);
  });

  test('A111 Redis frozen: the same', async () => {
    redis.signal('SIGSTOP');
    const away = await editsAcross(8);
    expect(away.at(-1)).toBeLessThan(2500);
    await redisIs('down');
    redis.signal('SIGCONT');
    const thawed = performance.now();
    await redisIs('up');
    expect(performance.now() - thawed).toBeLessThan(5000);
    expect((await editsAcross(20))[10]).toBeLessThan(100);
  });

  test('A112 Redis throws its listeners out again and again: nothing is missed', async () => {
    let stopped = false;
    const kicks = (async () => {
      let kicked = 0;
      for (; !stopped; kicked++) {
        await redis.command('CLIENT', 'KILL', 'TYPE', 'pubsub');
        await sleep(100);
      }
      return kicked;
    })();
    const [a, b] = pages;
    for (let i = 0; i < 300; i++) {
      a.update(a.root.id, { [`a${i}`]: i });
      b.update(b.root.id, { [`b${i}`]: i });
      await sleep(5);
    }
    stopped = true;
    expect(await kicks).toBeGreaterThan(5);
    await Promise.all(pages.map((page) => page.whenSaved()));
    const started = performance.now();
    await until(
      () => pages.every((page) => Object.keys(page.root.props).length >= 600),
      () => pages.map((page) => Object.keys(page.root.props).length).join(' and '),
    );
    expect(performance.now() - started).toBeLessThan(2500);
    expect(a.toJSON().root).toEqual(b.toJSON().root);
  });
});
