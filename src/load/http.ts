/**
 * The HTTP side under load, by autocannon: an optional package, since a server in production has no use for it and its sixty
 * dependencies. With a rate each of its connections asks at even distances; latencies are corrected for the requests that a late answer held up.
 */
import { availableParallelism } from 'node:os';
import type { Instance, Options, Request } from 'autocannon';
import { type Millis, sleep, systemClock } from '../base/time.ts';
import { bottlenecks } from './bottleneck.ts';
import { Latency } from './latency.ts';
import { LoadError } from './load-error.ts';
import { PAGE_PREFIX } from './prepare.ts';
import type { LoadProgress } from './progress.ts';
import { type LoadResult, RESULT_FORMAT, type Second } from './result.ts';
import { describeMachine } from './run.ts';
import { readMetrics, type ServerSample } from './server-metrics.ts';

export interface HttpOptions {
  readonly origin: string;
  readonly paths: readonly string[];
  readonly connections: number;
  /** Requests a second; null: as many as are answered. */
  readonly rate: number | null;
  readonly durationMs: Millis;
  readonly metrics: readonly string[];
  readonly isLocal: boolean;
  readonly command: string;
  readonly version: string;
  readonly stop: AbortSignal;
  readonly progress: LoadProgress;
}

type Autocannon = (options: Options, done: (error: unknown, result: unknown) => void) => Instance;

async function loadAutocannon(): Promise<Autocannon> {
  try {
    return (await import('autocannon')).default as unknown as Autocannon;
  } catch (error) {
    // Expected: it is optional.
    if ((error as NodeJS.ErrnoException).code !== 'ERR_MODULE_NOT_FOUND') throw error;
    throw new LoadError('octavo load http needs the package autocannon: npm install autocannon');
  }
}

async function mustAnswer(origin: string, path: string): Promise<void> {
  try {
    await fetch(new URL(path, origin), { signal: AbortSignal.timeout(5000) });
  } catch (error) {
    // The outside world.
    const cause = (error as { cause?: Error }).cause ?? (error as Error);
    throw new LoadError(`${origin}${path}: ${cause.message}`);
  }
}

interface HttpTally {
  readonly latency: Latency;
  readonly codes: Record<string, number>;
  responses: number;
  bytes: number;
  failures: number;
  /** Microseconds since the last line. */
  micros: number[];
}

function begin(autocannon: Autocannon, options: HttpOptions, tally: HttpTally): { instance: Instance; over: Promise<void> } {
  let instance: Instance | null = null;
  const over = new Promise<void>((resolve, reject) => {
    instance = autocannon(
      {
        url: options.origin,
        connections: options.connections,
        duration: Math.ceil(options.durationMs / 1000) + 1,
        timeout: 10,
        requests: options.paths.map((path): Request => ({ method: 'GET', path })),
        ...(options.rate === null ? {} : { overallRate: options.rate }),
      },
      (error) => (error ? reject(error instanceof Error ? error : new Error(String(error))) : resolve()),
    );
    instance.on('response', (_client, status, bytes, ms) => {
      tally.responses++;
      tally.bytes += bytes;
      tally.micros.push(Math.round(ms * 1000));
      if (status < 200 || status > 299) tally.codes[`HTTP ${status}`] = (tally.codes[`HTTP ${status}`] ?? 0) + 1;
    });
    instance.on('reqError', (error: Error) => {
      tally.failures++;
      tally.codes[error.message] = (tally.codes[error.message] ?? 0) + 1;
    });
  });
  return { instance: instance!, over };
} // prettier-ignore

