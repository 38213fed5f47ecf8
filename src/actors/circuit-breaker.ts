/**
 * While the database does not answer, one asks it at a time, after a jittered back-off; the others wait in line, so that
 * a thousand pages cost it no more than one. As soon as it answers, all go on.
 *
 *      closed ──failed──▶ cooling ──back-off──▶ one goes ──passed──▶ closed
 *                            ▲                     └──failed──┐
 *                            └────────────────────────────────┘
 */
import { backoffMs, type Random } from '../base/random.ts';
import type { Clock, Millis, Timer } from '../base/time.ts';

interface Waiting {
  isWanted(): boolean;
  go(mayGo: boolean): void;
}

export class CircuitBreaker {
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #firstMs: Millis;
  readonly #maxMs: Millis;
  #failures = 0;
  #cooling: Timer | null = null;
  #isTrying = false;
  #waiting: Waiting[] = [];

  constructor(clock: Clock, random: Random, firstMs: Millis, maxMs: Millis) {
    this.#clock = clock;
    this.#random = random;
    this.#firstMs = firstMs;
    this.#maxMs = maxMs;
  }

  /** Resolves with true when the caller may ask: it then says `passed` or `failed`. False: it is not wanted any more. */
  enter(isWanted: () => boolean): Promise<boolean> {
    if (this.#failures === 0) return Promise.resolve(isWanted());
    return new Promise((go) => {
      this.#waiting.push({ isWanted, go });
      this.#next();
    });
  }

  passed(): void {
    this.#failures = 0;
    this.#isTrying = false;
    this.#cooling?.cancel();
    this.#cooling = null;
    for (const { isWanted, go } of this.#waiting.splice(0)) go(isWanted());
  }

  failed(): void {
    this.#isTrying = false;
    // Those that were under way when the first one failed count as one.
    if (this.#cooling) return;
    const delayMs = backoffMs(this.#random, this.#failures++, this.#firstMs, this.#maxMs);
    this.#cooling = this.#clock.after(delayMs, () => {
      this.#cooling = null;
      this.#next();
    });
  }

  #next(): void {
    while (!this.#cooling && !this.#isTrying) {
      const next = this.#waiting.shift();
      if (!next) return;
      this.#isTrying = next.isWanted();
      next.go(this.#isTrying);
    }
  }
}
