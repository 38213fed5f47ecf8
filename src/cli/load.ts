/**
 * `octavo load`: puts a load on a server, the local one or one far away, and says how it bore it. Also compares two results.
 */
import { readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { Command } from 'commander';
import { comparisonText } from '../load/compare.ts';
import { runHttp } from '../load/http.ts';
import { reportPage } from '../load/html.ts';
import { LoadError } from '../load/load-error.ts';
import { LoadProgress } from '../load/progress.ts';
import { isCorrect, type LoadResult, RESULT_FORMAT } from '../load/result.ts';
import { type LoadOptions, LoadRun } from '../load/run.ts';
import { mainLatency, SCENARIOS, type ScenarioName } from '../load/scenarios.ts';
import { metricsUrlOf } from '../load/server-metrics.ts';
import { resultText } from '../load/table.ts';
import { FIGURES, judgeThresholds } from '../load/thresholds.ts';
import { CommandError } from './fail.ts';
import { type LoadGiven, planLoad, scenarioHelp, UsageError, withLoadOptions } from './load-options.ts';
import { tokenMint } from './local-token.ts';
import { localServer } from './session.ts';

const WRONG_USAGE = 2;
const TOKEN_SPARE_SECONDS = 3600;

const help = (): string => `
Scenarios:
${scenarioHelp()}
  ${'http'.padEnd(16)} requests to /healthz or --path, by autocannon (npm install autocannon)

Against another server: --url wss://…/v1/sync with --token, or with JWT_SECRET in the environment, by which each client gets a user of
its own; with one token all are one user, whose rate is limited. It makes pages of its own and leaves them there.

Thresholds: p50, p75, p90, p95, p99, p99.9, max and mean (ms) of the scenario's main latency, or of another one as accepted.p99,
seen.p99, join.p99, presence.p99; and
${Object.entries(FIGURES).map(([name, { about }]) => `  ${name.padEnd(12)} ${about}`).join('\n')}

Exit codes: 0 done, 1 a threshold does not hold, or something was lost, or the server cannot be reached; 2 wrong usage.
docs/load-testing.md tells what the figures mean.`; // prettier-ignore

export function loadCommand(): Command {
  return withLoadOptions(
    new Command('load')
      .description(
        'put a load on a server and measure how it bears it: what, how much and for how long by a scenario',
      )
      .argument('[scenario]', 'one of those below'),
  )
    .addHelpText('after', help)
    .action(load);
}

async function load(scenario: string | undefined, given: LoadGiven, command: Command): Promise<void> {
  const usage = (why: string) => command.error(`error: ${why}`, { exitCode: WRONG_USAGE });
  if (given.compare) {
    const [a, b, ...more] = given.compare;
    if (!a || !b || more.length > 0 || scenario !== undefined) usage('--compare takes two files, A.json B.json, and nothing else');
    return print(comparisonText(await readResult(a!), await readResult(b!), [a!, b!]));
  }
  if (scenario === undefined) usage('name a scenario, or --compare two results');
  if (scenario !== 'http' && !Object.hasOwn(SCENARIOS, scenario!)) usage(`there is no scenario “${scenario}”; there are ${[...Object.keys(SCENARIOS), 'http'].join(', ')}`);
  const result = scenario === 'http' ? await loadHttp(given, usage) : await loadPages(scenario as ScenarioName, given, usage);
  const judged = judgeThresholds(result, given.assert);
  print(resultText(result, judged));
  if (given.json !== undefined) await save(given.json, `${JSON.stringify(result, null, 1)}\n`);
  if (given.html !== undefined) await save(given.html, reportPage(result, judged));
  // Not left to the end of all that is open.
  process.exit(isCorrect(result) && judged.every(({ holds }) => holds) ? 0 : 1);
} // prettier-ignore

async function loadPages(scenario: ScenarioName, given: LoadGiven, usage: (why: string) => void): Promise<LoadResult> {
  let plan: ReturnType<typeof planLoad>;
  try {
    plan = planLoad(scenario, given);
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    usage(error.message);
    throw error;
  }
  const url = await targetUrl(given);
  const options: LoadOptions = {
    scenario,
    ...plan,
    url,
    token: await tokens(given),
    metrics: metricsUrls(given, url),
    isLocal: given.url === undefined || isLoopback(url),
    threads: given.threads,
    durationMs: given.duration,
    warmUpMs: given.warmUp,
    verify: given.verify,
    command: commandLine(),
    version: version(),
  };
  const run = new LoadRun(options, new LoadProgress(process.stderr, SCENARIOS[scenario].main));
  onSignal(() => run.interrupt());
  return run.play();
} // prettier-ignore

async function loadHttp(given: LoadGiven, usage: (why: string) => void): Promise<LoadResult> {
  if (given.trace !== undefined) usage('--trace is for typing');
  const url = await targetUrl(given);
  const origin = new URL(metricsUrlOf(url)).origin;
  const stop = new AbortController();
  onSignal(() => !stop.signal.aborted && (stop.abort(), true));
  return runHttp({
    origin,
    paths: given.path.length > 0 ? given.path : ['/healthz'],
    connections: given.inFlight ?? 10,
    rate: given.rate ?? null,
    durationMs: given.duration,
    metrics: metricsUrls(given, url),
    isLocal: given.url === undefined || isLoopback(url),
    command: commandLine(),
    version: version(),
    stop: stop.signal,
    progress: new LoadProgress(process.stderr, mainLatency('http')),
  });
} // prettier-ignore

/** The first Ctrl-C ends what is measured, the second one ends it all. */
function onSignal(interrupt: () => boolean): void {
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.on(signal, () => {
      if (!interrupt()) process.exit(1);
    });
  }
}

