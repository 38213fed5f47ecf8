/**
 * Which of the things that could be traced are: each with the probability `ratio`, and no more than a bound a second, whatever
 * the ratio says, so that traces never are what a server is busy with. Between two that are taken it only counts down.
 */
import { type Random, randomFloat } from '../base/random.ts';
import type { Clock } from '../base/time.ts';
import { TokenBucket } from '../base/token-bucket.ts';

export const TRACES_PER_SECOND_MAX = 200;

export class Sampler {
  readonly #random: Random;
  readonly #clock: Clock;
  readonly #ratio: number;
  readonly #bucket: TokenBucket;
  #skip: number;

  constructor(random: Random, clock: Clock, ratio: number) {
    this.#random = random;
    this.#clock = clock;
    this.#ratio = ratio;
    this.#bucket = new TokenBucket(TRACES_PER_SECOND_MAX, TRACES_PER_SECOND_MAX, clock.monotonic());
    this.#skip = this.#draw();
  }

  /** Whether this one is. */
  next(): boolean {
    if (this.#skip-- > 0) return false;
    this.#skip = this.#draw();
    return this.allowed();
  }

  /** Whether one that is to be traced in any case may be: there were not too many just now. */
  allowed(): boolean {
    return this.#bucket.take(this.#clock.monotonic()) === 0;
  }

  /** How many are left out before the next: as if each were drawn by itself. */
  #draw(): number {
    if (this.#ratio >= 1) return 0;
    if (this.#ratio <= 0) return Infinity;
    return Math.floor(Math.log(1 - randomFloat(this.#random)) / Math.log(1 - this.#ratio));
  }
}
