/**
 * `octavo chaos`: proves on this machine, with real processes, that nothing is lost. Starts a cluster of its own, lets clients
 * write while things go wrong by a seed, and says what the log and every client have of it.
 */
import { Command, InvalidArgumentError, Option } from 'commander';
import { systemRandom } from '../base/random.ts';
import { findRedis } from '../chaos/own-redis.ts';
import { describeFault, drawPlan, type Trouble, TROUBLES } from '../chaos/plan.ts';
import { Progress } from '../chaos/progress.ts';
import { hasSucceeded, resultTable } from '../chaos/result.ts';
import { type ChaosOptions, ChaosRun } from '../chaos/run.ts';
import { CommandError } from './fail.ts';

const SHARDS = 2;
const PATIENCE_SECONDS = 60;
const WRONG_USAGE = 2;
/** What the run decides itself. */
const OWN_SETTINGS = new Set(['DATABASE_URL', 'REDIS_URL', 'DATA_DIR', 'HOST', 'SYNC_PORT', 'SHARDS', 'JWT_SECRET', 'JWT_PUBLIC_KEY', 'JWKS_URL']); // prettier-ignore

interface Given {
  readonly seed?: number;
  readonly minutes: number;
  readonly nodes: number;
  readonly clients: number;
  readonly pages: number;
  readonly rate: number;
  readonly patience: number;
  readonly redis: boolean;
  readonly only?: readonly Trouble[];
  readonly set: Readonly<Record<string, string>>;
  readonly json?: true;
  readonly plan?: true;
}

function number(min: number, max: number, whole: boolean): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (text.trim() === '' || !(value >= min && value <= max) || (whole && !Number.isInteger(value))) {
      throw new InvalidArgumentError(`expected a ${whole ? 'whole ' : ''}number from ${min} to ${max}.`);
    }
    return value;
  };
}

function parseTroubles(text: string): Trouble[] {
  const names = text.split(',').map((name) => name.trim());
  const wrong = names.find((name) => !(name in TROUBLES));
  if (wrong !== undefined) throw new InvalidArgumentError(`“${wrong}” is none of ${Object.keys(TROUBLES).join(', ')}.`);
  return names as Trouble[];
} // prettier-ignore

/** Adds a setting of the nodes to those given before. */
function parseSetting(text: string, before: Readonly<Record<string, string>>): Record<string, string> {
  const [, name, value] = /^([A-Z0-9_]+)=(.*)$/.exec(text) ?? [];
  if (name === undefined || OWN_SETTINGS.has(name)) {
    throw new InvalidArgumentError(`expected NAME=value, a variable of \`octavo start\` other than ${[...OWN_SETTINGS].join(', ')}.`);
  }
  return { ...before, [name]: value! };
} // prettier-ignore

const troublesHelp = (): string =>
  Object.entries(TROUBLES)
    .map(([name, meaning]) => `  ${name.padEnd(9)} ${meaning}`)
    .join('\n');

export function chaosCommand(): Command {
  return new Command('chaos')
    .description('prove on this machine that nothing is lost: real nodes, clients that write, and faults by a seed; exits 0 if nothing was')
    .option('--seed <n>', 'which faults, and when (default: drawn, and told)', number(0, 2 ** 32 - 1, true))
    .option('--minutes <m>', 'how long', number(0.1, 10_000, false), 2)
    .option('--nodes <n>', 'how many nodes', number(1, 20, true), 3)
    .option('--clients <n>', 'how many clients', number(1, 200, true), 6)
    .option('--pages <n>', 'on how many pages they write at a time', number(1, 100, true), 4)
    .option('--rate <n>', 'changes a second, of all clients together', number(1, 10_000, true), 100)
    .option('--patience <s>', 'seconds for all to agree when calm has returned', number(1, 3600, false), PATIENCE_SECONDS)
    .option('--no-redis', 'nodes hear of each other by the log alone')
    .option('--only <troubles>', 'only these, with commas between (see below)', parseTroubles)
    .addOption(
      new Option('--set <NAME=value>', 'a variable of the nodes; may be given several times')
        .argParser(parseSetting)
        .default({}, 'none'),
    )
    .option('--plan', 'print what would go wrong, and when, and do nothing')
    .option('--json', 'one JSON object on stdout')
    .addHelpText(
      'after',
      `\nTroubles:\n${troublesHelp()}\n\nIt starts a PostgreSQL (the embedded one), a Redis (redis-server in PATH) and nodes of its own in a folder for\n` +
        'temporary files, takes no DATABASE_URL or REDIS_URL, and leaves nothing behind but what tells why it failed.',
    )
    .action(chaos);
} // prettier-ignore

async function chaos(given: Given, command: Command): Promise<void> {
  const seed = given.seed ?? systemRandom.uint32();
  const options = readOptions(given, seed, command);
  if (given.plan) {
    const rounds = drawPlan(seed, { ...options, redis: given.redis });
    for (const [i, { faults }] of rounds.entries()) {
      for (const fault of faults) print(`round ${i + 1}  ${(fault.atMs / 1000).toFixed(1).padStart(5)} s  ${describeFault(fault)}`); // prettier-ignore
    }
    return print(`Seed ${seed}. To play it: ${options.command}`);
  }
  const progress = new Progress(process.stderr);
  progress.say(`seed ${seed}; again: ${options.command}`);
  const run = new ChaosRun(options, progress);
  process.once('exit', () => run.killNow());
  const result = await Promise.race([run.play(), interrupted()]);
  if (result === 'interrupted') {
    await run.abort();
    throw new CommandError('interrupted; nothing is left of the run');
  }
  print(given.json ? JSON.stringify(result) : resultTable(result));
  // Not left to the end of all that is open: sockets of processes that were killed may keep Node.js for ever.
  process.exit(hasSucceeded(result) ? 0 : 1);
}

function readOptions(given: Given, seed: number, command: Command): ChaosOptions {
  const { minutes, nodes, clients, pages, rate, patience } = given;
  const path = process.env['PATH'] ?? '';
  const redis = given.redis ? (findRedis(path) ?? null) : null;
  if (given.redis && redis === null && !given.plan) {
    const why = 'error: there is no redis-server (or valkey-server) in PATH. Install one (apt install redis-server, dnf install valkey, brew install redis), or add --no-redis'; // prettier-ignore
    command.error(why, { exitCode: WRONG_USAGE });
  }
  const only = given.only ?? (Object.keys(TROUBLES) as Trouble[]);
  if (!given.redis && only.every((trouble) => trouble === 'redis')) {
    command.error('error: --only redis needs Redis: leave --no-redis out', { exitCode: WRONG_USAGE });
  }
  const again = [
    `octavo chaos --seed ${seed} --minutes ${minutes} --nodes ${nodes} --clients ${clients} --pages ${pages} --rate ${rate}`,
    ...(patience === PATIENCE_SECONDS ? [] : [`--patience ${patience}`]),
    ...(given.redis ? [] : ['--no-redis']),
    ...(given.only ? [`--only ${only.join(',')}`] : []),
    ...Object.entries(given.set).map(([name, value]) => `--set ${name}=${value}`),
  ];
  const [runMs, patienceMs] = [minutes * 60_000, patience * 1000];
  return { seed, runMs, nodes, shards: SHARDS, clients, pages, rate, patienceMs, redis, only, path, settings: given.set, command: again.join(' ') };
} // prettier-ignore

function interrupted(): Promise<'interrupted'> {
  return new Promise((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => resolve('interrupted'));
  });
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}
