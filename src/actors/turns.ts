/**
 * Turns on pages that several nodes write: how long one that has just appended leaves the page to the others. Pure: time is
 * passed in and out.
 *
 *      lost ──▶ reads the log, and leaves a mark (`readTail` with `wants`) ──▶ tries again at once
 *      won, and nobody else writes ──▶ no turn
 *      won, others write ──▶ a turn as long as reading a log takes
 *      won, and the mark is another's: somebody was too late again ──▶ twice the last turn; else half of it
 */
import type { Millis } from '../base/time.ts';
import type { PageId } from '../protocol/ids.ts';

const LEAST_MS = 1;
const MOST_MS = 50;
/** A bound on the pages that are remembered; past it the oldest are forgotten. */
const PAGES_MAX = 10_000;

interface Contest {
  /** The last turn of the others. */
  readonly turnMs: Millis;
  /** This node has lost a race: the read of the log that follows says so. */
  readonly lost: boolean;
  /** It has said so, and not appended since: the mark that its next append finds may be its own. */
  readonly marked: boolean;
}

const NONE: Contest = { turnMs: 0, lost: false, marked: false };

export class Turns {
  /** In the order of their last race. */
  readonly #contests = new Map<PageId, Contest>();

  lost(page: PageId): void {
    this.#keep(page, { ...this.#of(page), lost: true });
  }

  /** Whether the log is read because of a lost race. */
  reads(page: PageId): boolean {
    const contest = this.#of(page);
    if (contest.lost) this.#keep(page, { ...contest, lost: false, marked: true });
    return contest.lost;
  }

  /** How long the page is left to others; 0: nobody waits for it. `readMs`: what reading a log takes. */
  won(page: PageId, isWanted: boolean, isShared: boolean, readMs: Millis): Millis {
    const { turnMs: last, marked } = this.#of(page);
    const isTooLate = isWanted && !marked;
    if (!isTooLate && !isShared) {
      this.#contests.delete(page);
      return 0;
    }
    const turnMs = Math.min(MOST_MS, Math.max(LEAST_MS, readMs, last * (isTooLate ? 2 : 0.5)));
    this.#keep(page, { turnMs, lost: false, marked: false });
    return turnMs;
  }

  #of(page: PageId): Contest {
    return this.#contests.get(page) ?? NONE;
  }

  #keep(page: PageId, contest: Contest): void {
    this.#contests.delete(page);
    this.#contests.set(page, contest);
    if (this.#contests.size > PAGES_MAX) this.#contests.delete(this.#contests.keys().next().value!);
  }
}
