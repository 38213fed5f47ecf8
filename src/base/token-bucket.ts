/**
 * A rate limit: `perSecond` tokens flow in, at most `burst` are kept, each act takes one, or as many as it is worth (never
 * more than `burst`). Pure: time is passed in.
 */

export class TokenBucket {
  readonly #perMs: number;
  readonly #burst: number;
  #tokens: number;
  #at: number;

  constructor(perSecond: number, burst: number, nowMs: number) {
    this.#perMs = perSecond / 1000;
    this.#burst = Math.max(1, burst);
    this.#tokens = this.#burst;
    this.#at = nowMs;
  }

  /** Takes its tokens and returns 0, or takes none and returns the ms until there are. `nowMs` is monotonic. */
  take(nowMs: number, tokens = 1): number {
    this.#tokens = Math.min(this.#burst, this.#tokens + (nowMs - this.#at) * this.#perMs);
    this.#at = nowMs;
    if (this.#tokens >= tokens) {
      this.#tokens -= tokens;
      return 0;
    }
    return Math.ceil((tokens - this.#tokens) / this.#perMs);
  }

  /** Full again: nothing is lost by forgetting this bucket. */
  isFull(nowMs: number): boolean {
    return this.#tokens + (nowMs - this.#at) * this.#perMs >= this.#burst;
  }
}
