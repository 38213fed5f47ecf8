/**
 * How many changes of a page may be with the server at a time. It shrinks to one when the server says `rate`, and grows
 * again with each change that is taken; the waits between refusals grow too, with jitter, since what a page or a user may
 * send is shared with others who were told the same.
 */
import { backoffMs, type Random } from '../base/random.ts';
import type { Millis } from '../base/time.ts';

const SIZE_MAX = 16;
const WAIT_MS = { first: 20, max: 2000 };

export class SendWindow {
  #size = SIZE_MAX;
  #refusals = 0;

  get size(): number {
    return this.#size;
  }

  /** Changes were taken. */
  grow(): void {
    this.#size = Math.min(SIZE_MAX, this.#size + 1);
    this.#refusals = 0;
  }

  /** Refused for the rate: how long to send nothing. */
  shrink(retryAfterMs: Millis | null, random: Random): Millis {
    this.#size = 1;
    return Math.max(retryAfterMs ?? 0, backoffMs(random, this.#refusals++, WAIT_MS.first, WAIT_MS.max));
  }
}
