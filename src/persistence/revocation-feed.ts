/**
 * How a node hears of revoked grants: one small connection that listens and, notified or not, reads the rows newer than
 * those it knows.
 *
 *     start ──▶ connect, LISTEN, read all ──▶ notified, or POLL_MS over ──▶ read what is newer ──▶ …
 *                      ▲                                                          │ fails, or takes READ_TIMEOUT_MS
 *                      └────────── 100 ms … 1 s, with jitter ◀────────────────────┘
 *
 * Why nothing is missed: versions become visible in their order (migration 0002), so "newer than" is a cursor. LISTEN
 * stands before the first read, so what is committed after that read is notified. A notification that is lost all the same
 * (a pooler in between, a frozen connection) is repaired by the poll, which is also what finds a dead connection. A new
 * connection reads everything, so that a database restored to an earlier version is followed too.
 * While the database is away what is known stays in force. Called by `main`.
 */
import pg from 'pg';
import type { Log } from '../base/log.ts';
import { backoffMs, type Random } from '../base/random.ts';
import { type Clock, type Millis, type Timer, withTimeout } from '../base/time.ts';
import { type GrantRow, type RevokedGrant, toRevokedGrant } from './grants.ts';
import { connectDatabase } from './prepare-database.ts';
import { GRANTS_CHANNEL, READ_REVOCATIONS } from './sql/grants.ts';
import { toStoreError } from './store-error.ts';

export interface RevocationFeedOptions {
  readonly url: string;
  readonly log: Log;
  readonly clock: Clock;
  readonly random: Random;
  /** Rows that are new or changed; after a new connection also those that were told before. Never empty. */
  changed(grants: readonly RevokedGrant[]): void;
}

const POLL_MS: Millis = 500;
const READ_TIMEOUT_MS: Millis = 1_000;
/** The first read of a connection brings all rows there ever were. */
const READ_ALL_TIMEOUT_MS: Millis = 30_000;
const CONNECT_TIMEOUT_MS: Millis = 2_000;
const RECONNECT_MS = { first: 100, max: 1_000 };
const NOTHING_KNOWN = -1;

export class RevocationFeed {
  readonly #options: RevocationFeedOptions;
  #client: pg.Client | undefined;
  #known = NOTHING_KNOWN;
  #reading = false;
  #readAgain = false;
  #attempt = 0;
  #timer: Timer | undefined;
  #stopped = false;

  constructor(options: RevocationFeedOptions) {
    this.#options = options;
  }

  /** Resolves when all revocations have been told to `changed`. Rejects with a StoreError. */
  start(): Promise<void> {
    return this.#open();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#timer?.cancel();
    const client = this.#client;
    this.#client = undefined;
    if (client) await end(client);
  }

  async #open(): Promise<void> {
    const client = await connectDatabase(this.#options.url, 'revocations', CONNECT_TIMEOUT_MS);
    client.on('end', () => this.#lost(client, new Error('the connection has ended')));
    client.on('notification', () => this.#read());
    try {
      await bounded(client.query(`listen ${GRANTS_CHANNEL}`));
      this.#known = NOTHING_KNOWN;
      await this.#readNewer(client, READ_ALL_TIMEOUT_MS);
    } catch (error) {
      await end(client);
      throw toStoreError(error, 'reading the revoked grants');
    }
    if (this.#stopped) return end(client);
    this.#client = client;
    this.#pollLater();
  }

  async #readNewer(client: pg.Client, timeoutMs: Millis = READ_TIMEOUT_MS): Promise<void> {
    const { rows } = await bounded(client.query<GrantRow & { version: string }>(READ_REVOCATIONS, [this.#known]), timeoutMs);
    if (rows.length === 0 || this.#stopped) return;
    this.#known = Number(rows.at(-1)!.version);
    this.#options.changed(rows.map(toRevokedGrant));
  } // prettier-ignore

  /** One read at a time; a notification that comes meanwhile makes another. */
  #read(): void {
    const client = this.#client;
    this.#readAgain = this.#reading;
    if (!client || this.#reading) return;
    this.#reading = true;
    this.#timer?.cancel();
    this.#readNewer(client).then(
      () => {
        this.#reading = false;
        if (this.#client !== client) return;
        if (this.#readAgain) this.#read();
        else this.#pollLater();
      },
      (error: unknown) => {
        this.#reading = false;
        this.#lost(client, error);
      },
    );
  }

  #pollLater(): void {
    this.#timer?.cancel();
    this.#timer = this.#options.clock.after(POLL_MS, () => this.#read());
  }

  #lost(client: pg.Client, error: unknown): void {
    if (this.#client !== client) return;
    this.#client = undefined;
    this.#timer?.cancel();
    void end(client);
    const reason = toStoreError(error, 'reading the revoked grants').message;
    this.#options.log.warn({ reason }, 'no word of revoked grants just now; those known stay in force');
    this.#reconnectLater();
  }

  #reconnectLater(): void {
    const { clock, random, log } = this.#options;
    const delayMs = backoffMs(random, this.#attempt++, RECONNECT_MS.first, RECONNECT_MS.max);
    this.#timer = clock.after(delayMs, () => {
      this.#open().then(
        () => {
          this.#attempt = 0;
          log.info({}, 'revoked grants are read again');
        },
        () => {
          // The outside world: told once, when the connection was lost.
          if (!this.#stopped) this.#reconnectLater();
        },
      );
    });
  }
}

function bounded<T>(query: Promise<T>, timeoutMs: Millis = READ_TIMEOUT_MS): Promise<T> {
  return withTimeout(query, timeoutMs, () => new Error(`timeout: no answer within ${timeoutMs} ms`));
} // prettier-ignore

/** Takes leave of the server if it listens; with a frozen one the connection is cut. */
async function end(client: pg.Client): Promise<void> {
  const cut = () => new Error('cut');
  await withTimeout(client.end(), READ_TIMEOUT_MS, cut).catch(() => {
    // Ended or not: nothing of it may stay behind.
    const { connection } = client as unknown as { connection: { stream: { destroy(): void } } };
    connection.stream.destroy();
  });
}
