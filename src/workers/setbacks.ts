/**
 * Pages that failed again and again, and how long each is left alone: so that a page that cannot be loaded, or that ends
 * whoever holds it, is not tried more often than its back-off, and costs the others nothing. Pure: time is passed in.
 */
import type { Millis } from '../base/time.ts';
import type { PageId } from '../protocol/ids.ts';

export interface SetbackPolicy {
  /** So many setbacks cost nothing yet. */
  readonly free: number;
  /** The next costs this much, each further one twice as much, up to `maxMs`. */
  readonly firstMs: Millis;
  readonly maxMs: Millis;
  /** Without another setback for so long the page starts anew. Longer than `maxMs`. */
  readonly forgetMs: Millis;
}

/** A bound on the pages that are remembered; past it the oldest are forgotten. */
const PAGES_MAX = 10_000;

interface Setback {
  readonly count: number;
  readonly at: Millis;
  readonly untilMs: Millis;
}

export class Setbacks {
  readonly #policy: SetbackPolicy;
  /** In the order of their last setback. */
  readonly #pages = new Map<PageId, Setback>();

  constructor(policy: SetbackPolicy) {
    this.#policy = policy;
  }

  /** Notes one more, and returns for how long the page is left alone. */
  note(page: PageId, now: Millis): Millis {
    const { free, firstMs, maxMs, forgetMs } = this.#policy;
    const last = this.#pages.get(page);
    const count = last && now - last.at < forgetMs ? last.count + 1 : 1;
    const waitMs = count <= free ? 0 : Math.min(maxMs, firstMs * 2 ** Math.min(30, count - free - 1));
    this.#pages.delete(page);
    this.#pages.set(page, { count, at: now, untilMs: now + waitMs });
    if (this.#pages.size > PAGES_MAX) this.#pages.delete(this.#pages.keys().next().value!);
    return waitMs;
  }

  /** ms for which the page is still left alone; 0: it may be tried. */
  waitMs(page: PageId, now: Millis): Millis {
    const found = this.#pages.get(page);
    return found ? Math.max(0, found.untilMs - now) : 0;
  }
}
