/**
 * How fast this client may send, by the limits of WELCOME: it slows down by itself, so that it is refused and closed only
 * where others share a limit with it. A little below the limits, since two clocks never run alike.
 */
import { TokenBucket } from '../base/token-bucket.ts';
import type { Millis } from '../base/time.ts';
import type { Limits } from '../protocol/limits.ts';

const SHARE = 0.9;

export class Pace {
  readonly #changes: TokenBucket;
  readonly #frames: TokenBucket;
  readonly #bytes: TokenBucket;

  constructor(limits: Limits, now: Millis) {
    const bucket = (perSecond: number, burst: number) =>
      new TokenBucket(SHARE * perSecond, SHARE * burst, now);
    this.#changes = bucket(limits.userChangesPerSecond, limits.userChangesBurst);
    this.#frames = bucket(limits.userFramesPerSecond, limits.userFramesBurst);
    this.#bytes = bucket(limits.userBytesPerSecond, limits.userBytesBurst);
  }

  /** 0: a change may be sent now, and is counted; else the ms until one may. */
  takeChange(now: Millis): Millis {
    return this.#changes.take(now);
  }

  /** The same for any frame, by its size. */
  takeFrame(bytes: number, now: Millis): Millis {
    return this.#bytes.take(now, bytes) || this.#frames.take(now);
  }
}
