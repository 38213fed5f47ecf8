/**
 * A shard of a real server dies while people write, in every way there is: only its pages notice, its clients resume by
 * themselves, nothing is lost or doubled. A page that ends its shard again and again is left alone, and the others of the
 * shard are served.
 */
import { renameSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { expect, test } from 'vitest';
import { systemRandom } from '../../src/base/random.ts';
import { sleep } from '../../src/base/time.ts';
import { connect, type Page } from '../../src/client/index.ts';
import { newId, type PageId } from '../../src/protocol/ids.ts';
import { shardOf } from '../../src/workers/page-hash.ts';
import { octavo } from '../support/command.ts';
import { expectAllEqual } from '../support/compare.ts';
import { enter } from '../support/raw-client.ts';
import { foldLog, logFaults, readWholeLog } from '../support/replay.ts';
import { startServer, testToken, type TestServer } from '../support/server.ts';
import { until } from '../support/wait.ts';

const SHARDS = 2;

function pageOn(shard: number): PageId {
  for (;;) {
    const page = newId<PageId>(Date.now(), systemRandom);
    if (shardOf(page, SHARDS) === shard) return page;
  }
}

const deaths = (server: TestServer) =>
  server
    .log()
    .split('\n')
    .filter((line) => line.includes('"a shard died"'))
    .map((line) => JSON.parse(line) as { shard: number; reason: string; page?: string });

/** Two people write on a page of each shard, a third only looks at the page of shard 1. */
async function setScene(server: TestServer) {
  const ids = [pageOn(0), pageOn(1)];
  const refused: string[] = [];
  const pages: Page[][] = [];
  for (const who of ['ann', 'bob']) {
    const client = connect({ url: server.url, token: await testToken(who) });
    const opened = await Promise.all(ids.map((id) => client.open(id, { create: 'blocks' })));
    for (const page of opened) page.on('rejected', ({ code, message }) => refused.push(`${code}: ${message}`));
    for (const page of opened) page.on('error', (error) => refused.push(`${error.code}: ${error.message}`));
    pages.push(opened);
  }
  const bystander = await enter(server.url, await testToken('bystander'));
  await bystander.subscribe(1, ids[1]!);
  let writing = true;
  const written = pages.map(async (opened, who) => {
    for (let i = 0; writing; i++) {
      for (const page of opened) if (page.pendingChanges < 50) page.insert({ type: 'paragraph', text: `${who} ${i}` });
      await sleep(5);
    }
  });
  const stop = async () => {
    writing = false;
    await Promise.all(written);
  };
  return { ids, pages, refused, bystander, stop };
} // prettier-ignore

/** Makes shard 0 of two die in this way while people write, and sees that nobody loses by it. */
async function dies(way: string, reason: string): Promise<void> {
  const trigger = join('/tmp', `octavo-misbehave-${Buffer.from(systemRandom.bytes(6)).toString('hex')}`);
  const server = await startServer({
    env: {
      SHARDS: String(SHARDS),
      SHARD_HEAP_MB: '96',
      OCTAVO_TEST_MISBEHAVE: trigger,
      NODE_OPTIONS: `--require ${resolve('test/support/misbehave.cjs')}`,
    },
  });
  try {
    const { ids, pages, refused, bystander, stop } = await setScene(server);
    const { pid } = server;
    const seqs = () => pages.map((opened) => opened[0]!.seq);
    await until(() => seqs().every((seq) => seq > 20), () => `changes before: ${seqs()}`);
    writeFileSync(`${trigger}.new`, way);
    renameSync(`${trigger}.new`, `${trigger}.0`);
    await until(() => deaths(server).length > 0, () => server.log(), 60_000);
    const died = performance.now();
    const before = seqs();
    await until(() => seqs().every((seq, i) => seq > before[i]! + 5), () => `changes after: ${seqs()} since ${before}`);
    process.stdout.write(`${way}: written again ${Math.round(performance.now() - died)} ms after the death was logged\n`);
    await stop();
    await Promise.all(pages.flat().map((page) => page.whenSaved(60_000)));
    expect(deaths(server)).toEqual([expect.objectContaining({ shard: 0, reason: expect.stringContaining(reason) as string })]);
    expect(server.pid).toBe(pid);
    expect(refused).toEqual([]);
    // On the other shard nobody was told of anything.
    const told = new Set(bystander.inbox.map(({ kind }) => kind));
    for (const kind of ['error', 'reject', 'subscribed', 'snapshot'] as const) expect(told).not.toContain(kind);
    for (const [i, id] of ids.entries()) {
      const log = await readWholeLog(server.databaseUrl!, id);
      expect(logFaults(log)).toEqual([]);
      const copies = pages.map((opened) => opened[i]!);
      await until(() => copies.every((page) => page.seq === log.length), () => `${copies.map((page) => page.seq)} of ${log.length}`);
      expectAllEqual(copies, foldLog(id, log));
    }
  } finally {
    await server.dispose();
  }
} // prettier-ignore

test('A60 an error that nobody catches ends the shard and nothing else; its pages are back, 0 lost', () =>
  dies('throw', 'planted: thrown'));
test('A60 a rejection that nobody handles does so too', () => dies('reject', 'planted: rejected'));
test('A61 a full heap ends the shard and not the process; its pages are back, 0 lost', () =>
  dies('heap', 'memory'));
test('A62 an endless loop is noticed and ended; its pages are back, 0 lost', () =>
  dies('hang', 'no sign of life'));

test('A63 A64 a page too big for its shard’s heap is left alone after a few deaths; the others of the shard are served', async () => {
  const server = await startServer({
    env: { SHARDS: '1', SHARD_HEAP_MB: '48', USER_CHANGES_BURST: '1000000' },
  });
  try {
    const { pid } = server;
    const [big, small] = [newId<PageId>(Date.now(), systemRandom), newId<PageId>(Date.now(), systemRandom)];
    const writer = connect({ url: server.url, token: await testToken('ann') });
    const other = connect({ url: server.url, token: await testToken('bob') });
    const [page, beside] = [await writer.open(big, { create: 'blocks' }), await other.open(small, { create: 'blocks' })];
    const alone = () => server.log().includes('a page ended its shard too often');
    for (let i = 0; !alone() && i < 100_000; i++) {
      // Objects in the heap: the bytes of bodies lie outside.
      if (page.pendingChanges < 20) page.transact(() => {
        for (let n = 0; n < 200; n++) page.insert({ type: 'paragraph', props: { filler: { list: Array.from({ length: 40 }, (_, k) => ({ k, n })) } } });
      });
      await sleep(5);
    }
    expect(server.log()).toContain('memory limit');
    expect(deaths(server).filter((death) => death.page === big).length).toBeGreaterThanOrEqual(3);
    expect(server.pid).toBe(pid);
    await writer.close();

    // Told at once, with the time; its neighbour goes on.
    const raw = await enter(server.url, await testToken('cid'));
    raw.ask(1, big);
    const refusal = await raw.next('error');
    expect(refusal).toMatchObject({ code: 'unavailable', ch: 1 });
    expect(refusal.retryAfterMs).toBeGreaterThan(10_000);
    beside.insert({ type: 'paragraph', text: 'still here' });
    await beside.whenSaved(30_000);
    await other.close();

    // The words are all there: another heap would hold them.
    const verified = await octavo(['verify', big, '--json'], { DATABASE_URL: server.databaseUrl! }, 120_000);
    expect(JSON.parse(verified.stdout)).toMatchObject({ verdict: 'good' });
  } finally {
    await server.dispose();
  }
}, 300_000); // prettier-ignore
