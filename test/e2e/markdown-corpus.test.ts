/**
 * Real documents: every Markdown file under node_modules is imported to a page, read by a second client, exported, and
 * imported again to an equal page (block ids aside), with the whole server between.
 */
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { systemRandom } from '../../src/base/random.ts';
import { type BlockJson, type Client, connect } from '../../src/client/index.ts';
import { blocksToMarkdown } from '../../src/markdown/blocks-to-markdown.ts';
import { blocksToText } from '../../src/markdown/blocks-to-text.ts';
import { markdownToBlocks } from '../../src/markdown/markdown-to-blocks.ts';
import { markdownToText } from '../../src/markdown/markdown-to-text.ts';
import { newId, type PageId } from '../../src/protocol/ids.ts';
import { withoutIds } from '../support/compare.ts';
import { startServer, testToken, type TestServer } from '../support/server.ts';

/** All of them; else small ones, some. */
const LONG = process.env['OCTAVO_TEST_LONG'] !== undefined;

let server: TestServer;
let writer: Client;
let reader: Client;

beforeAll(async () => {
  server = await startServer();
  writer = connect({ url: server.url, token: await testToken('writer') });
  reader = connect({ url: server.url, token: await testToken('reader') });
});

afterAll(async () => {
  await Promise.all([writer?.close(), reader?.close()]);
  await server?.dispose();
});

/** Imports as `octavo import` does, and returns what another client then reads. */
async function importAndRead(blocks: BlockJson[]): Promise<BlockJson> {
  const id = newId<PageId>(Date.now(), systemRandom);
  const page = await writer.open(id, { create: 'blocks' });
  const refused: string[] = [];
  page.on('rejected', ({ code, message }) => refused.push(`${code}: ${message}`));
  page.transact(() => {
    for (const block of blocks) page.insert(block);
  });
  await page.whenSaved(30_000);
  expect(refused).toEqual([]);
  const copy = await reader.open(id);
  const { root } = copy.toJSON();
  page.close();
  copy.close();
  return root;
}

const words = (text: string) => new Set(text.match(/[\p{L}\p{N}]+/gu));

test('Markdown files under node_modules come back as they were read', async () => {
  const files = readdirSync('node_modules', { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && /\.(md|markdown)$/i.test(entry.name))
    .map((entry) => join(entry.parentPath, entry.name))
    .sort()
    .filter((file) => LONG || statSync(file).size <= 8192)
    .filter((_, i) => LONG || i % 4 === 0);
  expect(files.length).toBeGreaterThan(LONG ? 100 : 10);
  for (const file of files) {
    const markdown = readFileSync(file, 'utf8');
    const first = await importAndRead(markdownToBlocks(markdown));
    const second = await importAndRead(markdownToBlocks(blocksToMarkdown(first.children)));
    expect(withoutIds({ ...second, id: '' }), file).toEqual(withoutIds({ ...first, id: '' }));
    const kept = words(blocksToText(first.children));
    const lost = [...words(markdownToText(markdown))].filter((word) => !kept.has(word));
    expect(lost, file).toEqual([]);
  }
  process.stdout.write(`${files.length} Markdown files\n`);
}, 240_000);