export async function runHttp(options: HttpOptions): Promise<LoadResult> {
  const { origin, paths, durationMs, metrics, stop, progress } = options;
  const autocannon = await loadAutocannon();
  for (const path of paths) await mustAnswer(origin, path);
  const startedAt = systemClock.now();
  const tally: HttpTally = { latency: new Latency(), codes: {}, responses: 0, bytes: 0, failures: 0, micros: [] };
  const looks: { at: number; sample: ServerSample }[] = [];
  const timeline: Second[] = [];
  const began = systemClock.monotonic();
  const since = () => (systemClock.monotonic() - began) / 1000;
  const look = async () => {
    const sample = await readMetrics(metrics, 900);
    if (sample) looks.push({ at: since(), sample });
  };
  const firstCpu = process.cpuUsage();
  let lastCpu = firstCpu;
  const { instance, over } = begin(autocannon, options, tally);
  const ended = over.then(() => true as const);
  const stopped = new Promise<void>((resolve) => stop.addEventListener('abort', () => resolve()));
  let done = false;
  for (let lastAt = since(); !done && !stop.aborted && since() * 1000 < durationMs - 100; lastAt = since()) {
    const left = durationMs - since() * 1000;
    const rest = Promise.race([sleep(Math.min(1000, left)), stopped, ended]);
    done = (await Promise.all([rest, look()]))[0] === true;
    const seconds = since() - lastAt;
    const used = process.cpuUsage(lastCpu);
    lastCpu = process.cpuUsage();
    timeline.push({ ...lineOf(tally, since(), seconds, looks, options), generatorCpu: (used.user + used.system) / 1e6 / seconds });
    progress.line(timeline.at(-1)!, { ofSeconds: durationMs / 1000, refused: tally.codes, busy: [] });
  }
  const seconds = since();
  instance.stop?.();
  await ended;
  progress.end();
  const used = process.cpuUsage(firstCpu);
  const cpu = (used.user + used.system) / 1e6 / seconds;
  return httpResult(options, { startedAt, seconds, tally, timeline, looks, cpu });
} // prettier-ignore

function lineOf(tally: HttpTally, at: number, seconds: number, looks: readonly { at: number; sample: ServerSample }[], { connections, rate }: HttpOptions): Second {
  const count = tally.micros.length;
  tally.latency.add(Uint32Array.from(tally.micros), rate === null ? 0 : Math.round((1e6 * connections) / rate));
  tally.micros = [];
  const taken = tally.latency.takeInterval();
  const [before, now] = looks.slice(-2);
  const server = before && now && now.at - before.at > 0.2 ? { cpu: (now.sample.cpuSeconds - before.sample.cpuSeconds) / (now.at - before.at), residentBytes: now.sample.residentBytes, loopDelayMs: now.sample.loopDelayMs, queued: now.sample.queued, sockets: now.sample.sockets } : null;
  return { at, made: count / seconds, accepted: 0, seen: 0, joins: 0, latencies: taken ? { request: taken } : {}, live: connections, pending: 0, generatorCpu: 0, server };
} // prettier-ignore

interface HttpEnd {
  readonly startedAt: Millis;
  readonly seconds: number;
  readonly tally: HttpTally;
  readonly timeline: readonly Second[];
  readonly looks: readonly { readonly at: number; readonly sample: ServerSample }[];
  readonly cpu: number;
}

function httpResult(options: HttpOptions, { startedAt, seconds, tally, timeline, looks, cpu }: HttpEnd): LoadResult {
  const { origin, paths, connections, rate, isLocal, command, version, stop } = options;
  const cores = availableParallelism();
  const summary = tally.latency.summary();
  const bad = Object.values(tally.codes).reduce((sum, one) => sum + one, 0);
  const [first, last] = [looks[0], looks.at(-1)];
  const servers = timeline.flatMap(({ server }) => server ?? []);
  const server = first && last && last.at > first.at && servers.length > 0
    ? { cpu: (last.sample.cpuSeconds - first.sample.cpuSeconds) / (last.at - first.at), cpuMost: Math.max(...servers.map((one) => one.cpu)), residentBytesMost: Math.max(...servers.map((one) => one.residentBytes)), loopDelayMs: Math.max(...servers.map((one) => one.loopDelayMs)) }
    : null;
  // autocannon works in this one thread: what the process used is how busy it was.
  const threads = [{ clients: connections, busy: Math.min(1, cpu), busyMost: Math.min(1, cpu), loopDelayMs: 0 }];
  const warnings = bottlenecks({ threads, lateP99: 0, isOpen: rate !== null, cpu, cores, serverCpu: isLocal ? (server?.cpu ?? null) : null, unsent: 0 });
  return {
    format: RESULT_FORMAT,
    octavo: version,
    scenario: 'http',
    command,
    startedAt: new Date(startedAt).toISOString(),
    seconds,
    interrupted: stop.aborted,
    target: origin,
    load: { paths: paths.join(' '), connections, requests: rate === null ? 'as many as are answered' : `${rate} a second` },
    machine: describeMachine(cores),
    latencies: summary ? { request: summary } : {},
    rates: { requests: tally.responses / seconds, bytes: tally.bytes / seconds },
    counts: { requests: tally.responses, errors: bad },
    refused: tally.codes,
    closed: {},
    correctness: null,
    generator: { threads, cpu, lateP99: 0, lateMax: 0, warnings },
    server,
    timeline,
    pages: { count: 0, prefix: PAGE_PREFIX, first: null },
  };
} // prettier-ignore
