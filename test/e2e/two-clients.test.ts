/**
 * The main job: two people edit the same pages at once, ops of all kinds, pages on two shards, while one of them loses
 * the connection again and again. At the end both copies, and the replay of the log, are the same.
 */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { randomBelow, seededRandom, systemRandom } from '../../src/base/random.ts';
import { sleep } from '../../src/base/time.ts';
import { connect, type Client, type Page } from '../../src/client/index.ts';
import { newId, type PageId } from '../../src/protocol/ids.ts';
import { shardOf } from '../../src/workers/page-hash.ts';
import { expectAllEqual } from '../support/compare.ts';
import { openCutProxy, type CutProxy } from '../support/cut-proxy.ts';
import { randomEdit } from '../support/random-edits.ts';
import { foldLog, logFaults, readWholeLog } from '../support/replay.ts';
import { startServer, testToken, type TestServer } from '../support/server.ts';
import { until } from '../support/wait.ts';

/** Some draws come to nothing (an undo without history), so a few more than the 10,000 of the title. */
const EDITS = process.env['OCTAVO_TEST_LONG'] ? 12_000 : 4_000;
const CUTS = 20;
const PAGES = 4;

let server: TestServer;
let proxy: CutProxy;

beforeAll(async () => {
  server = await startServer({ env: { SHARDS: '2' } });
  proxy = await openCutProxy(Number(new URL(server.url).port));
});

afterAll(async () => {
  await proxy?.close();
  await server?.dispose();
});

async function openAll(client: Client, ids: PageId[]): Promise<Page[]> {
  return Promise.all(ids.map((id) => client.open(id, { create: 'blocks' })));
}

test('K2 D1 two clients make 10,000 random edits, one loses its connection twenty times, and all copies agree', async () => {
  const random = seededRandom(20261121);
  const ids = Array.from({ length: PAGES }, () => newId<PageId>(Date.now(), systemRandom));
  // Both shards have pages.
  while (new Set(ids.map((id) => shardOf(id, 2))).size < 2) ids.push(newId<PageId>(Date.now(), systemRandom));

  const anna = connect({ url: server.url, token: await testToken('anna') });
  const boris = connect({ url: `ws://127.0.0.1:${proxy.port}/v1/sync`, token: await testToken('boris') });
  const pagesOf = [await openAll(anna, ids), await openAll(boris, ids)];
  const deletedOf = ids.map(() => [[], []] as [string[], string[]]);
  let cuts = 0;
  for (let i = 0; i < EDITS; i++) {
    const who = i % 2;
    const which = randomBelow(random, ids.length);
    randomEdit(pagesOf[who]![which]!, random, deletedOf[which]![who]!);
    if (i % (EDITS / CUTS) === EDITS / CUTS / 2) {
      proxy.cut();
      cuts++;
    }
    // Lets sockets breathe at random points, so that edits of both really interleave.
    if (randomBelow(random, 8) === 0) await sleep(0);
  }
  expect(cuts).toBe(CUTS);
  await Promise.all(pagesOf.flat().map((page) => page.whenSaved(60_000)));
  for (let i = 0; i < ids.length; i++) {
    const log = await readWholeLog(server.databaseUrl!, ids[i]!);
    expect(logFaults(log)).toEqual([]);
    const copies = pagesOf.map((pages) => pages[i]!);
    await until(
      () => copies.every((page) => page.seq === log.length),
      () => `${copies.map((page) => page.seq)} of ${log.length}`,
    );
    expectAllEqual(copies, foldLog(ids[i]!, log));
  }
  // A third who comes afterwards gets the same from snapshot and log.
  const clara = connect({ url: server.url, token: await testToken('clara') });
  const pages = await openAll(clara, ids);
  for (let i = 0; i < ids.length; i++) expect(pages[i]!.toJSON()).toEqual(pagesOf[0]![i]!.toJSON());
  await Promise.all([anna.close(), boris.close(), clara.close()]);
});
