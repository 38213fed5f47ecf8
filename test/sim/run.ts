/**
 * `npm run sim [-- --seed N | --seeds A..B | --minutes M]`: runs the simulation for these seeds on all cores, says how many a
 * second, and for every seed that fails which check failed and the line that replays it. Exit code 1 if any failed.
 */
import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import { Worker } from 'node:worker_threads';
import type { Portion, PortionDone } from './worker.ts';
import { type Outcome, runSeed } from './world.ts';

const USAGE = `npm run sim -- [options]
  --seed N      one seed, twice: both runs must be the same
  --seeds A..B  these seeds (default 1..2000)
  --minutes M   seeds from A on (default from 1), until the time is up
  --trace       with --seed: print everything that happens
  --first       stop at the first seed that fails
  --jobs J      threads (default: one a core)
`;

const PORTION = 20;
const TOLD_MAX = 20;

interface Order {
  readonly from: number;
  readonly to: number;
  readonly until: number;
  readonly jobs: number;
  readonly first: boolean;
}

function fail(message: string): never {
  process.stderr.write(`${message}\n\n${USAGE}`);
  process.exit(2);
}

function whole(text: string, name: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 0) fail(`--${name} ${text}: a whole number is expected`);
  return value;
}

function tell({ seed, failure }: Outcome): void {
  console.log(`seed ${seed}: ${failure!.detail}`);
  console.log(`  npm run sim -- --seed ${seed} --trace`);
}

async function runOne(seed: number, trace: boolean): Promise<boolean> {
  const first = await runSeed(seed, trace ? (line) => console.log(line) : null);
  const second = await runSeed(seed);
  const same = first.hash === second.hash && first.events === second.events;
  const { events, virtualMs, edits, changes, hash } = first;
  console.log(`seed ${seed}: ${edits} edits, ${changes} changes, ${events} events in ${(virtualMs / 1000).toFixed(1)} s; ${hash.toString(16)}`); // prettier-ignore
  if (!same) console.log('  a second run went otherwise: something is not a function of the seed');
  if (first.failure) tell(first);
  else if (same) console.log('  all checks hold');
  return same && !first.failure;
}

/** Hands out portions of seeds until they or the time are used up. */
async function runMany({ from, to, until, jobs, first }: Order): Promise<boolean> {
  const started = performance.now();
  const sum = { seeds: 0, edits: 0, changes: 0, events: 0 };
  const failed: Outcome[] = [];
  let next = from;
  const take = (): Portion | null => {
    if (next > to || performance.now() >= until || (first && failed.length > 0)) return null;
    const portion = { from: next, to: Math.min(to, next + PORTION - 1) };
    next = portion.to + 1;
    return portion;
  };
  const work = async () => {
    const worker = new Worker(new URL('./worker.js', import.meta.url));
    for (let portion = take(); portion; portion = take()) {
      const done = await new Promise<PortionDone>((resolve, reject) => {
        worker.once('message', resolve);
        worker.once('error', reject);
        worker.postMessage({ portion, isFirstEnough: first });
      });
      worker.removeAllListeners('error');
      for (const key of ['seeds', 'edits', 'changes', 'events'] as const) sum[key] += done[key];
      for (const outcome of done.failed) {
        failed.push(outcome);
        if (failed.length <= TOLD_MAX) tell(outcome);
      }
    }
    await worker.terminate();
  };
  await Promise.all(Array.from({ length: jobs }, work));
  const seconds = (performance.now() - started) / 1000;
  const rate = (sum.seeds / seconds).toFixed(1);
  console.log(`${sum.seeds} seeds in ${seconds.toFixed(1)} s: ${rate} a second on ${jobs} threads; a seed has ${Math.round(sum.edits / sum.seeds)} edits, ${Math.round(sum.changes / sum.seeds)} changes, ${Math.round(sum.events / sum.seeds)} events`); // prettier-ignore
  if (failed.length === 0) console.log('all checks hold');
  else
    console.log(`${failed.length} seeds failed; the first: ${Math.min(...failed.map(({ seed }) => seed))}`);
  return failed.length === 0;
}

function readArguments() {
  try {
    const text = { type: 'string' } as const;
    const flag = { type: 'boolean' } as const;
    const options = { seed: text, seeds: text, minutes: text, jobs: text, trace: flag, first: flag, help: flag };
    return parseArgs({ options }).values;
  } catch (error) {
    return fail((error as Error).message);
  }
} // prettier-ignore

const values = readArguments();
if (values.help) {
  process.stdout.write(USAGE);
  process.exit(0);
}
let ok: boolean;
if (values.seed !== undefined) ok = await runOne(whole(values.seed, 'seed'), values.trace ?? false);
else {
  const range = /^(\d+)(?:\.\.(\d+))?$/.exec(values.seeds ?? (values.minutes ? '1' : '1..2000'));
  if (!range) fail(`--seeds ${values.seeds}: A..B is expected`);
  const minutes = values.minutes === undefined ? Infinity : Number(values.minutes);
  if (!(minutes > 0)) fail(`--minutes ${values.minutes}: a number above 0 is expected`);
  const jobs = values.jobs === undefined ? availableParallelism() : whole(values.jobs, 'jobs');
  const from = Number(range[1]);
  const to = range[2] === undefined ? (values.minutes ? Infinity : from) : Number(range[2]);
  const until = performance.now() + minutes * 60_000;
  ok = await runMany({ from, to, until, jobs, first: values.first ?? false });
}
process.exit(ok ? 0 : 1);
