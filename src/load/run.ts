/**
 * A load test from its first page to its result:
 *
 *     pages made ─▶ clients connected ─▶ warm-up ─▶ measured time ─▶ answers awaited ─▶ what was written is looked at
 *
 * It can be ended at any moment (`interrupt`): what was measured until then is the result.
 */
import { availableParallelism, cpus, release, totalmem, type } from 'node:os';
import { type Millis, sleep, systemClock, threadOffsetMs } from '../base/time.ts';
import { systemRandom } from '../base/random.ts';
import { bytesToId } from '../protocol/ids.ts';
import { bottlenecks } from './bottleneck.ts';
import { Crew } from './crew.ts';
import { Ledger } from './ledger.ts';
import { LoadError } from './load-error.ts';
import type { Behaviour, ClientPlan, LoadPagePlan } from './orders.ts';
import { PAGE_PREFIX, pageIdOf, type Prepared, preparePages } from './prepare.ts';
import type { LoadProgress } from './progress.ts';
import { type Correctness, type LoadResult, RESULT_FORMAT } from './result.ts';
import type { ScenarioName, Shape } from './scenarios.ts';
import { readMetrics } from './server-metrics.ts';
import { verifyPages } from './verify.ts';

const SETTLE_MS: Millis = 30_000;
const CONNECT_MS: Millis = 120_000;
const LOOK_MS: Millis = 10_000;
const LINE_MS: Millis = 1000;
/** What is left of the measured time is no line of its own. */
const REST_MS: Millis = 100;
const METRICS_TIMEOUT_MS: Millis = 900;

export interface LoadOptions {
  readonly scenario: ScenarioName;
  readonly shape: Shape;
  readonly behaviour: Behaviour;
  readonly url: URL;
  /** A token for each user; the same each time where none can be minted. */
  token(user: string): Promise<string>;
  readonly metrics: readonly string[];
  readonly isLocal: boolean;
  readonly threads: number;
  readonly durationMs: Millis;
  readonly warmUpMs: Millis;
  readonly verify: boolean;
  readonly command: string;
  readonly version: string;
  /** What the report says of the load. */
  readonly load: LoadResult['load'];
}

export class LoadRun {
  readonly #options: LoadOptions;
  readonly #progress: LoadProgress;
  readonly #startedAt = systemClock.now();
  readonly #offset = threadOffsetMs();
  readonly #runBytes = systemRandom.bytes(16);
  #interrupted: () => void = () => {};
  #isInterrupted = false;
  #maker = '';

  constructor(options: LoadOptions, progress: LoadProgress) {
    this.#options = options;
    this.#progress = progress;
  }

  /** Ends the measured time now. A second call, or one before anything was measured, gives up. */
  interrupt(): boolean {
    const first = !this.#isInterrupted;
    this.#isInterrupted = true;
    this.#interrupted();
    return first;
  }

