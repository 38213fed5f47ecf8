/**
 * The options of `octavo load`, and what they make of a scenario. What contradicts itself is wrong usage, and says so before
 * anything is sent anywhere.
 */
import { availableParallelism } from 'node:os';
import { Command, InvalidArgumentError, Option } from 'commander';
import type { Millis } from '../base/time.ts';
import { BUILDER_MEAN_MS } from '../load/builder.ts';
import type { Behaviour } from '../load/orders.ts';
import { SCENARIOS, type ScenarioName, type Shape, shapeOf } from '../load/scenarios.ts';
import { parseThreshold, type Threshold } from '../load/thresholds.ts';
import { readTrace } from '../load/trace.ts';
import { TYPIST_MEAN_MS } from '../load/typist.ts';
import { withSessionOptions } from './session.ts';

export interface LoadGiven {
  readonly url?: string;
  readonly token?: string;
  readonly pages?: number;
  readonly writers?: number;
  readonly readers?: number;
  readonly slowReaders?: number;
  readonly blocks?: number;
  readonly presence?: number;
  readonly rate?: number;
  readonly inFlight?: number;
  readonly every?: Millis;
  readonly trace?: string;
  readonly slowBytes: number;
  readonly path: readonly string[];
  readonly duration: Millis;
  readonly warmUp: Millis;
  readonly threads: number;
  readonly metrics: string | false | undefined;
  readonly verify: boolean;
  readonly assert: readonly Threshold[];
  readonly json?: string;
  readonly html?: string;
  readonly compare?: readonly string[];
}

export class UsageError extends Error {}

/** Thread for thread the generator needs less than the server: half of the cores are the server's if it is here. */
const THREADS_DEFAULT = Math.max(1, Math.min(8, Math.floor(availableParallelism() / 2)));
const SPREAD_MS: Millis = 500;

function number(min: number, max: number, whole = true): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (text.trim() === '' || !(value >= min && value <= max) || (whole && !Number.isInteger(value))) {
      throw new InvalidArgumentError(`expected a ${whole ? 'whole ' : ''}number from ${min} to ${max}.`);
    }
    return value;
  };
}

/** `500ms`, `30s`, `2m`, `1h`; a bare number is seconds. */
function time(text: string): Millis {
  const match = /^(\d+(?:\.\d+)?)(ms|s|m|h)?$/.exec(text);
  const unit = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 }[match?.[2] ?? 's']!;
  const value = match ? Number(match[1]) * unit : NaN;
  if (!(value <= 86_400_000)) throw new InvalidArgumentError('expected a time like 500ms, 30s or 2m.');
  return value;
}

function threshold(text: string, before: readonly Threshold[]): Threshold[] {
  const parsed = parseThreshold(text);
  if ('wrong' in parsed) throw new InvalidArgumentError(`${parsed.wrong}.`);
  return [...before, parsed];
}

const atLeast = (min: Millis) => (text: string) => {
  const value = time(text);
  if (value < min) throw new InvalidArgumentError(`expected at least ${min} ms.`);
  return value;
};

export function withLoadOptions(command: Command): Command {
  return withSessionOptions(command)
    .addOption(new Option('--duration <time>', 'how long it is measured: 30s, 2m').argParser(atLeast(100)).default(30_000, '30s'))
    .addOption(new Option('--warm-up <time>', 'how long before that the load runs and is not measured').argParser(time).default(3000, '3s'))
    .option('--rate <n>', 'edits a second of all writers together (join-storm: joins; presence: moves; http: requests), come what may', number(0.01, 10_000_000, false))
    .option('--in-flight <n>', 'each writer has so many edits unanswered and makes the next when one is durable: finds the maximum (http: connections)', number(1, 4000))
    .option('--pages <n>', 'pages', number(1, 100_000))
    .option('--writers <n>', 'writers on each page', number(0, 10_000))
    .option('--readers <n>', 'readers on each page', number(0, 100_000))
    .option('--slow-readers <n>', 'slow readers on each page', number(0, 10_000))
    .option('--slow-bytes <n>', 'bytes a second that a slow reader reads; 0: none', number(0, 1e9), 1024)
    .option('--blocks <n>', 'blocks that each page has before', number(0, 90_000))
    .option('--presence <n>', 'moves of each cursor, a second', number(0, 1000, false))
    .option('--every <time>', 'how often it storms (mixed: how long a reader stays)', atLeast(100))
    .option('--trace <file>', 'typing: play this recording (format of josephg/editing-traces, .json or .json.gz)')
    .addOption(new Option('--path <path>', 'http: a path; may be given several times').argParser((text: string, before: string[]) => [...before, text]).default([], '/healthz'))
    .option('--threads <n>', 'threads of the load generator', number(1, 64), THREADS_DEFAULT)
    .option('--metrics <url>', 'the servers’ /metrics, with commas between several (default: at the host of --url)')
    .option('--no-metrics', 'do not look at /metrics')
    .option('--no-verify', 'do not look afterwards at what was written')
    .addOption(new Option('--assert <threshold>', 'exit with 1 unless it holds, like p99<50 or rate>=2000; may be given several times').argParser(threshold).default([], 'none'))
    .option('--json <file>', 'write the result there')
    .option('--html <file>', 'write a report there: one file with everything in it')
    .option('--compare <files...>', 'compare two results (A.json B.json) instead of running anything');
} // prettier-ignore

