/**
 * One connection to the server, kept up: connects, says HELLO, measures the server's clock, answers silence with PING,
 * and comes back after a loss with jittered back-off. What the pages say goes out in one go at the end of the turn.
 *
 *     connecting ──open──▶ open ──WELCOME──▶ (welcomed) ──close──▶ waiting ──back-off──▶ connecting
 *          └──────────────── timeout, error ──────────────────────▶ ┘
 *     any ── a close code that forbids coming back, or `close()` ──▶ closed
 *
 * SUBSCRIBEs do not wait for WELCOME: HELLO and they leave together, so a join costs one round trip.
 */
import { backoffMs, type Random } from '../base/random.ts';
import type { Clock, Millis, Timer } from '../base/time.ts';
import { CLOSE, mayComeBack } from '../protocol/codes.ts';
import { decodeServerMessage, isMalformed } from '../protocol/decode.ts';
import { encodeClientMessage } from '../protocol/encode.ts';
import type { ReplicaId } from '../protocol/ids.ts';
import { defaultLimits, type Limits } from '../protocol/limits.ts';
import { type ClientMessage, PROTOCOL_VERSION, type ServerMessage } from '../protocol/messages.ts';
import { type ClientCode, OctavoError } from './errors.ts';
import type { OpenSocket, Socket } from './socket.ts';
import { type TokenProvider, TokenSource } from './token.ts';

export type Status = 'connecting' | 'online' | 'offline' | 'closed';

export interface LinkHandlers {
  /** A new socket is open and HELLO is on its way: subscribe now. */
  opened(): void;
  lost(): void;
  message(message: ServerMessage): void;
  /** There is room to send again. */
  drained(): void;
  /** Every few seconds: look whether a wait has taken too long. */
  beat(): void;
  status(status: Status): void;
  error(error: OctavoError): void;
  /** The server does not want us back. */
  refused(error: OctavoError): void;
}

export interface LinkOptions {
  readonly url: string;
  readonly token: TokenProvider;
  readonly name: string;
  readonly replica: ReplicaId;
  readonly clock: Clock;
  readonly random: Random;
  readonly openSocket: OpenSocket;
}

type State =
  | { kind: 'connecting'; socket: Socket | null; timer: Timer }
  | { kind: 'open'; socket: Socket; timer: Timer; welcomedAt: Millis | null }
  | { kind: 'waiting'; timer: Timer }
  | { kind: 'closed' };

const CONNECT_TIMEOUT_MS = 10_000;
const BACKOFF_MS = { first: 250, max: 15_000 };
/** Back-off starts anew after a connection that lasted this long. */
const STABLE_MS = 5_000;
const BEAT_MS = 5_000;
const PING_AFTER_MS = 15_000;
const SILENCE_MAX_MS = 30_000;
/** Above this, pages hold back what they have. */
const CONGESTED_BYTES = 1 << 20;
const DRAIN_POLL_MS = 20;
/** Many refusals for one expired token ask for one fresh token. */
const RENEW_EVERY_MS = 2_000;

const REFUSALS: { readonly [closeCode: number]: ClientCode } = {
  [CLOSE.unauthorized.code]: 'unauthorized',
  [CLOSE.malformed.code]: 'malformed',
  [CLOSE.unsupported.code]: 'unsupported',
  1009: 'too_large',
};

export class Link {
  readonly #options: LinkOptions;
  readonly #handlers: LinkHandlers;
  readonly #token: TokenSource;
  #state: State = { kind: 'closed' };
  #attempt = 0;
  #limits: Limits = defaultLimits;
  /** The server's time at a reading of the monotonic clock: immune to jumps of the wall clock. */
  #serverTime: { time: Millis; at: Millis } | null = null;
  #queue: Uint8Array[] = [];
  #queueBytes = 0;
  #flushing = false;
  #heardAt: Millis = 0;
  #nextCh = 1;
  #beat: Timer | null = null;
  #renewedAt: Millis = -Infinity;

