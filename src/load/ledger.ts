/**
 * The books of a run: takes in what the threads report and what the servers say of themselves, closes a line every second, and adds
 * up in the end. No clock and no IO of its own.
 */
import type { Millis } from '../base/time.ts';
import { Latency } from './latency.ts';
import type { Report } from './orders.ts';
import type { GeneratorUse, LoadResult, Second } from './result.ts';
import type { ServerSample } from './server-metrics.ts';
import { type Counts, LATENCIES, type LatencyName, noCounts } from './tallies.ts';

/** Seconds. */
const LOOKS_APART_S = 0.2;

/** What the servers said of themselves, `at` seconds after the measured time began. */
export interface ServerLook {
  readonly at: number;
  readonly sample: ServerSample;
}

const coresUsed = (from: ServerLook, to: ServerLook): number =>
  (to.sample.cpuSeconds - from.sample.cpuSeconds) / (to.at - from.at);

interface ThreadBook {
  last: Report | null;
  busySum: number;
  busyCount: number;
  busyMost: number;
  loopDelayMs: Millis;
}

export class Ledger {
  readonly latencies: Readonly<Record<LatencyName, Latency>> = {
    accepted: new Latency(),
    seen: new Latency(),
    join: new Latency(),
    presence: new Latency(),
  };
  readonly late = new Latency();
  readonly timeline: Second[] = [];
  readonly #threads: ThreadBook[];
  #before: Counts = noCounts();
  /** CPU seconds of the servers, and the seconds in which they used them. */
  #serverCpu = { used: 0, over: 0 };
  #serverLast: ServerLook | null = null;
  #isMeasuring = false;

  constructor(threads: number) {
    this.#threads = Array.from({ length: threads }, () => ({ last: null, busySum: 0, busyCount: 0, busyMost: 0, loopDelayMs: 0 }));
  } // prettier-ignore

  /** From now on what is busy and late counts. */
  measure(on: boolean): void {
    this.#isMeasuring = on;
  }

  report(thread: number, report: Report): void {
    const book = this.#threads[thread]!;
    book.last = report;
    for (const name of LATENCIES) this.latencies[name].add(report.samples[name]);
    this.late.add(report.samples.late);
    if (!this.#isMeasuring) return;
    book.busySum += report.busy;
    book.busyCount++;
    book.busyMost = Math.max(book.busyMost, report.busy);
    book.loopDelayMs = Math.max(book.loopDelayMs, report.loopDelayMs);
  }

  #sum(of: (report: Report) => number): number {
    return this.#threads.reduce((sum, { last }) => sum + (last ? of(last) : 0), 0);
  }

  get counts(): Counts {
    const counts = noCounts();
    for (const name of Object.keys(counts) as (keyof Counts)[]) counts[name] = this.#sum((report) => report.counts[name]); // prettier-ignore
    return counts;
  }

  get live(): number {
    return this.#sum(({ live }) => live);
  }

  get pending(): number {
    return this.#sum(({ pending }) => pending);
  }

  #byCode(of: (report: Report) => Readonly<Record<string, number>>): Record<string, number> {
    const sum: Record<string, number> = {};
    for (const { last } of this.#threads) {
      for (const [code, count] of Object.entries(last ? of(last) : {})) sum[code] = (sum[code] ?? 0) + count;
    }
    return sum;
  }

  get refused(): Record<string, number> {
    return this.#byCode(({ refused }) => refused);
  }

  get closed(): Record<string, number> {
    return this.#byCode(({ closed }) => closed);
  }

  /** Ends a line at `at` seconds; `cpu`: cores that the generator used in it. */
  closeLine(at: number, seconds: number, cpu: number, server: ServerLook | null): Second {
    const { counts } = this;
    const since = (name: keyof Counts) => (counts[name] - this.#before[name]) / seconds;
    const latencies: Second['latencies'] = Object.fromEntries(
      LATENCIES.map((name) => [name, this.latencies[name].takeInterval()] as const).filter(([, taken]) => taken !== null),
    );
    const line: Second = {
      at,
      made: since('made'),
      accepted: since('durable'),
      seen: since('delivered'),
      joins: since('joins'),
      latencies,
      live: this.live,
      pending: this.pending,
      generatorCpu: cpu,
      server: this.#serverLine(server),
    };
    this.#before = counts;
    this.timeline.push(line);
    return line;
  } // prettier-ignore

  /** The first look only says where the counters stood, and two that are close to each other nothing. */
  #serverLine(now: ServerLook | null): Second['server'] {
    const before = this.#serverLast;
    if (!now || (before && now.at - before.at < LOOKS_APART_S)) return null;
    this.#serverLast = now;
    // Counters that went back are those of a process that was started anew.
    if (!before || now.sample.cpuSeconds < before.sample.cpuSeconds) return null;
    this.#serverCpu.used += now.sample.cpuSeconds - before.sample.cpuSeconds;
    this.#serverCpu.over += now.at - before.at;
    const { residentBytes, loopDelayMs, queued, sockets } = now.sample;
    return { cpu: coresUsed(before, now), residentBytes, loopDelayMs, queued, sockets };
  }

  get server(): LoadResult['server'] {
    const { used, over } = this.#serverCpu;
    const lines = this.timeline.flatMap(({ server }) => server ?? []);
    if (lines.length === 0) return null;
    return {
      cpu: used / over,
      cpuMost: Math.max(...lines.map(({ cpu }) => cpu)),
      residentBytesMost: Math.max(...lines.map(({ residentBytes }) => residentBytes)),
      loopDelayMs: Math.max(...lines.map(({ loopDelayMs }) => loopDelayMs)),
    };
  }

  threads(clients: readonly number[]): GeneratorUse['threads'] {
    return this.#threads.map(({ busySum, busyCount, busyMost, loopDelayMs }, i) => ({
      clients: clients[i] ?? 0,
      busy: busyCount === 0 ? 0 : busySum / busyCount,
      busyMost,
      loopDelayMs,
    }));
  }
}
