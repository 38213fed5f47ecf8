/**
 * Histograms: how values are spread. To add one is two additions into a typed array; see `tally.ts` for why, and for what
 * holds of their series.
 */
import type { Registry } from 'prom-client';
import { expose, type Labels, NO_LABELS, type Value } from './expose.ts';

/** From a tenth of a millisecond to what nobody waits for. */
const BOUNDS_MS = [0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000];
const MS_PER_SECOND = 1000;

export interface SpreadOptions {
  readonly bounds: readonly number[];
  readonly series?: readonly Labels[];
  /** How many units of the values are one of the metric. */
  readonly scale?: number;
}

export class Spread {
  readonly #bounds: readonly number[];
  /** For each series its buckets, one more past the last bound, and the sum. */
  readonly #numbers: Float64Array;

  constructor(registry: Registry, name: string, help: string, options: SpreadOptions) {
    const { bounds, series = NO_LABELS, scale = 1 } = options;
    const width = bounds.length + 2;
    const numbers = new Float64Array(series.length * width);
    this.#bounds = bounds;
    this.#numbers = numbers;
    const les = [...bounds.map((bound) => bound / scale), '+Inf'];
    const valuesOf = (labels: Labels, i: number): Value[] => {
      const own = numbers.subarray(i * width, (i + 1) * width);
      let below = 0;
      const bucket = (le: number | string, at: number): Value => {
        below += own[at]!;
        return { metricName: `${name}_bucket`, labels: { ...labels, le }, value: below };
      };
      const buckets = les.map(bucket);
      const total = own[width - 1] ?? 0;
      const sum = { metricName: `${name}_sum`, labels, value: total / scale };
      return [...buckets, sum, { metricName: `${name}_count`, labels, value: below }];
    };
    expose(registry, { name, help, type: 'histogram', values: () => series.flatMap(valuesOf) });
  }

  add(value: number, series = 0): void {
    const bounds = this.#bounds;
    const { length } = bounds;
    const first = series * (length + 2);
    let bucket = 0;
    while (bucket < length && value > bounds[bucket]!) bucket++;
    this.#numbers[first + bucket]! += 1;
    this.#numbers[first + length + 1]! += value;
  }
}

/** Of times: given in ms, told in seconds. */
export const durations = (registry: Registry, name: string, help: string, series?: readonly Labels[]) =>
  new Spread(registry, name, help, {
    bounds: BOUNDS_MS,
    scale: MS_PER_SECOND,
    ...(series ? { series } : {}),
  });
