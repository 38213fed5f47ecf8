/**
 * What a load balancer does in front of nodes: asks each whether it is ready, twice a second, and leads new connections to
 * those that are, in turn; to the others only when none is. (A node that is down refuses, and the next one is tried.)
 */
import { type Millis, systemClock } from '../base/time.ts';

export interface Backend {
  /** Where it listens; may change. 0: nowhere yet. */
  readonly port: number;
}

const PROBE_EVERY_MS: Millis = 500;

export class Balancer {
  readonly #backends: readonly Backend[];
  readonly #ready = new Set<Backend>();
  #turn = 0;

  constructor(backends: readonly Backend[]) {
    this.#backends = backends;
  }

  start(): void {
    void this.probe().then(() => systemClock.after(PROBE_EVERY_MS, () => this.start()));
  }

  /** Asks all of them. */
  async probe(): Promise<void> {
    await Promise.all(this.#backends.map((backend) => this.#probe(backend)));
  }

  async #probe(backend: Backend): Promise<void> {
    if (backend.port === 0) return;
    const signal = AbortSignal.timeout(PROBE_EVERY_MS);
    // Outside world: down, frozen, or without its database; all of these are answers.
    const answer = await fetch(`http://127.0.0.1:${backend.port}/readyz`, { signal }).catch(() => null);
    await answer?.body?.cancel().catch(() => {});
    if (answer?.ok) this.#ready.add(backend);
    else this.#ready.delete(backend);
  }

  /** Where to lead a new connection: in this order. */
  ports(): number[] {
    const first = this.#turn++ % Math.max(1, this.#backends.length);
    const inTurn = [...this.#backends.slice(first), ...this.#backends.slice(0, first)];
    const ready = inTurn.filter((backend) => this.#ready.has(backend));
    return (ready.length > 0 ? ready : inTurn).map(({ port }) => port).filter((port) => port > 0);
  }
}
