/**
 * What a thread counts, and the latencies that it has measured since it last reported. Plain data, since it travels to the main
 * thread several times a second; the histograms are kept there.
 */

export const LATENCIES = ['accepted', 'seen', 'join', 'presence'] as const;
export type LatencyName = (typeof LATENCIES)[number];

export interface Counts {
  /** Edits that were due in the measured time, and those of them that became durable, and were seen, at any time. */
  made: number;
  accepted: number;
  seen: number;
  /** Edits that became durable in the measured time, and were seen in it, whenever they were due. */
  durable: number;
  delivered: number;
  joins: number;
  presenceSent: number;
  presenceSeen: number;
  /** Edits that were seen before they were durable. */
  volatile: number;
  withdrawn: number;
  /** Edits that were due and not made: too many of their writer had no answer. */
  unsent: number;
  reconnects: number;
  /** Readers that the server left behind for a while, since they did not read. */
  leftBehind: number;
  gaps: number;
  /** Frames received. */
  frames: number;
  /** What live readers noticed. */
  doubled: number;
  skipped: number;
}

export const noCounts = (): Counts => ({
  made: 0, accepted: 0, seen: 0, durable: 0, delivered: 0, joins: 0, presenceSent: 0, presenceSeen: 0, volatile: 0, withdrawn: 0, unsent: 0, reconnects: 0, leftBehind: 0, gaps: 0,
  frames: 0, doubled: 0, skipped: 0,
}); // prettier-ignore

/** Values that come and go as one buffer: microseconds, in the order of their coming. */
class Buffered {
  #values = new Uint32Array(1024);
  #count = 0;

  add(micros: number): void {
    if (this.#count === this.#values.length) {
      const larger = new Uint32Array(2 * this.#count);
      larger.set(this.#values);
      this.#values = larger;
    }
    this.#values[this.#count++] = micros;
  }

  take(): Uint32Array {
    const taken = this.#values.slice(0, this.#count);
    this.#count = 0;
    return taken;
  }
}

export type Samples = Readonly<Record<LatencyName | 'late', Uint32Array>>;

const MICROS_MAX = 0xffff_ffff;

export class Tallies {
  counts = noCounts();
  /** By code: what the server refused, and how sockets ended. */
  readonly refused: Record<string, number> = {};
  readonly closed: Record<string, number> = {};
  readonly #buffered = {
    accepted: new Buffered(),
    seen: new Buffered(),
    join: new Buffered(),
    presence: new Buffered(),
    late: new Buffered(),
  };

  /** `late`: how late an edit was made, the generator's own part of all the others. */
  measured(name: LatencyName | 'late', ms: number): void {
    if (ms >= 0) this.#buffered[name].add(Math.min(MICROS_MAX, Math.round(ms * 1000)));
  }

  refusal(code: string): void {
    this.refused[code] = (this.refused[code] ?? 0) + 1;
  }

  close(code: number | string): void {
    this.closed[code] = (this.closed[code] ?? 0) + 1;
  }

  takeSamples(): Samples {
    const { accepted, seen, join, presence, late } = this.#buffered;
    return { accepted: accepted.take(), seen: seen.take(), join: join.take(), presence: presence.take(), late: late.take() }; // prettier-ignore
  }
}
