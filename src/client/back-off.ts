/**
 * How long a link waits before it tries again: longer each time, up to 2 s in the first minute without a connection and up to
 * 15 s later. So a short outage is over for everybody soon after its end, and on a long one people do not knock all the time.
 */
import { backoffMs, type Random } from '../base/random.ts';
import type { Clock, Millis } from '../base/time.ts';

const FIRST_MS: Millis = 250;
const MAX_MS: Millis = 2000;
const MAX_OF_LONG_MS: Millis = 15_000;
const LONG_OUTAGE_MS: Millis = 60_000;
/** A connection that lasted this long was a good one: to come back at once costs servers no more than the waits above. */
const STABLE_MS: Millis = MAX_MS;

export class BackOff {
  readonly #clock: Clock;
  readonly #random: Random;
  #attempt = 0;
  /** When the last connection on which a server had let us in was lost. */
  #awaySince: Millis;

  constructor(clock: Clock, random: Random) {
    this.#clock = clock;
    this.#random = random;
    this.#awaySince = clock.monotonic();
  }

  /** The next waits are short again. */
  startAnew(): void {
    this.#attempt = 0;
  }

  /** A connection on which a server had let us in then is lost. */
  lost(welcomedAt: Millis): void {
    this.#awaySince = this.#clock.monotonic();
    if (this.#awaySince - welcomedAt > STABLE_MS) this.startAnew();
  }

  next(): Millis {
    const isLong = this.#clock.monotonic() - this.#awaySince > LONG_OUTAGE_MS;
    return backoffMs(this.#random, this.#attempt++, FIRST_MS, isLong ? MAX_OF_LONG_MS : MAX_MS);
  }
}
