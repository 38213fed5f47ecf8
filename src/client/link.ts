/**
 * One connection to the server, kept up: connects, says HELLO, measures the server's clock, answers silence with PING,
 * and comes back after a loss with jittered back-off. What the pages say goes out in one go at the end of the turn.
 *
 *     connecting ──open──▶ open ──WELCOME──▶ (welcomed) ──close──▶ waiting ──back-off──▶ connecting
 *          └──────────────── timeout, error ──────────────────────▶ ┘
 *     any ── a close code that forbids coming back, or `close()` ──▶ closed
 *
 * SUBSCRIBEs do not wait for WELCOME: HELLO and they leave together, so a join costs one round trip.
 * A server that is about to stop says when to move (GOAWAY). Then a second socket is dialled while the first still serves;
 * when the other server has said WELCOME the pages go over to it, so they are without a server for one round trip.
 */
import type { Random } from '../base/random.ts';
import type { Clock, Millis, Timer } from '../base/time.ts';
import { CLOSE, mayComeBack } from '../protocol/codes.ts';
import { decodeServerMessage, isMalformed } from '../protocol/decode.ts';
import { encodeClientMessage } from '../protocol/encode.ts';
import type { ReplicaId } from '../protocol/ids.ts';
import { defaultLimits, type Limits } from '../protocol/limits.ts';
import { type ClientMessage, PROTOCOL_VERSION, type ServerMessage } from '../protocol/messages.ts';
import { BackOff } from './back-off.ts';
import { Dial } from './dial.ts';
import { type ClientCode, OctavoError } from './errors.ts';
import { FrameQueue } from './frame-queue.ts';
import type { OpenSocket } from './socket.ts';
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
  | { kind: 'connecting'; dial: Dial }
  | { kind: 'open'; dial: Dial }
  | { kind: 'waiting'; timer: Timer }
  | { kind: 'closed' };

