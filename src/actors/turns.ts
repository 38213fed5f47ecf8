/**
 * Turns on pages that several nodes write: how long one that has just appended leaves the page to the others. Pure: time is
 * passed in and out.
 *
 *      lost ──▶ reads the log, and leaves a mark (`readTail` with `wants`) ──▶ tries again at once
 *      won, and nobody else writes ──▶ no turn
 *      won, others write ──▶ a turn as long as reading a log takes, and as twice what they took the last time
 *          heard what they wrote ──▶ it has been used, and is over
 *          lost right after it ──▶ it was too short: the next is twice as long
 *      won, and the mark is another's: somebody was too late again ──▶ twice the last turn; else half of it
 *          so twice in a row ──▶ whom we hear is not the one who is too late: it lasts, whoever is heard
 */
import type { Millis } from '../base/time.ts';
import type { PageId } from '../protocol/ids.ts';

const LEAST_MS = 1;
const MOST_MS = 50;
/** So long after another node's changes a page counts as one that others write too. */
const SHARED_MS = 1000;
/** Who wins, leaves a turn and loses within so many turns had left too little. */
const CUT_WITHIN_TURNS = 4;
/** From here on a turn is for one who is not heard. */
const OFTEN_LATE = 2;
/** A bound on the pages that are remembered; past it the oldest are forgotten. */
const PAGES_MAX = 10_000;

interface Contest {
  /** When something of others was heard last. */
  readonly heardAt: Millis;
  /** The last turn of the others. */
  readonly turnMs: Millis;
  /** When it began; -Infinity: it has been used. */
  readonly since: Millis;
  /** How long they took to use it, as far as is known. */
  readonly answerMs: Millis;
  /** How often in a row somebody was too late. */
  readonly late: number;
  /** This node has lost a race: the read of the log that follows says so. */
  readonly lost: boolean;
  /** It has said so, and not appended since: the mark that its next append finds may be its own. */
  readonly marked: boolean;
}

const NONE: Contest = {
  heardAt: -Infinity,
  turnMs: 0,
  since: -Infinity,
  answerMs: 0,
  late: 0,
  lost: false,
  marked: false,
};

export class Turns {
  /** In the order of their last race. */
  readonly #contests = new Map<PageId, Contest>();

  lost(page: PageId, now: Millis): void {
    const contest = this.#of(page);
    const { turnMs, since } = contest;
    const wasCut = now - since < CUT_WITHIN_TURNS * turnMs;
    this.#keep(page, { ...contest, answerMs: wasCut ? turnMs : 0, lost: true });
  }

  /** Whether the log is read because of a lost race. */
  reads(page: PageId): boolean {
    const contest = this.#of(page);
    if (contest.lost) this.#keep(page, { ...contest, lost: false, marked: true });
    return contest.lost;
  }

  /**
   * How long the page is left to others, or up to twice as long; 0: nobody waits for it. `isWanted`: somebody has left a mark;
   * `readMs`: what reading a log takes.
   */
  won(page: PageId, isWanted: boolean, readMs: Millis, now: Millis): Millis {
    const { heardAt, turnMs: last, answerMs, late, marked } = this.#of(page);
    const isLate = isWanted && !marked;
    if (!isLate && now - heardAt >= SHARED_MS) {
      this.#contests.delete(page);
      return 0;
    }
    const turnMs = Math.min(MOST_MS, Math.max(LEAST_MS, readMs, 2 * answerMs, last * (isLate ? 2 : 0.5)));
    const turn = { turnMs, since: now, answerMs: 0, late: isLate ? late + 1 : 0 };
    this.#keep(page, { heardAt, ...turn, lost: false, marked: false });
    return turnMs;
  }

  /** What others wrote is here. Whether that ends their turn. */
  heard(page: PageId, now: Millis): boolean {
    const contest = this.#of(page);
    const answerMs = now - contest.since;
    const isUsed = answerMs <= 2 * contest.turnMs && contest.late < OFTEN_LATE;
    this.#keep(page, { ...contest, heardAt: now, ...(isUsed && { answerMs, since: -Infinity }) });
    return isUsed;
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
