/**
 * Mixed load for `OCTAVO_SOAK_MINUTES` (20): people who write on a page for a while and move to a new one, visitors who
 * look into old pages, a reader who stops reading now and then. What lives stays the same size all the time, so memory
 * must too: resident set and heaps are sampled and printed, and the last quarter is compared with the second.
 */
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { randomBelow, seededRandom } from '../../src/base/random.ts';
import { sleep } from '../../src/base/time.ts';
import { connect } from '../../src/client/index.ts';
import type { PageId } from '../../src/protocol/ids.ts';
import { enter, newPage } from '../support/raw-client.ts';
import { randomEdit } from '../support/random-edits.ts';
import { startServer, testToken, type TestServer } from '../support/server.ts';

const MINUTES = Number(process.env['OCTAVO_SOAK_MINUTES'] ?? 20);
const PAIRS = 4;
const EDITS = 300;
const SAMPLES = 60;
/** What a heap may be above another time for being collected later. */
const NOISE_MIB = 30;
const GROWTH_MAX = 1.1;

interface Sample {
  readonly minute: number;
  readonly resident: number;
  readonly main: number;
  readonly shard: number;
  readonly pages: number;
  readonly accounted: number;
  readonly committed: number;
}

async function sampleOf(server: TestServer, since: number): Promise<Sample> {
  const text = await (await fetch(`${server.http}/metrics`)).text();
  const metric = (name: string) => Number(new RegExp(`^${name}(?:\\{[^}]*\\})? (\\S+)`, 'm').exec(text)?.[1] ?? NaN);
  const mib = (bytes: number) => Math.round((10 * bytes) / (1 << 20)) / 10;
  const resident = Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${server.pid}/status`, 'utf8'))?.[1]);
  return {
    minute: Math.round((performance.now() - since) / 6000) / 10,
    resident: mib(resident * 1024),
    main: mib(metric('nodejs_heap_size_used_bytes')),
    shard: mib(metric('octavo_shard_heap_bytes')),
    pages: metric('octavo_pages_live'),
    accounted: mib(metric('octavo_pages_bytes')),
    committed: metric('octavo_changes_committed_total'),
  };
} // prettier-ignore

/** Two people write on one page after the other. */
async function pair(server: TestServer, n: number, done: () => boolean, left: PageId[]): Promise<void> {
  const random = seededRandom(n);
  const people = await Promise.all(
    ['ann', 'bob'].map(async (name) => connect({ url: server.url, token: await testToken(`${name}-${n}`, { ttlSeconds: 36_000 }) })),
  );
  while (!done()) {
    const id = newPage();
    const pages = [];
    for (const person of people) pages.push(await person.open(id, { create: 'blocks' }));
    const deleted: string[] = [];
    for (let i = 0; i < EDITS && !done(); i++) {
      randomEdit(pages[i % pages.length]!, random, deleted);
      await sleep(randomBelow(random, 40));
    }
    await Promise.all(pages.map((page) => page.whenSaved(60_000)));
    for (const page of pages) page.close();
    left.push(id);
  }
  await Promise.all(people.map((person) => person.close()));
} // prettier-ignore

/** Looks into pages that were left, and now and then stops reading. */
async function visitor(server: TestServer, done: () => boolean, left: readonly PageId[]): Promise<void> {
  const random = seededRandom(99);
  const token = await testToken('visitor', { ttlSeconds: 36_000 });
  while (!done()) {
    const client = await enter(server.url, token);
    for (let ch = 1; ch <= 10 && left.length > 0; ch++) {
      await client.subscribe(ch, left[randomBelow(random, left.length)]!).catch(() => {});
    }
    client.pause();
    await sleep(2000);
    client.resume();
    await client.close();
  }
}

const mean = (values: readonly number[]) => values.reduce((sum, one) => sum + one, 0) / values.length;

test.runIf(process.env['OCTAVO_TEST_LONG'])('A77 the resident set is flat', async () => {
  const server = await startServer({ env: { SHARDS: '1', COMMIT_STALL_MS: '100', EVICT_IDLE_MS: '10000', MEMORY_MB_PER_SHARD: '64' } });
  const since = performance.now();
  const done = () => performance.now() - since > MINUTES * 60_000;
  const left: PageId[] = [];
  const work = [visitor(server, done, left), ...Array.from({ length: PAIRS }, (_, n) => pair(server, n, done, left))];
  const samples: Sample[] = [];
  while (!done()) {
    await sleep((MINUTES * 60_000) / SAMPLES);
    samples.push(await sampleOf(server, since));
  }
  await Promise.all(work);
  process.stdout.write(`${Object.keys(samples[0]!).join('\t')}\n${samples.map((one) => Object.values(one).join('\t')).join('\n')}\n`);
  const quarter = (n: number, of: (sample: Sample) => number) => mean(samples.slice((n * SAMPLES) / 4, ((n + 1) * SAMPLES) / 4).map(of));
  for (const of of [(one: Sample) => one.resident, (one: Sample) => one.main + one.shard]) {
    expect(quarter(3, of)).toBeLessThan(GROWTH_MAX * quarter(1, of) + NOISE_MIB);
  }
  await server.dispose();
}, (MINUTES + 5) * 60_000); // prettier-ignore