  constructor(options: LinkOptions, handlers: LinkHandlers) {
    this.#options = options;
    this.#handlers = handlers;
    this.#token = new TokenSource(options.token, options.clock, () => this.now(), () => this.renewToken()); // prettier-ignore
  }

  get limits(): Limits {
    return this.#limits;
  }

  get isOpen(): boolean {
    return this.#state.kind === 'open';
  }

  get congested(): boolean {
    const buffered = this.#state.kind === 'open' ? this.#state.socket.bufferedAmount : 0;
    return this.#queueBytes + buffered > CONGESTED_BYTES;
  }

  /** The server's time, as well as it is known. */
  now(): Millis {
    const { clock } = this.#options;
    const known = this.#serverTime;
    return known ? Math.round(known.time + clock.monotonic() - known.at) : clock.now();
  }

  /** A ch that was not used on this socket. */
  freshCh(): number {
    return this.#nextCh++;
  }

  start(): void {
    if (this.#state.kind !== 'closed') return;
    this.#attempt = 0;
    this.#connect();
    this.#beat = this.#options.clock.after(BEAT_MS, () => this.#onBeat());
  }

  #connect(): void {
    const { clock, openSocket, url } = this.#options;
    const timer = clock.after(CONNECT_TIMEOUT_MS, () => {
      this.#drop(state, 1006, 'the server did not answer within 10 s');
    });
    const state: State & { kind: 'connecting' } = { kind: 'connecting', socket: null, timer };
    this.#state = state;
    this.#handlers.status('connecting');
    // Events of a socket that is no longer ours are not heard.
    const own = () => this.#state === state || (this.#state.kind === 'open' && this.#state.timer === timer);
    const events = {
      open: () => own() && this.#opened(state),
      message: (bytes: Uint8Array) => own() && this.#received(bytes),
      close: (code: number, reason: string) => own() && this.#drop(this.#state, code, reason),
    };
    const open = async () => {
      const socket = await openSocket(url, await this.#token.get(), events);
      if (!own()) return socket.close(1000);
      state.socket = socket;
    };
    open().catch((error: unknown) => {
      // The outside world: no network, or the provider failed. Told, and tried again.
      if (!own()) return;
      const told = error instanceof OctavoError ? error : new OctavoError('unavailable', String(error));
      this.#handlers.error(told);
      this.#drop(state, 1006, told.message);
    });
  }

  #opened(state: State & { kind: 'connecting' }): void {
    // A socket may open before the promise that brings it has settled.
    if (!state.socket) return queueMicrotask(() => this.#state === state && this.#opened(state));
    this.#state = { kind: 'open', socket: state.socket, timer: state.timer, welcomedAt: null };
    this.#heardAt = this.#options.clock.monotonic();
    this.#nextCh = 1;
    const { replica, name } = this.#options;
    this.send({ kind: 'hello', version: PROTOCOL_VERSION, replica, clientName: name });
    this.#handlers.opened();
  }

  #received(bytes: Uint8Array): void {
    this.#heardAt = this.#options.clock.monotonic();
    const message = decodeServerMessage(bytes);
    // A kind of a newer server.
    if (isMalformed(message)) return;
    if (message.kind === 'welcome') this.#welcomed(message);
    else if (message.kind === 'pong') this.#serverTime = { time: message.time, at: this.#heardAt };
    else if (message.kind === 'error' && message.ch === null) {
      if (message.code === 'expired' && this.#token.renewable) this.renewToken();
      else this.#handlers.error(new OctavoError(message.code, message.message));
    } else this.#handlers.message(message);
  }

  #welcomed(message: ServerMessage & { kind: 'welcome' }): void {
    const state = this.#state;
    if (state.kind !== 'open') return;
    state.timer.cancel();
    state.welcomedAt = this.#heardAt;
    this.#limits = { ...defaultLimits, ...message.limits };
    this.#serverTime = { time: message.time, at: this.#heardAt };
    this.#handlers.status('online');
  }

