/**
 * The connection of one client: made, lost, made again with back-off and jitter. What belongs to an earlier connection is not heard of
 * any more once a later one was begun.
 */
import { backoffMs, type Random } from '../base/random.ts';
import { type Millis, systemClock } from '../base/time.ts';
import { LoadError } from './load-error.ts';
import { LoadSocket } from './socket.ts';

const BACKOFF = { firstMs: 200, maxMs: 5000 };

export interface DialerEvents {
  opened(socket: LoadSocket): void;
  message(bytes: Uint8Array, from: number, to: number): void;
  /** An open connection ended by itself. */
  lost(code: number, reason: string): void;
  /** None could be made. */
  failed(error: LoadError): void;
}

export class Dialer {
  readonly #url: URL;
  readonly #token: string;
  readonly #random: Random;
  readonly #events: DialerEvents;
  #socket: LoadSocket | null = null;
  #failures = 0;
  /** Counts what was begun. */
  attempt = 0;

  constructor(url: URL, token: string, random: Random, events: DialerEvents) {
    this.#url = url;
    this.#token = token;
    this.#random = random;
    this.#events = events;
  }

  /** Lets go of what there is, and makes a new connection. */
  async dial(): Promise<void> {
    this.hangUp();
    const { attempt } = this;
    try {
      const socket = await LoadSocket.open(this.#url, this.#token, {
        message: (bytes, from, to) => attempt === this.attempt && this.#events.message(bytes, from, to),
        closed: (code, reason) => {
          if (attempt !== this.attempt) return;
          this.#socket = null;
          this.#events.lost(code, reason);
        },
      });
      if (attempt !== this.attempt) return socket.close();
      this.#socket = socket;
      this.#events.opened(socket);
    } catch (error) {
      // The outside world; a bug goes on.
      if (!(error instanceof LoadError)) throw error;
      if (attempt === this.attempt) this.#events.failed(error);
    }
  }

  /** The same after so long; null: after a back-off that grows until `succeeded`. */
  dialAfter(afterMs: Millis | null): void {
    this.hangUp();
    const { attempt } = this;
    const wait = afterMs ?? backoffMs(this.#random, this.#failures++, BACKOFF.firstMs, BACKOFF.maxMs);
    systemClock.after(wait, () => attempt === this.attempt && void this.dial());
  }

  get hasFailed(): boolean {
    return this.#failures > 0;
  }

  succeeded(): void {
    this.#failures = 0;
  }

  /** Ends the connection without a word. */
  hangUp(): void {
    this.attempt++;
    this.#socket?.close();
    this.#socket = null;
  }

  write(frames: Uint8Array): void {
    this.#socket?.write(frames);
  }
}