  #now(): Millis {
    return systemClock.monotonic() + this.#offset;
  }

  async play(): Promise<LoadResult> {
    const { shape, url, scenario, threads, behaviour } = this.#options;
    const run = bytesToId<string>(this.#runBytes);
    this.#maker = await this.#options.token('load-maker');
    const ids = Array.from({ length: shape.pages }, (_, i) => pageIdOf(this.#runBytes, i));
    const title = `octavo load ${scenario}, ${new Date(this.#startedAt).toISOString()}`;
    const made = (done: number) => this.#progress.stage('making pages', done, ids.length);
    const pages = await preparePages(url, this.#maker, ids, { title, blocks: shape.blocks }, made);
    if (this.#isInterrupted) throw new LoadError('interrupted before anything was measured');
    const { plans, clients } = await this.#plan(pages);
    const ledgers: { ledger?: Ledger } = {};
    const crew = new Crew({ threads, url: url.href, run, pages: plans, clients, behaviour }, (thread, report) => ledgers.ledger?.report(thread, report));
    try {
      const ledger = (ledgers.ledger = new Ledger(crew.clientsByThread.length));
      await this.#connect(crew, clients.length);
      const { seconds, cpu } = await this.#measure(crew, ledger);
      const correctness = await this.#check(crew, ledger, pages, clients, run);
      return this.#result(ledger, crew, { seconds, cpu, correctness, pages });
    } finally {
      this.#progress.end();
      await crew.end();
    }
  } // prettier-ignore

  /** Writers first, page by page; then readers and slow readers. */
  async #plan(pages: readonly Prepared[]): Promise<{ plans: LoadPagePlan[]; clients: ClientPlan[] }> {
    const { writers, readers, slowReaders } = this.#options.shape;
    const plans = pages.map(({ id }, i) => ({ id, firstWriter: i * writers, writers }));
    const clients: ClientPlan[] = [];
    const add = async (page: number, kind: ClientPlan['kind']): Promise<void> => {
      const number = clients.length;
      clients.push({ number, page, kind, token: await this.#options.token(`load-${number}`) });
    };
    for (const [page] of pages.entries()) for (let i = 0; i < writers; i++) await add(page, 'writer');
    for (const [page] of pages.entries()) for (let i = 0; i < readers; i++) await add(page, 'reader');
    for (const [page] of pages.entries()) for (let i = 0; i < slowReaders; i++) await add(page, 'slow');
    return { plans, clients };
  }

  async #connect(crew: Crew, total: number): Promise<void> {
    let done = false;
    const show = (): void => {
      if (done) return;
      this.#progress.stage('connecting', crew.connected, total);
      systemClock.after(100, show);
    };
    show();
    const late = sleepUntilInterrupted(CONNECT_MS, (end) => (this.#interrupted = end)).then(() => {
      const why = this.#isInterrupted
        ? 'interrupted'
        : `not all clients could connect within ${CONNECT_MS / 1000} s`;
      throw new LoadError(`${why}; ${crew.connected} of ${total} had`);
    });
    try {
      await Promise.race([crew.connect(), late]);
    } finally {
      done = true;
      late.catch(() => {});
    }
  }

  async #measure(crew: Crew, ledger: Ledger): Promise<{ seconds: number; cpu: number }> {
    const { durationMs, warmUpMs, metrics } = this.#options;
    const begin = this.#now();
    const from = begin + warmUpMs;
    const failure = crew.start(from, from + durationMs);
    const wait = (ms: Millis) => Promise.race([failure, sleepUntilInterrupted(ms, (end) => (this.#interrupted = end))]);
    if (warmUpMs > 0) {
      this.#progress.stage('warming up', 0, 0);
      await wait(warmUpMs);
      if (this.#isInterrupted) throw new LoadError('interrupted before anything was measured');
    }
    ledger.closeLine(0, 1, 0, null);
    ledger.timeline.length = 0;
    ledger.measure(true);
    const first = process.cpuUsage();
    let before = { at: this.#now(), cpu: first };
    const started = before.at;
    const look = async () => {
      const sample = await readMetrics(metrics, METRICS_TIMEOUT_MS);
      return sample ? { at: (this.#now() - started) / 1000, sample } : null;
    };
    do {
      const rest = wait(Math.min(LINE_MS, from + durationMs - this.#now()));
      // At the beginning of the line, so that an answer that takes long does not make it longer.
      const [server] = await Promise.all([look(), rest]);
      const now = { at: this.#now(), cpu: process.cpuUsage() };
      const seconds = (now.at - before.at) / 1000;
      const cpu = coresBetween(before.cpu, now.cpu, seconds);
      const line = ledger.closeLine((now.at - started) / 1000, seconds, cpu, server);
      before = now;
      this.#progress.line(line, { ofSeconds: durationMs / 1000, refused: ledger.refused, busy: ledger.threads([]) });
    } while (!this.#isInterrupted && this.#now() < from + durationMs - REST_MS);
    ledger.measure(false);
    const seconds = (Math.min(this.#now(), from + durationMs) - from) / 1000;
    if (seconds <= 0) throw new LoadError('interrupted before anything was measured');
    return { seconds, cpu: coresBetween(first, before.cpu, (before.at - started) / 1000) };
  } // prettier-ignore

  async #check(crew: Crew, ledger: Ledger, pages: readonly Prepared[], clients: readonly ClientPlan[], run: string): Promise<Correctness | null> {
    const { shape, url, verify } = this.#options;
    this.#progress.stage('waiting for answers', 0, 0);
    const { writers, joining } = await crew.stop(SETTLE_MS);
    const { doubled, skipped } = ledger.counts;
    const writes = shape.edits !== 'none' && shape.writers > 0;
    if (!verify || !writes) {
      await crew.look(pages.map(() => 0), LOOK_MS);
      return null;
    }
    const token = (writer?: number) => (writer === undefined ? this.#maker : clients[writer]!.token);
    const show = (done: number) => this.#progress.stage('looking at what was written', done, pages.length);
    const found = await verifyPages({ url, run, token }, pages, writers, show);
    const looked = await crew.look(found.heads, LOOK_MS);
    const silenced = writers.filter(({ silencedBy }) => silencedBy !== null);
    const findings = [
      ...found.findings,
      ...looked.findings.map((what) => `behind: ${what}`),
      ...(doubled + skipped > 0 ? [`live readers were told ${doubled} changes twice, and ${skipped} with a hole before them`] : []),
      ...(joining > 0 ? [`behind: ${joining} clients were still on their way into their page`] : []),
      ...(silenced.length > 0 ? [`${silenced.length} writers were refused for good (${[...new Set(silenced.map(({ silencedBy }) => silencedBy))].join(', ')}), and wrote no more`] : []),
    ];
    return { pages: found.pages, blocks: found.blocks, lost: found.lost, doubled: found.doubled + doubled, wrong: found.wrong, behind: looked.behind + joining + skipped, unsettled: found.unsettled, findings };
  } // prettier-ignore

  #result(ledger: Ledger, crew: Crew, { seconds, cpu, correctness, pages }: { seconds: number; cpu: number; correctness: Correctness | null; pages: readonly Prepared[] }): LoadResult {
    const { scenario, version, command, url, load, behaviour, isLocal } = this.#options;
    const { counts, server } = ledger;
    const threads = ledger.threads(crew.clientsByThread);
    ledger.late.takeInterval();
    const lateP99 = ledger.late.at(99);
    const cores = availableParallelism();
    const isOpen = 'scale' in behaviour.pace;
    const warnings = bottlenecks({ threads, lateP99, isOpen, cpu, cores, serverCpu: isLocal ? (server?.cpu ?? null) : null, unsent: counts.unsent });
    const latencies = Object.fromEntries(Object.entries(ledger.latencies).flatMap(([name, latency]) => {
      const summary = latency.summary();
      return summary ? [[name, summary]] : [];
    }));
    return {
      format: RESULT_FORMAT,
      octavo: version,
      scenario,
      command,
      startedAt: new Date(this.#startedAt).toISOString(),
      seconds,
      interrupted: this.#isInterrupted,
      target: url.origin,
      load,
      machine: describeMachine(cores),
      latencies,
      rates: { made: counts.made / seconds, accepted: counts.durable / seconds, seen: counts.delivered / seconds, joins: counts.joins / seconds, presence: counts.presenceSeen / seconds },
      counts: { ...counts },
      refused: ledger.refused,
      closed: ledger.closed,
      correctness,
      generator: { threads, cpu, lateP99, lateMax: ledger.late.at(100), warnings },
      server,
      timeline: ledger.timeline,
      pages: { count: pages.length, prefix: PAGE_PREFIX, first: pages[0]?.id ?? null },
    };
  } // prettier-ignore
}

const coresBetween = (from: NodeJS.CpuUsage, to: NodeJS.CpuUsage, seconds: number): number =>
  (to.user + to.system - from.user - from.system) / 1e6 / seconds;

export function describeMachine(cores: number): LoadResult['machine'] {
  return {
    cpu: cpus()[0]?.model.trim() ?? 'unknown',
    cores,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    platform: `${type()} ${release()}`,
    node: process.versions.node,
  };
}

/** Resolves after so long, or when `end` is called. */
async function sleepUntilInterrupted(ms: Millis, hand: (end: () => void) => void): Promise<void> {
  await Promise.race([sleep(ms), new Promise<void>((resolve) => hand(resolve))]);
}
