/**
 * `npm run bench:peers [-- --quick] [--only NAME,…] [--json FILE] [--markdown FILE]`
 *
 * The same loads against Octavo and against others, in turn, round by round. What is measured and how stands in
 * docs/benchmarks.md. Installs the peers' packages and makes its databases itself; leaves neither process nor database.
 */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { closeDatabases, databaseVersion } from '../lib/database.ts';
import { describeMachine } from '../lib/machine.ts';
import { BenchError } from '../lib/must.ts';
import { PEERS } from './lib/all-peers.ts';
import { readArguments, usage, type Wanted } from './lib/arguments.ts';
import { measure, type MeasureOptions } from './lib/measure.ts';
import { installPackages } from './lib/packages.ts';
import type { Peer } from './lib/peer.ts';
import { markdownReport, placed } from './lib/report.ts';
import { type Round, type Row, rowOf } from './lib/rounds.ts';
import { QUICK, type Scenario, SCENARIOS } from './lib/scenarios.ts';
import { digits, type ReportRow, summaryTable, whereOthersAreAhead } from './lib/tables.ts';

const NAMES = { peers: PEERS, scenarios: SCENARIOS.map(({ name }) => name), quick: QUICK };
const OCTAVO = fileURLToPath(new URL('../../src/cli/octavo.js', import.meta.url));
/** A quick run begins nothing after the first, and leaves what runs at the second: it is over within 5 minutes. */
const QUICK_BEGIN_MS = 240_000;
const QUICK_END_MS = 275_000;
const WARM_UP_MS = 2000;
const QUICK_WARM_UP_MS = 1000;

class Interrupted extends Error {}
class TimeIsUp extends Error {}

const say = (line: string) => void process.stderr.write(`${line}\n`);

/** Ctrl-C and the like, and the end of a quick run, end the round that runs; what it started goes with it. */
function interruption(isQuick: boolean): Promise<never> {
  const interrupted = new Promise<never>((_, reject) => {
    if (isQuick) setTimeout(() => reject(new TimeIsUp()), QUICK_END_MS).unref();
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
      process.once(signal, () => reject(new Interrupted(`ended by ${signal}`)));
    }
  });
  interrupted.catch(() => {});
  return interrupted;
}

function describeRound({ editsPerSecond, p50Ms, p99Ms, isContended, notes }: Round): string {
  const edits = editsPerSecond === null ? '' : `${digits(editsPerSecond)} edits/s, `;
  const marks = [...(isContended ? ['contended'] : []), ...notes].map((note) => `; ${note}`).join('');
  return `${edits}p50 ${digits(p50Ms)} ms, p99 ${digits(p99Ms)} ms${marks}`;
}

/** Repeats a round for which somebody else took the cores; the last one counts, marked if need be. */
async function validRound(peer: Peer, scenario: Scenario, repeats: number, options: MeasureOptions): Promise<Round> {
  for (let left = repeats; ; left--) {
    const round = await measure(peer, scenario, options);
    say(`${scenario.name}  ${peer.name}: ${describeRound(round)}`);
    if (!round.isContended || left === 0) return round;
  }
} // prettier-ignore

/** All peers in one scenario, taking turns. */
async function measureScenario(scenario: Scenario, wanted: Wanted, options: MeasureOptions, isOver: () => boolean): Promise<Row[]> {
  const peers = PEERS.filter(({ name }) => wanted.peers.includes(name));
  const rounds = new Map<Peer, Round[]>(peers.map((peer) => [peer, []]));
  const failures = new Map<Peer, string>();
  for (let round = 0; round < wanted.rounds; round++) {
    for (const peer of peers) {
      if (isOver() || failures.has(peer)) continue;
      try {
        rounds.get(peer)!.push(await validRound(peer, scenario, wanted.repeats, options));
      } catch (error) {
        // A peer that fails a check has no figures here; the others go on, and the command says so in the end.
        if (error instanceof Interrupted) throw error;
        if (error instanceof TimeIsUp) continue;
        failures.set(peer, (error as Error).message);
        say(`${scenario.name}  ${peer.name}: failed: ${(error as Error).stack}`);
      }
    }
  }
  return peers
    .filter((peer) => failures.has(peer) || rounds.get(peer)!.length > 0)
    .map((peer) => rowOf(peer.name, scenario.name, failures.has(peer) ? [] : rounds.get(peer)!, failures.get(peer) ?? null));
} // prettier-ignore

