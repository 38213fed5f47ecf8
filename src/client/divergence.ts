/**
 * Whether my copy of the page is the page: compares the hash of confirmed state with what the server tells for the very
 * seq where it stands, and has the page taken anew when they differ.
 *
 * A copy that differs is a bug of ours, here or there, so nothing is relied on: if the fresh page differs again it is said,
 * and the copy goes on as it is; and however often copies come to differ, they are taken anew ever more rarely.
 */
import { sameBytes } from '../base/bytes.ts';
import { backoffMs, type Random } from '../base/random.ts';
import type { Clock, Millis, Timer } from '../base/time.ts';
import { hashHex } from '../document/state-hash.ts';
import type { Seq } from '../protocol/ids.ts';

export interface DivergedEvent {
  /** Where in the log both stood. */
  readonly seq: Seq;
  /** The hash of this copy, and of the page, in hex: for a bug report. */
  readonly ours: string;
  readonly theirs: string;
  /** Whether the page is taken anew; false: that was done and did not help, and the copy goes on as it is. */
  readonly repairing: boolean;
}

export interface DivergenceHooks {
  /** The hash of confirmed state; null: it holds what cannot be compared. */
  ours(): Uint8Array | null;
  /** Tell the server. */
  report(seq: Seq, hash: Uint8Array): void;
  diverged(event: DivergedEvent): void;
  /** Take the page anew. */
  repair(): void;
}

/** Everyone on the page may differ at once: they do not come all together. */
const SPREAD_MS = 2_000;
/** From one alarm to the next; doubled each time. */
const QUIET_MS = { first: 60_000, max: 3_600_000 };
/** After so long in peace the next alarm counts as the first. */
const FORGET_MS: Millis = 6 * 3_600_000;

export class Divergence {
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #hooks: DivergenceHooks;
  #alarms = 0;
  #alarmAt: Millis = -Infinity;
  #quietUntil: Millis = -Infinity;
  /** The page was taken anew, and nothing has shown since that this helped. */
  #repaired = false;
  #repair: Timer | null = null;

  constructor(clock: Clock, random: Random, hooks: DivergenceHooks) {
    this.#clock = clock;
    this.#random = random;
    this.#hooks = hooks;
  }

  /** The server told the page's hash at the seq where this copy stands. */
  compare(seq: Seq, theirs: Uint8Array): void {
    const ours = this.#hooks.ours();
    if (!ours || this.#repair) return;
    if (sameBytes(ours, theirs)) {
      this.#repaired = false;
      return;
    }
    const now = this.#clock.monotonic();
    if (now < this.#quietUntil) return;
    if (now - this.#alarmAt > FORGET_MS) this.#alarms = 0;
    this.#alarmAt = now;
    this.#quietUntil = now + Math.min(QUIET_MS.max, QUIET_MS.first * 2 ** Math.min(this.#alarms++, 30));
    this.#hooks.report(seq, ours);
    const repairing = !this.#repaired;
    if (repairing) {
      this.#repair = this.#clock.after(backoffMs(this.#random, 0, SPREAD_MS, SPREAD_MS), () => {
        this.#repair = null;
        this.#repaired = true;
        this.#hooks.repair();
      });
    }
    this.#hooks.diverged({ seq, ours: hashHex(ours), theirs: hashHex(theirs), repairing });
  }

  close(): void {
    this.#repair?.cancel();
  }
}
