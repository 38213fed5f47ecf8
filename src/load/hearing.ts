/**
 * What one client has heard of the writers of its page: each change once, in order, without a hole. Changes told before their
 * commit count as seen when they are told, and as durable when they are named with a seq.
 */

/** A writer of whom nothing is known after a snapshot: the next number is taken as it is. */
const UNKNOWN = 0xffff_ffff;

export interface HeardEvents {
  /** Seen for the first time. */
  seen(writer: number, n: number): void;
  /** The log is told to hold it twice, or to lack one before it. */
  wrong(what: 'doubled' | 'skipped', writer: number, n: number): void;
}

export class Hearing {
  readonly #seen: Uint32Array;
  readonly #durable: Uint32Array;
  readonly #events: HeardEvents;

  constructor(writers: number, events: HeardEvents) {
    this.#seen = new Uint32Array(writers);
    this.#durable = new Uint32Array(writers);
    this.#events = events;
  }

  /** After a snapshot: what it holds of whom is not known. */
  forget(): void {
    this.#durable.fill(UNKNOWN);
    this.#seen.fill(UNKNOWN);
  }

  volatile(writer: number, n: number): void {
    const before = this.#seen[writer]!;
    if (before !== UNKNOWN && n <= before) return;
    this.#seen[writer] = n;
    this.#events.seen(writer, n);
  }

  logged(writer: number, n: number): void {
    const before = this.#durable[writer]!;
    if (before !== UNKNOWN && n !== before + 1) {
      this.#events.wrong(n <= before ? 'doubled' : 'skipped', writer, n);
      if (n <= before) return;
    }
    this.#durable[writer] = n;
    this.volatile(writer, n);
  }
}
