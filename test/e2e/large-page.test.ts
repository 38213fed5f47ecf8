/**
 * Large pages are ordinary pages: 10,000 blocks open in one round trip, warm and cold; a page whose snapshot is larger
 * than what a socket may hold unread still opens, for a reader that is slow too.
 */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { systemRandom } from '../../src/base/random.ts';
import { connect, type Client, type NewBlock } from '../../src/client/index.ts';
import { newId, type PageId } from '../../src/protocol/ids.ts';
import { startServer, testToken, type TestServer } from '../support/server.ts';
import { until } from '../support/wait.ts';

let server: TestServer;

beforeAll(async () => {
  // Little room for unread bytes, so that a snapshot of some MiB is large.
  server = await startServer({ env: { SOCKET_BUFFER_BYTES_MAX: '2097152', EVICT_IDLE_MS: '100' } });
});

afterAll(() => server?.dispose());

async function write(client: Client, blocks: number, text: () => string): Promise<PageId> {
  const id = newId<PageId>(Date.now(), systemRandom);
  const page = await client.open(id, { create: 'blocks' });
  for (let i = 0; i < blocks; i += 500) {
    for (let j = i; j < Math.min(blocks, i + 500); j++) page.insert({ type: 'paragraph', text: text() } satisfies NewBlock);
    await page.whenSaved(60_000);
  }
  page.close();
  return id;
} // prettier-ignore

/** The page has left memory, so that the next to open it finds it cold. */
async function untilEvicted(): Promise<void> {
  const live = async () =>
    /^octavo_pages_live (\d+)/m.exec(await (await fetch(`${server.http}/metrics`)).text())?.[1];
  await until(
    async () => (await live()) === '0',
    () => 'pages are still in memory',
  );
}

test('A3 A6 a page of 10,000 blocks opens warm and cold', async () => {
  const writer = connect({ url: server.url, token: await testToken('writer') });
  let n = 0;
  const id = await write(writer, 10_000, () => `paragraph number ${n++}`);
  for (const temperature of ['warm', 'cold']) {
    if (temperature === 'cold') await untilEvicted();
    const reader = connect({ url: server.url, token: await testToken('reader') });
    const { children } = (await reader.open(id)).root;
    expect(children.length, temperature).toBe(10_000);
    expect([children[0]!.plainText, children[9999]!.plainText]).toEqual([
      'paragraph number 0',
      'paragraph number 9999',
    ]);
    await reader.close();
  }
  await writer.close();
});

test('G20 a page larger than a socket may hold unread opens all the same', async () => {
  const writer = connect({ url: server.url, token: await testToken('writer') });
  // Random hex packs to half its length: some 10 MiB of snapshot in the end.
  const text = () => Buffer.from(systemRandom.bytes(4096)).toString('base64');
  const id = await write(writer, 3000, text);
  await untilEvicted();
  const readers = await Promise.all([0, 1, 2].map(async (i) => connect({ url: server.url, token: await testToken(`reader-${i}`) })));
  const pages = await Promise.all(readers.map((reader) => reader.open(id)));
  for (const page of pages) expect(page.root.children.length).toBe(3000);
  await Promise.all([writer, ...readers].map((client) => client.close()));
}); // prettier-ignore
