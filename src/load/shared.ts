/**
 * What the threads of a run share: when each edit and each presence frame was due, by who made it and its number, so that whoever is
 * told of it, on whichever thread, knows how long it took. A ring for each client; a number that fell out of it gives NaN.
 */
import type { Millis } from '../base/time.ts';

const RINGS_MAX = 1 << 22;
const RING_MAX = 4096;
const RING_MIN = 64;
/** Presence is replaced by what comes after it: the last few are enough. */
const PRESENCE_RING = 32;

export interface SharedMoments {
  readonly edits: SharedArrayBuffer;
  readonly presence: SharedArrayBuffer;
  readonly editRing: number;
}

export function makeMoments(writers: number, clients: number): SharedMoments {
  let editRing = RING_MAX;
  while (editRing > RING_MIN && editRing * writers > RINGS_MAX) editRing /= 2;
  return {
    edits: new SharedArrayBuffer(8 * Math.max(1, writers) * editRing),
    presence: new SharedArrayBuffer(8 * Math.max(1, clients) * PRESENCE_RING),
    editRing,
  };
}

/** The moments of one kind. */
export class Moments {
  readonly #due: Float64Array;
  readonly ring: number;

  private constructor(due: Float64Array, ring: number) {
    this.#due = due;
    this.ring = ring;
  }

  static edits({ edits, editRing }: SharedMoments): Moments {
    return new Moments(new Float64Array(edits), editRing);
  }

  static presence({ presence }: SharedMoments): Moments {
    return new Moments(new Float64Array(presence), PRESENCE_RING);
  }

  set(client: number, number: number, dueAt: Millis): void {
    this.#due[client * this.ring + (number % this.ring)] = dueAt;
  }

  get(client: number, number: number): Millis {
    return this.#due[client * this.ring + (number % this.ring)]!;
  }
}
