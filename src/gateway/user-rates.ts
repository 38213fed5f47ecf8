/**
 * What one user may send in a second, over all sockets of the node: changes, presence, and
 * whatever it is. A socket closed for too much and opened again meets the same account. Pure: time is passed in.
 */
import type { Millis } from '../base/time.ts';
import { TokenBucket } from '../base/token-bucket.ts';
import type { UserId } from '../protocol/ids.ts';
import type { Limits } from '../protocol/limits.ts';

interface Buckets {
  readonly change: TokenBucket;
  readonly presence: TokenBucket;
  readonly frames: TokenBucket;
  readonly bytes: TokenBucket;
}

export class UserRates {
  readonly #limits: Limits;
  readonly #byUser = new Map<UserId, Buckets>();

  constructor(limits: Limits) {
    this.#limits = limits;
  }

  /** Counts one and returns 0, or counts nothing and returns the ms until one is free. `now` is monotonic. */
  take(user: UserId, what: 'change' | 'presence', now: Millis): Millis {
    return this.#of(user, now)[what].take(now);
  }

  /** Counts a frame, whatever is in it; false past what the user may send. */
  takeFrame(user: UserId, size: number, now: Millis): boolean {
    const { frames, bytes } = this.#of(user, now);
    return frames.take(now) === 0 && bytes.take(now, size) === 0;
  }

  #of(user: UserId, now: Millis): Buckets {
    let buckets = this.#byUser.get(user);
    if (!buckets) {
      const { userChangesPerSecond, userChangesBurst, presencePerSecond } = this.#limits;
      const { userFramesPerSecond, userFramesBurst, userBytesPerSecond, userBytesBurst } = this.#limits;
      buckets = {
        change: new TokenBucket(userChangesPerSecond, userChangesBurst, now),
        presence: new TokenBucket(presencePerSecond, presencePerSecond, now),
        frames: new TokenBucket(userFramesPerSecond, userFramesBurst, now),
        bytes: new TokenBucket(userBytesPerSecond, userBytesBurst, now),
      };
      this.#byUser.set(user, buckets);
    }
    return buckets;
  }

  /** Forgets those who have rested long enough: nothing is lost by it. */
  sweep(now: Millis): void {
    for (const [user, buckets] of this.#byUser)
      if (Object.values(buckets).every((bucket: TokenBucket) => bucket.isFull(now)))
        this.#byUser.delete(user);
  }
}
