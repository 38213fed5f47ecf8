/**
 * How a node that is told to stop parts from its clients. Each is told when to move to another node (GOAWAY), at moments
 * spread over a while, so that the others are not met by all at once. Until then, and until it has gone, it is served as
 * ever; who has not gone when its time is over is closed with "come back", which clients that know nothing of GOAWAY
 * understand too. That may be long after its moment: until a load balancer has noticed there is perhaps nowhere to go.
 *
 *     told ── its moment: 0 … spread ── the time that is left besides ──▶ closed with 4000, if it is still there
 */
import type { Log } from '../base/log.ts';
import { type Random, randomFloat } from '../base/random.ts';
import type { Clock, Millis, Timer } from '../base/time.ts';
import type { Connection } from './connection.ts';
import type { Replies } from './replies.ts';

export interface FarewellOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly replies: Replies;
  /** Those that are open. */
  readonly connections: ReadonlyMap<number, Connection>;
}

/** From its moment on each has so long at least: for a handshake with the other node, and a token before it. */
const PATIENCE_MS: Millis = 1500;
/** A few sockets need no long spread: one in so many ms is no burst for anybody. */
const SOCKET_MS: Millis = 5;

export class Farewell {
  readonly #options: FarewellOptions;
  readonly #staying = new Map<Connection, Timer>();
  #begun = false;
  #hurried = false;
  #closed = 0;
  #over = () => {};

  constructor(options: FarewellOptions) {
    this.#options = options;
  }

  /** Whether the node is on its way out: no new sockets. */
  get begun(): boolean {
    return this.#begun;
  }

  /** Tells every client to move; resolves when all have gone, within `withinMs`, or when there is to be a hurry. */
  async begin(withinMs: Millis): Promise<void> {
    const { log, connections, replies } = this.#options;
    this.#begun = true;
    if (withinMs === 0 || this.#hurried) return;
    const served = [...connections.values()].filter(isServed);
    // The others have said nothing yet that they would have to say again.
    for (const connection of connections.values())
      if (!isServed(connection)) replies.close(connection, 'going_away');
    if (served.length === 0) return;
    const over = new Promise<void>((resolve) => (this.#over = resolve));
    const spreadMs = Math.min(withinMs - Math.min(PATIENCE_MS, withinMs / 2), served.length * SOCKET_MS);
    log.info({ sockets: served.length, spreadMs }, 'clients are told to move to another server');
    for (const connection of served) this.#tell(connection, spreadMs, withinMs - spreadMs);
    if (this.#staying.size === 0) this.#over();
    await over;
    const left = this.#staying.size;
    log.info(
      { moved: served.length - this.#closed - left, closed: this.#closed, left },
      'parted from the clients',
    );
  }

  #tell(connection: Connection, spreadMs: Millis, patienceMs: Millis): void {
    if (!isServed(connection)) return;
    const { clock, random, replies } = this.#options;
    const afterMs = Math.floor(randomFloat(random) * spreadMs);
    const close = () => {
      this.#closed++;
      replies.close(connection, 'going_away');
    };
    this.#staying.set(connection, clock.after(afterMs + patienceMs, close));
    replies.send(connection, { kind: 'goaway', afterMs });
  }

  /** A socket is closed, by whomever. */
  left(connection: Connection): void {
    const timer = this.#staying.get(connection);
    if (!timer) return;
    timer.cancel();
    this.#staying.delete(connection);
    if (this.#staying.size === 0) this.#over();
  }

  /** Waits for nobody any longer. Who is still there is closed when all that was taken is committed and told. */
  hurry(): void {
    this.#hurried = true;
    for (const timer of this.#staying.values()) timer.cancel();
    this.#over();
  }
}

const isServed = ({ state }: Connection): boolean => state.tag === 'ready' && state.replica !== null;
