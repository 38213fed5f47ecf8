/**
 * Hybrid logical clock (Kulkarni et al., "Logical Physical Clocks", 2014): a stamp is close to wall time, yet an edit
 * made after seeing another always has the higher stamp, whatever the wall clocks say. Pure: the caller passes `now`.
 *
 * Stamps are compared by ms, counter, replica. A full counter carries into the ms, it never throws. One clock per page
 * and client; who restarts with the same replica must keep it.
 */
import type { Millis } from '../base/time.ts';
import type { ReplicaId } from '../protocol/ids.ts';
import { WIRE } from '../protocol/limits.ts';
import type { WireStamp } from '../protocol/messages.ts';

/** Shared by all registers that one change wrote; never mutated. */
export interface Stamp {
  readonly ms: Millis;
  readonly counter: number;
  readonly replica: ReplicaId;
}

/** Below every real stamp: what a register holds before anyone wrote it. */
export const ZERO_STAMP: Stamp = {
  ms: 0,
  counter: 0,
  replica: '00000000-0000-0000-0000-000000000000' as ReplicaId,
};

/** Negative, zero or positive, as `a` is before, at or after `b`. */
export function compareStamps(a: Stamp, b: Stamp): number {
  if (a.ms !== b.ms) return a.ms - b.ms;
  if (a.counter !== b.counter) return a.counter - b.counter;
  return a.replica < b.replica ? -1 : a.replica > b.replica ? 1 : 0;
}

/** Whether a write stamped `incoming` replaces what `current` wrote. At an equal stamp the later op wins. */
export function wins(incoming: Stamp, current: Stamp): boolean {
  return incoming === current || compareStamps(incoming, current) >= 0;
}

export class HybridClock {
  #ms: Millis = 0;
  #counter = 0;

  /** The highest stamp made or seen. */
  get latest(): WireStamp {
    return { ms: this.#ms, counter: this.#counter };
  }

  /** A stamp above everything made or seen before. Whole ms, though a corrected clock may have fractions. */
  tick(now: Millis): WireStamp {
    const ms = Math.floor(now);
    if (ms > this.#ms) {
      this.#ms = ms;
      this.#counter = 0;
    } else if (++this.#counter > WIRE.hlcCounterMax) {
      this.#ms++;
      this.#counter = 0;
    }
    return this.latest;
  }

  /** Takes in a stamp that was seen, so that the next tick is above it. */
  observe(seen: WireStamp): void {
    if (seen.ms > this.#ms || (seen.ms === this.#ms && seen.counter > this.#counter)) {
      this.#ms = seen.ms;
      this.#counter = seen.counter;
    }
  }

  /** Starts again from `seen`: after a refusal for clock skew, when the own clock was the wrong one. */
  resetTo(seen: WireStamp): void {
    this.#ms = seen.ms;
    this.#counter = seen.counter;
  }
}
