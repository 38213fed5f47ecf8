/**
 * What came out of a run: plain data, the file of `--json`. Everything else (table, report, comparison, thresholds) is made of it.
 */
import type { Millis } from '../base/time.ts';
import type { LatencySummary } from './latency.ts';
import type { Counts, LatencyName } from './tallies.ts';

export const RESULT_FORMAT = 1;

export interface Second {
  /** Seconds since the measured time began. */
  readonly at: number;
  readonly made: number;
  readonly accepted: number;
  readonly seen: number;
  readonly joins: number;
  readonly latencies: Readonly<Partial<Record<LatencyName | 'request', { readonly p50: Millis; readonly p99: Millis; readonly max: Millis }>>>;
  readonly live: number;
  /** Edits without an answer. */
  readonly pending: number;
  /** Cores in use. */
  readonly generatorCpu: number;
  readonly server: { readonly cpu: number; readonly residentBytes: number; readonly loopDelayMs: Millis; readonly queued: number; readonly sockets: number } | null;
} // prettier-ignore

export interface GeneratorUse {
  readonly threads: readonly { readonly clients: number; /** Share of the time, mean and the worst second. */ readonly busy: number; readonly busyMost: number; readonly loopDelayMs: Millis }[];
  /** Cores in use, on average, all threads. */
  readonly cpu: number;
  /** How late edits were made, ms: the generator's own part of every latency. */
  readonly lateP99: Millis;
  readonly lateMax: Millis;
  /** Why the figures may be the generator's and not the server's; empty: they are the server's. */
  readonly warnings: readonly string[];
} // prettier-ignore

export interface Correctness {
  /** What was looked at after the timed part. */
  readonly pages: number;
  readonly blocks: number;
  /** Acknowledged, and not in the log. */
  readonly lost: number;
  /** In the log more than once. */
  readonly doubled: number;
  /** Blocks whose place, props or text are not what their author made of them. */
  readonly wrong: number;
  /** Live readers that did not come to the end of their page's log. */
  readonly behind: number;
  /** Without an answer at the end of a long wait: they may be in the log or not. */
  readonly unsettled: number;
  readonly findings: readonly string[];
}

export interface LoadResult {
  readonly format: typeof RESULT_FORMAT;
  readonly octavo: string;
  readonly scenario: string;
  /** The command that repeats it, without a token. */
  readonly command: string;
  readonly startedAt: string;
  /** Measured seconds; less than asked for when it was ended before. */
  readonly seconds: number;
  readonly interrupted: boolean;
  readonly target: string;
  readonly load: Readonly<Record<string, string | number>>;
  readonly machine: { readonly cpu: string; readonly cores: number; readonly memoryGiB: number; readonly platform: string; readonly node: string };
  readonly latencies: Readonly<Partial<Record<LatencyName | 'request', LatencySummary>>>;
  /** A second, on average. */
  readonly rates: Readonly<Record<string, number>>;
  readonly counts: Readonly<Partial<Counts> & Record<string, number>>;
  readonly refused: Readonly<Record<string, number>>;
  readonly closed: Readonly<Record<string, number>>;
  /** null: a load that writes nothing. */
  readonly correctness: Correctness | null;
  readonly generator: GeneratorUse;
  /** null: it did not let us look. Cores in use and bytes, at most and on average. */
  readonly server: { readonly cpu: number; readonly cpuMost: number; readonly residentBytesMost: number; readonly loopDelayMs: Millis } | null;
  readonly timeline: readonly Second[];
  /** How the pages are found that it made. */
  readonly pages: { readonly count: number; readonly prefix: string; readonly first: string | null };
} // prettier-ignore

/** Whether what was acknowledged is there, once, and as it was made. */
export const isCorrect = ({ correctness }: LoadResult): boolean =>
  correctness === null || correctness.lost + correctness.doubled + correctness.wrong + correctness.behind + correctness.unsettled === 0; // prettier-ignore
