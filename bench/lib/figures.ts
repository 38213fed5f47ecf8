/**
 * What a suite hands back: figures (minimum, median and maximum over rounds), the settings they were measured under,
 * and notes a reader must know. Plain data, so that it is printed, written as JSON and compared alike.
 */

export interface Figure {
  readonly name: string;
  readonly unit: string;
  readonly better: 'higher' | 'lower';
  readonly min: number;
  readonly median: number;
  readonly max: number;
}

export interface SuiteResult {
  readonly suite: string;
  /** What differs from a server as it is installed, and the sizes of the load. */
  readonly settings: Readonly<Record<string, string | number>>;
  readonly figures: Figure[];
  readonly notes: string[];
}

export interface SuiteOptions {
  /** Measured seconds of each figure, over all its rounds. */
  readonly seconds: number;
  readonly rounds: number;
  /** Pin server and generator to a core each. */
  readonly pin: boolean;
  /** The compiled `cli/octavo.js` to measure. */
  readonly server: string;
  /** Suite `metrics`: another build to compare with; null: this one, without counting. */
  readonly against: string | null;
  /** Directory where the server process writes CPU profiles; null: no profiling. */
  readonly profileDir: string | null;
  /** Substring that the name of an end-to-end mode must contain; null: all modes. */
  readonly only: string | null;
}

export type Suite = (options: SuiteOptions) => Promise<SuiteResult>;

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/** One figure from the value that each round gave. */
export function figure(
  name: string,
  unit: string,
  better: Figure['better'],
  rounds: readonly number[],
): Figure {
  return { name, unit, better, min: Math.min(...rounds), median: median(rounds), max: Math.max(...rounds) };
}

/** The value below which `share` of the ascending values lie. */
export function percentile(ascending: Float64Array, share: number): number {
  if (ascending.length === 0) return NaN;
  return ascending[Math.min(ascending.length - 1, Math.floor(share * ascending.length))]!;
}
