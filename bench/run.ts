/**
 * `npm run bench [-- suite…] [--seconds N] [--rounds N] [--json FILE] [--compare FILE] [--no-pin]`
 *
 * Runs the named suites, or all; prints each as soon as it is done. What is measured and how stands in README.md.
 */
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { closeDatabases, databaseVersion } from './lib/database.ts';
import type { Suite, SuiteOptions, SuiteResult } from './lib/figures.ts';
import { describeMachine } from './lib/machine.ts';
import { BenchError } from './lib/must.ts';
import { printComparison, printMachine, printSuite, writeReport } from './lib/report.ts';

/** Loaded when they run, so that one suite does not pay for the modules of all. */
const SUITES: Readonly<Record<string, () => Promise<Suite>>> = {
  codec: async () => (await import('./suites/codec.ts')).codec,
  merge: async () => (await import('./suites/merge.ts')).merge,
  hop: async () => (await import('./suites/hop.ts')).hop,
  append: async () => (await import('./suites/append.ts')).append,
  'end-to-end': async () => (await import('./suites/end-to-end.ts')).endToEnd,
  'large-page': async () => (await import('./suites/large-page.ts')).largePage,
  flood: async () => (await import('./suites/flood.ts')).flood,
  memory: async () => (await import('./suites/memory.ts')).memory,
  'slow-readers': async () => (await import('./suites/slow-readers.ts')).slowReaders,
  nodes: async () => (await import('./suites/nodes.ts')).nodes,
  metrics: async () => (await import('./suites/metrics.ts')).metrics,
};

const SERVER = join(dirname(fileURLToPath(import.meta.url)), '../src/cli/octavo.js');

const USAGE = `npm run bench [-- suite…] [options]
  suites          ${Object.keys(SUITES).join(', ')}; all without a name
  --seconds N     measured seconds of each figure over all rounds (default 5; suites of whole servers 15)
  --rounds N      rounds, of which minimum, median and maximum are told (default 5; suites of whole servers 3)
  --json FILE     write the figures and the machine
  --compare FILE  print the medians beside those of a file written before
  --only TEXT     end-to-end, nodes: only the modes whose name contains it
  --no-pin        do not bind server and generator to a core each
  --server FILE   another compiled cli/octavo.js than the one built from this source
  --against FILE  metrics: another build to compare with, instead of this one without counting
  --profile DIR   let the server write CPU profiles there
`;

function positive(text: string | undefined, fallback: number, name: string): number {
  if (text === undefined) return fallback;
  const value = Number(text);
  if (!(value > 0)) throw new BenchError(`--${name} ${text}: a number above 0 is expected`);
  return value;
}

function readArguments() {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      seconds: { type: 'string' },
      rounds: { type: 'string' },
      json: { type: 'string' },
      compare: { type: 'string' },
      only: { type: 'string' },
      server: { type: 'string' },
      against: { type: 'string' },
      profile: { type: 'string' },
      'no-pin': { type: 'boolean' },
      help: { type: 'boolean' },
    },
  });
  const unknown = positionals.find((name) => !Object.hasOwn(SUITES, name));
  if (unknown !== undefined) throw new BenchError(`there is no suite "${unknown}"\n${USAGE}`);
  return { values, suites: positionals.length > 0 ? positionals : Object.keys(SUITES) };
}

async function main(): Promise<void> {
  const { values, suites } = readArguments();
  if (values.help) return void process.stdout.write(USAGE);
  const results: SuiteResult[] = [];
  try {
    for (const name of suites) {
      const whole = ['end-to-end', 'large-page', 'slow-readers', 'flood', 'nodes', 'metrics'].includes(name);
      const options: SuiteOptions = {
        seconds: positive(values.seconds, whole ? 15 : 5, 'seconds'),
        rounds: Math.ceil(positive(values.rounds, whole ? 3 : 5, 'rounds')),
        pin: values['no-pin'] !== true,
        server: values.server ?? SERVER,
        against: values.against ?? null,
        profileDir: values.profile ?? null,
        only: values.only ?? null,
      };
      const suite = await SUITES[name]!();
      const result = await suite(options);
      printSuite(result);
      results.push(result);
    }
    const machine = describeMachine(await databaseVersion());
    process.stdout.write('\n');
    printMachine(machine);
    const report = { machine, suites: results };
    if (values.json !== undefined) await writeReport(values.json, report);
    if (values.compare !== undefined) await printComparison(values.compare, report);
  } finally {
    await closeDatabases();
  }
}

try {
  await main();
} catch (error) {
  // A failed check names itself; anything else is a bug and keeps its stack.
  process.stderr.write(`${error instanceof BenchError ? error.message : (error as Error).stack}\n`);
  process.exitCode = 1;
}