const canPin = () => spawnSync('taskset', ['-c', '0,1', 'true'], { stdio: 'ignore' }).status === 0;

async function measureAll(wanted: Wanted): Promise<ReportRow[]> {
  const began = performance.now();
  const isOver = () => wanted.isQuick && performance.now() - began > QUICK_BEGIN_MS;
  const pin = wanted.pin && canPin();
  if (wanted.pin && !pin) say('not bound to cores: there is no taskset, or only one core');
  const interrupted = interruption(wanted.isQuick);
  if (PEERS.some(({ name, needsPackages }) => needsPackages && wanted.peers.includes(name))) installPackages(say);
  const rows: Row[] = [];
  const options: MeasureOptions = {
    warmUpMs: wanted.isQuick ? QUICK_WARM_UP_MS : WARM_UP_MS,
    measureMs: wanted.seconds * 1000,
    pin,
    octavo: OCTAVO,
    interrupted,
  };
  try {
    for (const scenario of SCENARIOS.filter(({ name }) => wanted.scenarios.includes(name))) {
      rows.push(...(await measureScenario(scenario, wanted, options, isOver)));
    }
    const missing = wanted.peers.length * wanted.scenarios.length - rows.length;
    if (missing > 0) say(`the time was up: ${missing} pairs were left out`);
    return withMachine(rows, pin, await databaseVersion());
  } finally {
    await closeDatabases();
  }
} // prettier-ignore

function withMachine(rows: readonly Row[], pin: boolean, postgres: string | null): ReportRow[] {
  const { cpu, cores, memoryGiB, platform, node, date } = describeMachine(postgres);
  const binding = pin ? 'server on core 0, load on core 1, PostgreSQL on any' : 'bound to no cores';
  const machine = `${cpu}, ${cores} cores, ${memoryGiB} GiB, ${platform}, Node.js ${node}, PostgreSQL ${postgres ?? 'not used'}; ${binding}`;
  return rows.map((row) => {
    const { about, durable } = PEERS.find(({ name }) => name === row.peer)!;
    return { ...row, about, durable, machine, date };
  });
}

async function main(): Promise<void> {
  const wanted = readArguments(process.argv.slice(2), NAMES);
  if (wanted.help) return void process.stdout.write(usage(NAMES));
  const rows = wanted.from === null ? await measureAll(wanted) : (JSON.parse(await readFile(wanted.from, 'utf8')) as ReportRow[]);
  process.stdout.write(`\n${rows[0]?.machine ?? 'no figures'}\n\n${summaryTable(rows)}\n`);
  const ahead = whereOthersAreAhead(rows, 'octavo');
  if (ahead.length > 0) process.stdout.write(`\nWhere a peer is ahead:\n${ahead.join('\n')}\n`);
  if (wanted.json !== null) await writeFile(wanted.json, `${JSON.stringify(rows, null, 2)}\n`);
  if (wanted.markdown !== null) {
    const document = existsSync(wanted.markdown) ? await readFile(wanted.markdown, 'utf8') : null;
    await writeFile(wanted.markdown, placed(document, markdownReport(rows)));
  }
  const failed = rows.filter((row) => row.failed !== null);
  if (failed.length > 0) throw new BenchError(failed.map(({ peer, scenario, failed: why }) => `${peer}, ${scenario}: ${why}`).join('\n'));
} // prettier-ignore

try {
  await main();
} catch (error) {
  const isExpected = error instanceof BenchError || error instanceof Interrupted;
  process.stderr.write(`${isExpected ? error.message : (error as Error).stack}\n`);
  process.exitCode = error instanceof Interrupted ? 130 : 1;
}
