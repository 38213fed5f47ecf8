/**
 * Draws from a seeded generator, in the words that plans and faults are written in.
 */
import { type Random, randomBelow, randomFloat, seededRandom } from '../../src/base/random.ts';

export class Dice {
  readonly random: Random;

  constructor(random: Random) {
    this.random = random;
  }

  /** A generator of its own for each part of a run, so that one more draw in one part does not change the others. */
  static of(seed: number, part: number): Dice {
    return new Dice(seededRandom((Math.imul(seed ^ (seed >>> 15), 0x2c1b3c6d) + Math.imul(part, 0x9e3779b1)) >>> 0));
  } // prettier-ignore

  chance(probability: number): boolean {
    return randomFloat(this.random) < probability;
  }

  below(bound: number): number {
    return randomBelow(this.random, bound);
  }

  between(low: number, high: number): number {
    return low + randomFloat(this.random) * (high - low);
  }

  /** A whole number, both ends included. */
  whole(low: number, high: number): number {
    return low + randomBelow(this.random, high - low + 1);
  }

  /** Small numbers and large ones alike: even in the number of digits. */
  spread(low: number, high: number): number {
    return low * (high / low) ** randomFloat(this.random);
  }

  /** The wait until something that happens every `meanMs`, on average; for ever if that is 0. */
  wait(meanMs: number): number {
    return meanMs <= 0 ? Infinity : -Math.log(1 - randomFloat(this.random)) * meanMs;
  }

  pick<T>(items: readonly T[]): T {
    return items[randomBelow(this.random, items.length)]!;
  }
}