/** Edits a second that so many people make by themselves. */
function naturalRate(edits: Behaviour['edits'], writers: number): number {
  const typing = 1000 / TYPIST_MEAN_MS;
  const building = 1000 / BUILDER_MEAN_MS;
  const each = edits === 'text' ? typing : edits === 'blocks' ? building : 0.8 * typing + 0.2 * building;
  return writers * each;
}

function checkUsage(scenario: ScenarioName, given: LoadGiven, shape: Shape): void {
  const writes = shape.edits !== 'none';
  const wrong = (why: string): never => {
    throw new UsageError(why);
  };
  if (given.rate !== undefined && given.inFlight !== undefined) wrong('--rate and --in-flight: take one of them');
  if (given.trace !== undefined && shape.edits !== 'text') wrong(`--trace is for typing; in ${scenario} nobody types alone`);
  if (given.inFlight !== undefined && !writes) wrong(`--in-flight: nobody writes in ${scenario}`);
  if (given.path.length > 0) wrong('--path is for http');
  if (writes && shape.writers === 0) wrong(`${scenario} needs writers`);
  if (shape.storm === 'join' && shape.readers === 0) wrong(`${scenario} needs readers`);
  const clients = shape.pages * (shape.writers + shape.readers + shape.slowReaders);
  if (clients === 0) wrong('nobody would come: there are no writers and no readers');
} // prettier-ignore

/** The scenario with what was asked for. Throws `UsageError`. */
export function planLoad(scenario: ScenarioName, given: LoadGiven): { shape: Shape; behaviour: Behaviour; load: Record<string, string | number> } {
  const { pages, writers, readers, slowReaders, blocks, presence, every, rate, inFlight } = given;
  const defaults = shapeOf(scenario);
  const shape: Shape = {
    ...defaults,
    pages: pages ?? defaults.pages,
    writers: writers ?? defaults.writers,
    readers: readers ?? defaults.readers,
    slowReaders: slowReaders ?? defaults.slowReaders,
    blocks: blocks ?? defaults.blocks,
    presence: presence ?? defaults.presence,
    everyMs: every ?? defaults.everyMs,
  };
  checkUsage(scenario, given, shape);
  const natural = naturalRate(shape.edits, shape.pages * shape.writers);
  const writes = shape.edits !== 'none';
  const people = shape.pages * (shape.writers + shape.readers);
  const shown = scenario === 'presence' && rate !== undefined ? rate / people : shape.presence;
  const behaviour: Behaviour = {
    edits: shape.edits,
    trace: given.trace === undefined ? null : readTrace(given.trace),
    pace: inFlight !== undefined ? { inFlight } : { scale: writes && rate !== undefined ? natural / rate : 1 },
    presence: shown,
    storm: shape.storm,
    everyMs: shape.everyMs,
    spreadMs: SPREAD_MS,
    joinRate: shape.storm === 'join' ? (rate ?? null) : null,
    slowBytesPerSecond: given.slowBytes,
  };
  const pace = inFlight !== undefined ? `${inFlight} in flight each` : rate !== undefined ? `${rate} a second` : writes ? `as people do, about ${Math.round(natural)} a second` : null;
  const load = Object.fromEntries(
    Object.entries({
      pages: shape.pages,
      'writers a page': shape.writers,
      'readers a page': shape.readers,
      'slow readers a page': shape.slowReaders,
      'blocks a page': shape.blocks,
      'cursor moves a second each': shown,
      [writes ? 'edits' : scenario === 'presence' ? 'moves' : 'joins']: pace ?? 0,
      'storm every s': shape.storm === 'none' || behaviour.joinRate !== null ? 0 : shape.everyMs / 1000,
      trace: given.trace ?? 0,
    }).filter(([, value]) => value !== 0),
  );
  return { shape, behaviour, load };
} // prettier-ignore

export const scenarioHelp = (): string =>
  Object.entries(SCENARIOS)
    .map(([name, { about }]) => `  ${name.padEnd(16)} ${about}`)
    .join('\n');
