/**
 * Latencies as histograms (HdrHistogram: three significant digits from a microsecond to an hour), and what is told of them: ms.
 */
import hdr from 'hdr-histogram-js';
import type { Millis } from '../base/time.ts';

const MICROS_MAX = 3_600_000_000;
const OPTIONS = { lowestDiscernibleValue: 1, highestTrackableValue: MICROS_MAX, numberOfSignificantValueDigits: 3, useWebAssembly: false, bitBucketSize: 32 } as const; // prettier-ignore

export const QUANTILES = { p50: 50, p75: 75, p90: 90, p95: 95, p99: 99, 'p99.9': 99.9 } as const;
export type QuantileName = keyof typeof QUANTILES;

export interface LatencySummary extends Readonly<Record<QuantileName, Millis>> {
  readonly count: number;
  readonly mean: Millis;
  readonly min: Millis;
  readonly max: Millis;
  /** How many took how long: [from, to, count], in ms, where there are any; each step is a fixed ratio. */
  readonly bars: readonly (readonly [Millis, Millis, number])[];
  /** All of it: HdrHistogram V2, compressed, base64, in microseconds; any HdrHistogram tool reads it. */
  readonly histogram: string;
}

export class Latency {
  #all = hdr.build(OPTIONS);
  /** Since `takeInterval`. */
  #interval = hdr.build(OPTIONS);

  get count(): number {
    return this.#all.totalCount;
  }

  /**
   * `expectedMicros`: values were taken one after another, one each so often, and a late one kept others from being taken: those
   * are added (what HdrHistogram calls the correction for coordinated omission). 0: each was timed from when it was due.
   */
  add(micros: Uint32Array, expectedMicros = 0): void {
    for (const value of micros) {
      const within = Math.max(1, Math.min(MICROS_MAX, value));
      if (expectedMicros > 0) this.#interval.recordValueWithExpectedInterval(within, expectedMicros);
      else this.#interval.recordValue(within);
    }
  }

  /** A quantile of all that was taken, in ms; 0 without any. */
  at(quantile: number): Millis {
    return this.#all.totalCount === 0 ? 0 : this.#all.getValueAtPercentile(quantile) / 1000;
  }

  /** What came since the last time. */
  takeInterval(): { count: number; p50: Millis; p99: Millis; max: Millis } | null {
    const { totalCount: count, maxValue } = this.#interval;
    const ms = (quantile: number) => this.#interval.getValueAtPercentile(quantile) / 1000;
    const taken = count === 0 ? null : { count, p50: ms(50), p99: ms(99), max: maxValue / 1000 };
    this.#all.add(this.#interval);
    this.#interval.reset();
    return taken;
  }

  /** null: there was nothing to measure. */
  summary(): LatencySummary | null {
    this.takeInterval();
    if (this.count === 0) return null;
    const quantiles = Object.fromEntries(
      Object.entries(QUANTILES).map(([name, at]) => [name, this.at(at)]),
    ) as Record<QuantileName, Millis>;
    const { mean, minNonZeroValue, maxValue } = this.#all;
    const histogram = hdr.encodeIntoCompressedBase64(this.#all);
    return { count: this.count, mean: mean / 1000, min: minNonZeroValue / 1000, max: maxValue / 1000, ...quantiles, bars: this.#bars(), histogram }; // prettier-ignore
  }

  /** Bars of a fixed ratio, ten for each factor of ten: found by asking for the share below each edge. */
  #bars(): [Millis, Millis, number][] {
    const bars: [Millis, Millis, number][] = [];
    const total = this.count;
    let below = 0;
    for (let step = 0; below < total; step++) {
      const [from, to] = [10 ** (step / 10), 10 ** ((step + 1) / 10)];
      const count = countAtMost(this.#all, to) - below;
      below += count;
      if (count > 0) bars.push([from / 1000, to / 1000, count]);
      if (to > MICROS_MAX) break;
    }
    return bars;
  }
}

/** How many values are at most `value`: the library answers the other way round, so the quantile is searched for. */
function countAtMost(histogram: hdr.Histogram, value: number): number {
  let [low, high] = [0, histogram.totalCount];
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    // The middle of the rank's own share, so that rounding cannot take the rank beside it.
    const found = histogram.getValueAtPercentile((100 * (middle - 0.5)) / histogram.totalCount);
    if (found <= value) low = middle;
    else high = middle - 1;
  }
  return low;
}