async function targetUrl(given: LoadGiven): Promise<URL> {
  const text = given.url ?? (await localServer()).url;
  const url = URL.canParse(text) ? new URL(text) : null;
  if (!url || !['ws:', 'wss:'].includes(url.protocol)) throw new CommandError(`--url ${text}: expected ws://… or wss://…/v1/sync`);
  return url;
} // prettier-ignore

const isLoopback = (url: URL): boolean => /^(localhost|127\..*|\[::1\])$/.test(url.hostname);

/** A user for each client, or all of them by the one token that was given. */
async function tokens(given: LoadGiven): Promise<(user: string) => Promise<string>> {
  const { token } = given;
  if (token !== undefined) return async () => token;
  if (given.url !== undefined && !process.env['JWT_SECRET']) {
    throw new CommandError('--url needs --token, or JWT_SECRET in the environment: a remote server’s secret is not here');
  }
  const mint = await tokenMint();
  const ttlSeconds = Math.ceil((given.duration + given.warmUp) / 1000) + TOKEN_SPARE_SECONDS;
  return (user) => mint({ user, pages: [], role: 'editor', ttlSeconds });
} // prettier-ignore

function metricsUrls({ metrics }: LoadGiven, url: URL): string[] {
  if (metrics === false) return [];
  return typeof metrics === 'string' ? metrics.split(',').map((each) => each.trim()) : [metricsUrlOf(url)];
}

async function readResult(path: string): Promise<LoadResult> {
  try {
    const result = JSON.parse(readFileSync(path, 'utf8')) as LoadResult;
    if (result.format === RESULT_FORMAT) return result;
  } catch (error) {
    // Expected: a wrong name, or something else than JSON.
    throw new CommandError(`cannot read ${path}: ${(error as Error).message}`);
  }
  throw new CommandError(`${path} is no result of octavo load --json, or of another version of it`);
}

async function save(path: string, text: string): Promise<void> {
  try {
    await writeFile(path, text);
  } catch (error) {
    // Expected: a folder that is not there, no permission.
    throw new LoadError(`cannot write ${path}: ${(error as Error).message}`);
  }
}

/** As it was typed, but for the token. */
function commandLine(): string {
  const args = process.argv.slice(2);
  const shown = args.map((arg, i) =>
    args[i - 1] === '--token' ? '…' : arg.startsWith('--token=') ? '--token=…' : /[\s<>*]/.test(arg) ? `'${arg}'` : arg,
  );
  return `octavo ${shown.join(' ')}`;
} // prettier-ignore

function version(): string {
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8');
  return (JSON.parse(text) as { version: string }).version;
}

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}
