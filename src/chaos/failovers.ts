/**
 * How long the clients of a node that was killed go without an acknowledgement: from the kill to the first one on another
 * connection. Only kills while nothing else was wrong count, and only if nothing else went wrong within 2 s: the rest would measure
 * other faults.
 */
import { type Millis, systemClock } from '../base/time.ts';

const LATE_MS: Millis = 2000;

interface Waiting {
  readonly since: Millis;
  /** Its connection was lost, so that what comes is from another node. */
  moved: boolean;
}

export class Failovers {
  /** In ms. */
  readonly samples: Millis[] = [];
  readonly #waiting = new Map<number, Waiting>();

  killed(clients: readonly number[]): void {
    const since = systemClock.monotonic();
    for (const client of clients) this.#waiting.set(client, { since, moved: false });
  }

  offline(client: number): void {
    const waiting = this.#waiting.get(client);
    if (waiting) waiting.moved = true;
  }

  /** Returns how long it took, if this is what the client waited for, and that was late. */
  acknowledged(client: number): Millis | null {
    const waiting = this.#waiting.get(client);
    if (!waiting?.moved) return null;
    this.#waiting.delete(client);
    const ms = Math.round(systemClock.monotonic() - waiting.since);
    this.samples.push(ms);
    return ms > LATE_MS ? ms : null;
  }

  /** Something else went wrong. Who had waited for long by then goes on: it was late before. */
  disturbed(): void {
    const now = systemClock.monotonic();
    for (const [client, { since }] of this.#waiting) if (now - since < LATE_MS) this.#waiting.delete(client);
  }

  quantile(share: number): Millis | null {
    const sorted = [...this.samples].sort((a, b) => a - b);
    const found = sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))];
    return found ?? null;
  }
}