  /** Ends a connection, and plans the next unless the code forbids it. */
  #drop(state: State, code: number, reason: string): void {
    if (state !== this.#state && !(this.#state.kind === 'open' && state.kind === 'connecting')) return;
    const { clock, random } = this.#options;
    const now = this.#state;
    if (now.kind === 'closed' || now.kind === 'waiting') return;
    now.timer.cancel();
    now.socket?.close();
    this.#queue = [];
    this.#queueBytes = 0;
    const wasOpen = now.kind === 'open';
    const lasted =
      now.kind === 'open' && now.welcomedAt !== null && clock.monotonic() - now.welcomedAt > STABLE_MS;
    if (lasted) this.#attempt = 0;
    if (mayComeBack(code)) {
      const delay = backoffMs(random, this.#attempt++, BACKOFF_MS.first, BACKOFF_MS.max);
      this.#state = { kind: 'waiting', timer: clock.after(delay, () => this.#connect()) };
      if (wasOpen) this.#handlers.lost();
      this.#handlers.status('offline');
      return;
    }
    this.#end();
    if (wasOpen) this.#handlers.lost();
    this.#handlers.status('closed');
    this.#handlers.refused(
      new OctavoError(REFUSALS[code] ?? 'refused', reason || `closed with code ${code}`),
    );
  }

  #end(): void {
    this.#state = { kind: 'closed' };
    this.#beat?.cancel();
    this.#token.stop();
  }

  #onBeat(): void {
    this.#beat = this.#options.clock.after(BEAT_MS, () => this.#onBeat());
    const state = this.#state;
    if (state.kind !== 'open' || state.welcomedAt === null) return;
    const silentMs = this.#options.clock.monotonic() - this.#heardAt;
    if (silentMs >= SILENCE_MAX_MS) return this.#drop(state, 1006, 'the server fell silent');
    if (silentMs >= PING_AFTER_MS) this.ping();
    this.#handlers.beat();
  }

  /** Asks for the server's time. */
  ping(): void {
    this.send({ kind: 'ping', t: Math.floor(this.#options.clock.monotonic()) });
  }

  /** Sends at the end of this turn. Without a connection it is dropped: pages say everything again on a new one. */
  send(message: ClientMessage): void {
    if (this.#state.kind !== 'open') return;
    const bytes = encodeClientMessage(message);
    this.#queue.push(bytes);
    this.#queueBytes += bytes.length;
    if (this.#flushing) return;
    this.#flushing = true;
    queueMicrotask(() => this.#flush());
  }

  #flush(): void {
    const state = this.#state;
    if (state.kind !== 'open') {
      this.#flushing = false;
      return;
    }
    let sent = 0;
    while (sent < this.#queue.length && state.socket.bufferedAmount <= 4 * CONGESTED_BYTES) {
      const bytes = this.#queue[sent++]!;
      this.#queueBytes -= bytes.length;
      state.socket.send(bytes);
    }
    if (sent === this.#queue.length) this.#queue = [];
    else this.#queue.splice(0, sent);
    this.#flushing = this.#queue.length > 0 || this.congested;
    if (this.#flushing) {
      this.#options.clock.after(DRAIN_POLL_MS, () => {
        this.#flush();
        if (!this.congested) this.#handlers.drained();
      });
    }
  }

  /** Takes another token into use: in band when connected, else with the next connection. */
  setToken(token: TokenProvider): void {
    this.#token.set(token);
    this.#renewedAt = -Infinity;
    if (this.#state.kind === 'open') this.renewToken();
    else this.start();
  }

  /** Fetches a fresh token and sends it in band. */
  renewToken(): void {
    const now = this.#options.clock.monotonic();
    if (now - this.#renewedAt < RENEW_EVERY_MS) return;
    this.#renewedAt = now;
    this.#token.get().then(
      (token) => this.send({ kind: 'auth', token }),
      (error: unknown) =>
        this.#handlers.error(error instanceof OctavoError ? error : new OctavoError('token')),
    );
  }

  close(): void {
    const state = this.#state;
    if (state.kind === 'closed') return;
    this.#flush();
    this.#end();
    state.timer.cancel();
    if (state.kind !== 'waiting') state.socket?.close(1000);
    if (state.kind === 'open') this.#handlers.lost();
    this.#handlers.status('closed');
  }
}
