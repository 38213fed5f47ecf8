/**
 * One socket of a link, from the first try to its end: a token, the handshake, open; given up if the server has not said
 * WELCOME within a time. A link has one, and a second one while it moves to another node. What a dial says after `close`
 * nobody hears.
 */
import type { Clock, Millis, Timer } from '../base/time.ts';
import { OctavoError } from './errors.ts';
import type { OpenSocket, Socket } from './socket.ts';

export interface DialOptions {
  readonly url: string;
  readonly token: () => Promise<string>;
  readonly clock: Clock;
  readonly openSocket: OpenSocket;
}

export interface DialEvents {
  opened(dial: Dial): void;
  message(dial: Dial, bytes: Uint8Array): void;
  /** The token's provider failed, or there is no network; `closed` follows. */
  failed(error: OctavoError): void;
  closed(dial: Dial, code: number, reason: string): void;
}

const TIMEOUT_MS = 10_000;

export class Dial {
  readonly #options: DialOptions;
  readonly #events: DialEvents;
  readonly #timer: Timer;
  #socket: Socket | null = null;
  #open = false;
  #over = false;
  #welcomedAt: Millis | null = null;

  constructor(options: DialOptions, events: DialEvents) {
    this.#options = options;
    this.#events = events;
    this.#timer = options.clock.after(TIMEOUT_MS, () =>
      this.#end(1006, 'the server did not answer within 10 s'),
    );
    this.#connect().catch((error: unknown) => {
      // The outside world: no network, or the provider failed. Told, and tried again.
      if (this.#over) return;
      const told = error instanceof OctavoError ? error : new OctavoError('unavailable', String(error));
      events.failed(told);
      this.#end(1006, told.message);
    });
  }

  /** Frames can be sent. */
  get isOpen(): boolean {
    return this.#open;
  }

  /** When the server said WELCOME; null: not yet. */
  get welcomedAt(): Millis | null {
    return this.#welcomedAt;
  }

  get bufferedAmount(): number {
    return this.#socket?.bufferedAmount ?? 0;
  }

  async #connect(): Promise<void> {
    const { url, token, openSocket } = this.#options;
    const socket = await openSocket(url, await token(), {
      open: () => this.#opened(),
      message: (bytes) => void (this.#over || this.#events.message(this, bytes)),
      close: (code, reason) => this.#end(code, reason),
    });
    if (this.#over) return socket.close(1000);
    this.#socket = socket;
  }

  #opened(): void {
    if (this.#over) return;
    // A socket may open before the promise that brings it has settled.
    if (!this.#socket) return queueMicrotask(() => this.#opened());
    this.#open = true;
    this.#events.opened(this);
  }

  #end(code: number, reason: string): void {
    if (this.#over) return;
    this.close();
    this.#events.closed(this, code, reason);
  }

  welcomed(): void {
    this.#timer.cancel();
    this.#welcomedAt = this.#options.clock.monotonic();
  }

  send(bytes: Uint8Array): void {
    this.#socket?.send(bytes);
  }

  close(code?: number): void {
    if (this.#over) return;
    this.#over = true;
    this.#open = false;
    this.#timer.cancel();
    this.#socket?.close(code);
  }
}