const BEAT_MS = 5_000;
const PING_AFTER_MS = 15_000;
const SILENCE_MAX_MS = 30_000;
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
  readonly #frames: FrameQueue;
  #state: State = { kind: 'closed' };
  readonly #backOff: BackOff;
  /** Towards another server, while the one of now is about to stop; or when that is tried. */
  #next: Dial | null = null;
  #moveTimer: Timer | null = null;
  #limits: Limits = defaultLimits;
  /** The server's time at a reading of the monotonic clock: immune to jumps of the wall clock. */
  #serverTime: { time: Millis; at: Millis } | null = null;
  #heardAt: Millis = 0;
  #nextCh = 1;
  #beat: Timer | null = null;
  #renewedAt: Millis = -Infinity;

  constructor(options: LinkOptions, handlers: LinkHandlers) {
    this.#options = options;
    this.#handlers = handlers;
    this.#backOff = new BackOff(options.clock, options.random);
    const dial = () => (this.#state.kind === 'open' ? this.#state.dial : null);
    this.#frames = new FrameQueue(options.clock, dial, () => handlers.drained());
    this.#token = new TokenSource(options.token, options.clock, () => this.now(), () => this.renewToken()); // prettier-ignore
  }

  /** The replica of HELLO. */
  get replica(): ReplicaId {
    return this.#options.replica;
  }

  /** How CHANGE names a replica: not at all, if it is that of HELLO. */
  named(replica: ReplicaId): ReplicaId | null {
    return replica === this.#options.replica ? null : replica;
  }

  get limits(): Limits {
    return this.#limits;
  }

  /** 0: a change may be sent now, and is counted; else the ms until one may. */
  takeChange(): Millis {
    return this.#frames.takeChange();
  }

  get isOpen(): boolean {
    return this.#state.kind === 'open';
  }

  get congested(): boolean {
    return this.#frames.congested;
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
    this.#backOff.startAnew();
    this.#connect();
    this.#beat = this.#options.clock.after(BEAT_MS, () => this.#onBeat());
  }

  #dial(): Dial {
    const { clock, openSocket, url } = this.#options;
    return new Dial(
      { url, clock, openSocket, token: () => this.#token.get() },
      {
        opened: (dial) => this.#opened(dial),
        message: (dial, bytes) => this.#received(dial, bytes),
        failed: (error) => this.#handlers.error(error),
        closed: (dial, code, reason) => this.#lost(dial, code, reason),
      },
    );
  }

  #connect(): void {
    this.#state = { kind: 'connecting', dial: this.#dial() };
    this.#handlers.status('connecting');
  }

  #hello(): ClientMessage {
    const { replica, name } = this.#options;
    return { kind: 'hello', version: PROTOCOL_VERSION, replica, clientName: name };
  }

  #opened(dial: Dial): void {
    if (dial === this.#next) return dial.send(encodeClientMessage(this.#hello()));
    this.#enter(dial);
    this.send(this.#hello());
    this.#handlers.opened();
  }

  #enter(dial: Dial): void {
    this.#state = { kind: 'open', dial };
    this.#heardAt = this.#options.clock.monotonic();
    this.#nextCh = 1;
  }

  #received(dial: Dial, bytes: Uint8Array): void {
    const message = decodeServerMessage(bytes);
    if (dial === this.#next) return void (!isMalformed(message) && message.kind === 'welcome' && this.#moved(dial, message));
    this.#heardAt = this.#options.clock.monotonic();
    // A kind of a newer server.
    if (isMalformed(message)) return;
    if (message.kind === 'welcome') this.#welcomed(dial, message);
    else if (message.kind === 'pong') this.#serverTime = { time: message.time, at: this.#heardAt };
    else if (message.kind === 'goaway') this.#goAway(message.afterMs);
    else if (message.kind === 'error' && message.ch === null) {
      if (message.code === 'expired' && this.#token.renewable) this.renewToken();
      else this.#handlers.error(new OctavoError(message.code, message.message));
    } else this.#handlers.message(message);
  } // prettier-ignore

  #welcomed(dial: Dial, message: ServerMessage & { kind: 'welcome' }): void {
    dial.welcomed();
    this.#limits = { ...defaultLimits, ...message.limits };
    this.#frames.setLimits(this.#limits);
    this.#serverTime = { time: message.time, at: this.#heardAt };
    this.#handlers.status('online');
  }

  // ── to another server ──────────────────────────────────────────────────────────────────────────────────────────

  /** The server is about to stop. */
  #goAway(afterMs: Millis): void {
    if (this.#next || this.#moveTimer) return;
    this.#backOff.startAnew();
    this.#moveIn(afterMs);
  }

  #moveIn(delayMs: Millis): void {
    this.#moveTimer = this.#options.clock.after(delayMs, () => {
      this.#moveTimer = null;
      this.#next = this.#dial();
    });
  }

  #stay(): void {
    this.#moveTimer?.cancel();
    this.#moveTimer = null;
    this.#next?.close();
    this.#next = null;
  }

  /** The other server has let us in. */
  #moved(dial: Dial, message: ServerMessage & { kind: 'welcome' }): void {
    const before = this.#state;
    this.#next = null;
    this.#frames.clear();
    // What the pages say on leaving is for nobody.
    this.#state = { kind: 'connecting', dial };
    this.#handlers.lost();
    if ('dial' in before) before.dial.close(1000);
    this.#enter(dial);
    this.#welcomed(dial, message);
    this.#handlers.opened();
  }

  // ── the end of a socket ────────────────────────────────────────────────────────────────────────────────────────

  #lost(dial: Dial, code: number, reason: string): void {
    if (dial !== this.#next) return this.#drop(code, reason);
    this.#next = null;
    // The server of now serves on for a while.
    if (mayComeBack(code)) this.#moveIn(this.#backOff.next());
  }

  /** Ends a connection, and plans the next unless the code forbids it. */
  #drop(code: number, reason: string): void {
    const now = this.#state;
    if (now.kind === 'closed' || now.kind === 'waiting') return;
    const { clock } = this.#options;
    const { welcomedAt } = now.dial;
    now.dial.close();
    this.#frames.clear();
    const wasOpen = now.kind === 'open';
    if (welcomedAt !== null) this.#backOff.lost(welcomedAt);
    // One that stops in good order says so to all at once, and is not to be spared: another serves.
    if (welcomedAt !== null && code === CLOSE.going_away.code) this.#backOff.startAnew();
    const next = this.#next;
    this.#next = null;
    this.#stay();
    if (mayComeBack(code)) {
      if (next) this.#state = { kind: 'connecting', dial: next };
      else this.#state = { kind: 'waiting', timer: clock.after(this.#backOff.next(), () => this.#connect()) };
      if (wasOpen) this.#handlers.lost();
      this.#handlers.status(next ? 'connecting' : 'offline');
      // It has said HELLO.
      if (next?.isOpen) {
        this.#enter(next);
        this.#handlers.opened();
      }
      return;
    }
    next?.close();
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
    this.#stay();
  }

  #onBeat(): void {
    this.#beat = this.#options.clock.after(BEAT_MS, () => this.#onBeat());
    const state = this.#state;
    if (state.kind !== 'open' || state.dial.welcomedAt === null) return;
    const silentMs = this.#options.clock.monotonic() - this.#heardAt;
    if (silentMs >= SILENCE_MAX_MS) return this.#drop(1006, 'the server fell silent');
    if (silentMs >= PING_AFTER_MS) this.ping();
    this.#handlers.beat();
  }

  /** Asks for the server's time. */
  ping(): void {
    this.send({ kind: 'ping', t: Math.floor(this.#options.clock.monotonic()) });
  }

  /** Sends at the end of this turn. Without a connection it is dropped: pages say everything again on a new one. */
  send(message: ClientMessage): void {
    this.#frames.add(message);
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
    this.#frames.flush();
    this.#end();
    if (state.kind === 'waiting') state.timer.cancel();
    else state.dial.close(1000);
    if (state.kind === 'open') this.#handlers.lost();
    this.#handlers.status('closed');
  }
}
