/**
 * Looks now and then at the pages whose changes wait for their commit, whether they wait too long. One timer for all of
 * them, and none while nothing waits. Says in the log when a stall begins and when it is over: once for the whole shard.
 */
import type { Log } from '../base/log.ts';
import type { Clock, Millis } from '../base/time.ts';
import type { PageId } from '../protocol/ids.ts';

export interface StallWatchOptions {
  readonly clock: Clock;
  readonly log: Log;
  readonly stallMs: Millis;
  /** Tells the page the time; how long its oldest change has waited for its commit, null if none does. */
  check(page: PageId, now: Millis): Millis | null;
  /** Called after a round. */
  checked(): void;
}

/** Stalls are looked for twice in the time that makes one, but not more often than this. */
const CHECK_MIN_MS = 10;
/** Shorter ones are for the metrics: a busy disk has them now and then. */
const SAID_MIN_MS = 1000;

export class StallWatch {
  readonly #options: StallWatchOptions;
  readonly #everyMs: Millis;
  #pages = new Set<PageId>();
  #running = false;
  /** When the stall that was said to have begun did begin. */
  #since: Millis | null = null;

  constructor(options: StallWatchOptions) {
    this.#options = options;
    this.#everyMs = Math.max(CHECK_MIN_MS, options.stallMs / 2);
  }

  watch(page: PageId): void {
    this.#pages.add(page);
    if (this.#running) return;
    this.#running = true;
    this.#options.clock.after(this.#everyMs, () => this.#round());
  }

  #round(): void {
    const { clock, check, checked } = this.#options;
    this.#running = false;
    const pages = this.#pages;
    this.#pages = new Set();
    const now = clock.monotonic();
    let longest = 0;
    for (const page of pages) {
      const waited = check(page, now);
      if (waited === null) continue;
      longest = Math.max(longest, waited);
      this.watch(page);
    }
    this.#say(longest, now);
    checked();
  }

  #say(longest: Millis, now: Millis): void {
    const { log, stallMs } = this.#options;
    const stalled = longest >= Math.max(stallMs, SAID_MIN_MS);
    if (stalled && this.#since === null) {
      this.#since = now - longest;
      const fields = { waitedMs: Math.round(longest), pages: this.#pages.size };
      log.warn(fields, 'the database stalls: changes are told before their commit, and not acknowledged');
    } else if (!stalled && this.#since !== null) {
      log.warn({ lastedMs: Math.round(now - this.#since) }, 'the stall is over: changes are committed again');
      this.#since = null;
    }
  }
}
