/**
 * Sets of clocks of Yjs client ids, as sorted ranges that neither touch nor overlap: which characters of a text are hidden.
 * A look-up costs the logarithm of the ranges, an insert a move of those behind it.
 */

/** A range of one client's clocks: `from` … `to` − 1. */
type Visit = (client: number, from: number, to: number) => void;

export class ClockRanges {
  /** Per client: the starts and, at the same places, the ends. */
  readonly #byClient = new Map<number, { starts: number[]; ends: number[] }>();
  #size = 0;

  /** How many clocks are in the set. */
  get size(): number {
    return this.#size;
  }

  /** Adds a range; `fresh` is told of each part of it that was not in the set. */
  add(client: number, from: number, to: number, fresh?: Visit): void {
    let ranges = this.#byClient.get(client);
    if (!ranges) this.#byClient.set(client, (ranges = { starts: [], ends: [] }));
    const { starts, ends } = ranges;
    const first = firstNotBelow(ends, from);
    let [start, end] = [from, to];
    let at = from;
    let last = first;
    for (; last < starts.length && starts[last]! <= to; last++) {
      if (starts[last]! > at) this.#note(client, at, starts[last]!, fresh);
      at = ends[last]!;
      start = Math.min(start, starts[last]!);
      end = Math.max(end, at);
    }
    if (at < to) this.#note(client, at, to, fresh);
    starts.splice(first, last - first, start);
    ends.splice(first, last - first, end);
  }

  #note(client: number, from: number, to: number, fresh?: Visit): void {
    this.#size += to - from;
    fresh?.(client, from, to);
  }

  /** How many clocks of a range are in the set. */
  covered(client: number, from: number, to: number): number {
    const ranges = this.#byClient.get(client);
    if (!ranges) return 0;
    const { starts, ends } = ranges;
    let count = 0;
    for (let i = firstNotBelow(ends, from); i < starts.length && starts[i]! < to; i++) {
      count += Math.min(ends[i]!, to) - Math.max(starts[i]!, from);
    }
    return Math.max(0, count);
  }
}

/** The index of the first of `sorted` that is not below `value`. */
function firstNotBelow(sorted: readonly number[], value: number): number {
  let [low, high] = [0, sorted.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (sorted[middle]! < value) low = middle + 1;
    else high = middle;
  }
  return low;
}
