/**
 * Counters. To count is an addition into a typed array, since the hot path does it; prom-client's own look labels up at
 * each call, which takes about as long as decoding a change.
 *
 * All series are known from the start and begin at 0: the rate of what has not happened yet is 0, not nothing, and no label
 * takes a value that was not foreseen.
 */
import type { Registry } from 'prom-client';
import { expose, NO_LABELS } from './expose.ts';

export class Tally {
  readonly #counts: Float64Array;

  constructor(registry: Registry, name: string, help: string, series = NO_LABELS) {
    const counts = new Float64Array(series.length);
    this.#counts = counts;
    const values = () => series.map((labels, i) => ({ labels, value: counts[i]! }));
    expose(registry, { name, help, type: 'counter', values });
  }

  /** `series`: which of those that it was made with. */
  add(by = 1, series = 0): void {
    this.#counts[series]! += by;
  }
}

/** By one label, which has these values and no others. */
export class TallyBy<Key extends string> {
  readonly #tally: Tally;
  readonly #seriesByKey: ReadonlyMap<Key, number>;

  constructor(registry: Registry, name: string, help: string, label: string, keys: readonly Key[]) {
    const series = keys.map((key) => ({ [label]: key }));
    this.#tally = new Tally(registry, name, help, series);
    this.#seriesByKey = new Map(keys.map((key, i) => [key, i]));
  }

  add(key: Key, by = 1): void {
    this.#tally.add(by, this.#seriesByKey.get(key));
  }
}
