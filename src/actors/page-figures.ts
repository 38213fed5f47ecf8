/**
 * What an operator asks of live pages: how busy each is, and which are the busiest. `PagePulse` is what a page keeps for
 * that; it is looked at once a second, so that a change costs nothing here.
 */
import type { Millis } from '../base/time.ts';
import type { PageId } from '../protocol/ids.ts';

export interface PageFigures {
  readonly page: PageId;
  readonly subscribers: number;
  /** Of the page's log, whoever wrote them; about that of the last 10 s. */
  readonly changesPerSecond: number;
  /** About what it takes of memory. */
  readonly bytes: number;
  /** Changes that wait for their commit. */
  readonly queued: number;
  /** Since it came into memory. */
  readonly ageSeconds: number;
}

export const PAGE_SORTS = ['changes', 'subscribers', 'bytes', 'queued', 'age'] as const;
export type PageSort = (typeof PAGE_SORTS)[number];

const FIELD = {
  changes: 'changesPerSecond',
  subscribers: 'subscribers',
  bytes: 'bytes',
  queued: 'queued',
  age: 'ageSeconds',
} as const satisfies Record<PageSort, keyof PageFigures>;

/** How much of the rate is forgotten in a second. */
const FADE = 0.1;

export class PagePulse {
  readonly #bornAt: Millis;
  #at: Millis;
  /** null: not looked at yet. */
  #head: number | null = null;
  #rate = 0;

  constructor(now: Millis) {
    this.#bornAt = this.#at = now;
  }

  /** Called about once a second. */
  beat(now: Millis, head: number): void {
    const seconds = (now - this.#at) / 1000;
    if (seconds <= 0) return;
    const rate = Math.max(0, head - (this.#head ?? head)) / seconds;
    this.#rate += (rate - this.#rate) * Math.min(1, seconds * FADE);
    this.#at = now;
    this.#head = head;
  }

  figures(now: Millis): Pick<PageFigures, 'changesPerSecond' | 'ageSeconds'> {
    const ageSeconds = Math.round((now - this.#bornAt) / 1000);
    return { changesPerSecond: Math.round(this.#rate * 100) / 100, ageSeconds };
  }
}

/** The first `limit` of them by `sort`, the most first. A hundred thousand pages are not sorted for that. */
export function busiest<Figures extends PageFigures>(
  pages: Iterable<Figures>,
  sort: PageSort,
  limit: number,
): Figures[] {
  const field = FIELD[sort];
  const before = (a: Figures, b: Figures) =>
    a[field] > b[field] || (a[field] === b[field] && a.page < b.page);
  const top: Figures[] = [];
  for (const one of pages) {
    if (top.length === limit && !before(one, top[limit - 1]!)) continue;
    let at = top.length;
    while (at > 0 && before(one, top[at - 1]!)) at--;
    top.splice(at, 0, one);
    if (top.length > limit) top.pop();
  }
  return top;
}
