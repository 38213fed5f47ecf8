/**
 * What page mates notice of one who floods their page: the time from an edit to its sight by another, with nobody else, and
 * beside a user past their rate, a socket of garbage and one of large frames. All limits as a server has them by default.
 */
import { Worker } from 'node:worker_threads';
import { systemRandom } from '../../src/base/random.ts';
import { type Client, connect, type Page } from '../../src/client/index.ts';
import { newId, type PageId } from '../../src/protocol/ids.ts';
import { LIMIT_TABLE } from '../../src/protocol/limits.ts';
import { openBenchDatabase } from '../lib/database.ts';
import { figure, type Figure, percentile, type SuiteOptions, type SuiteResult } from '../lib/figures.ts';
import { must } from '../lib/must.ts';
import { RAISED, type ServerProcess, startServer } from '../lib/server-process.ts';
import type { FloodKind, FloodOrder } from './flood-worker.ts';

const MATES = 4;
/** Each writes so often: far within its rate. */
const INTERVAL_MS = 40;
const WARM_UP_MS = 500;
/** A p99 wants more edits than a moment holds. */
const WINDOW_MS_MIN = 5000;
const SETTLE_MS = 10_000;
const GOAL = 1.2;
const KINDS: readonly FloodKind[] = ['changes', 'garbage', 'large frames'];

const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** The variables that `RAISED` changes, as they are by default. */
const DEFAULTS = Object.fromEntries(
  Object.values(LIMIT_TABLE).flatMap(({ env, value }) => (env in RAISED ? [[env, `${value}`]] : [])),
);

interface Mate {
  readonly client: Client;
  readonly page: Page;
  written: number;
}

/** Latencies of what the mates wrote for so long, as the mate next to each saw it. */
async function measure(mates: readonly Mate[], ms: number): Promise<Float64Array> {
  const latencies: number[] = [];
  const sentAt = mates.map(() => new Map<number, number>());
  const listeners = mates.map((mate, i) => {
    const from = (i + 1) % mates.length;
    let seen = mates[from]!.written;
    return mate.page.on('change', ({ local }) => {
      const value = Number(mate.page.root.props[`of${from}`] ?? 0);
      if (local) return;
      for (; seen < value; seen++) {
        const at = sentAt[from]!.get(seen + 1);
        if (at !== undefined) latencies.push(performance.now() - at);
      }
    });
  });
  const until = performance.now() + ms;
  const writing = mates.map(async (mate, i) => {
    await sleep((i * INTERVAL_MS) / mates.length);
    for (; performance.now() < until; await sleep(INTERVAL_MS)) {
      sentAt[i]!.set(++mate.written, performance.now());
      mate.page.update(mate.page.root.id, { [`of${i}`]: mate.written });
    }
  });
  await Promise.all(writing);
  await Promise.all(mates.map((mate) => mate.page.whenSaved(SETTLE_MS)));
  const all = sentAt.reduce((sum, one) => sum + one.size, 0);
  for (const end = performance.now() + SETTLE_MS; latencies.length < all;) {
    must(performance.now() < end, `every edit is seen by the mate next to its writer; ${all - latencies.length} were not`);
    await sleep(5);
  }
  for (const stop of listeners) stop();
  return Float64Array.from(latencies).sort();
} // prettier-ignore

async function flooded<T>(server: ServerProcess, page: PageId, kind: FloodKind, run: () => Promise<T>): Promise<{ result: T; sent: number; closes: number }> {
  const workerData: FloodOrder = { url: server.url, token: await server.token('flooder'), page, kind };
  const worker = new Worker(new URL('./flood-worker.js', import.meta.url), { workerData });
  await sleep(WARM_UP_MS);
  const result = await run();
  const told = new Promise<{ sent: number; closes: number }>((resolve) => worker.once('message', resolve));
  worker.postMessage('stop');
  const counts = await told;
  await worker.terminate();
  return { result, ...counts };
} // prettier-ignore

export async function flood(options: SuiteOptions): Promise<SuiteResult> {
  const database = await openBenchDatabase();
  const server = await startServer(options, database.url, DEFAULTS);
  const notes: string[] = [];
  const p99 = new Map<string, number[]>([['nobody', []], ...KINDS.map((kind): [string, number[]] => [kind, []])]);
  try {
    const id = newId<PageId>(Date.now(), systemRandom);
    const mates: Mate[] = [];
    for (let i = 0; i < MATES; i++) {
      const client = connect({ url: server.url, token: await server.token(`mate ${i}`) });
      mates.push({ client, page: await client.open(id, { create: 'blocks' }), written: 0 });
    }
    await measure(mates, WARM_UP_MS);
    const ms = Math.max(WINDOW_MS_MIN, (options.seconds * 1000) / options.rounds / (1 + KINDS.length));
    for (let round = 0; round < options.rounds; round++) {
      p99.get('nobody')!.push(percentile(await measure(mates, ms), 0.99));
      for (const kind of KINDS) {
        const { result, sent, closes } = await flooded(server, id, kind, () => measure(mates, ms));
        p99.get(kind)!.push(percentile(result, 0.99));
        if (round === 0) notes.push(`${kind}: ${sent} frames sent, closed ${closes} times`);
      }
    }
    await Promise.all(mates.map(({ client }) => client.close()));
    notes.push(...(await server.stop()));
  } finally {
    server.kill();
    await database.drop();
  }
  const figures: Figure[] = [...p99].map(([kind, rounds]) => figure(`edit to sight, p99, beside ${kind}`, 'ms', 'lower', rounds)); // prettier-ignore
  const [alone, ...beside] = figures;
  for (const { name, median } of beside) {
    const share = median / alone!.median;
    notes.push(`${name}: ${share.toFixed(2)} × that beside nobody${share > GOAL ? `, above the goal of ${GOAL}` : ''}`);
  }
  return { suite: 'flood', settings: { load: `${MATES} mates on one page, an edit each ${INTERVAL_MS} ms`, limits: 'as by default' }, figures, notes };
} // prettier-ignore
