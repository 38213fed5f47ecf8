/**
 * How the gateway itself answers a socket: a frame, a named error, a close that says whether to come back.
 */
import type { Log } from '../base/log.ts';
import { CLOSE, type CloseName, type Code } from '../protocol/codes.ts';
import { encodeServerMessage } from '../protocol/encode.ts';
import type { ServerMessage } from '../protocol/messages.ts';
import type { Connection } from './connection.ts';
import type { GatewayMetrics } from './gateway-metrics.ts';

/** Why sockets are closed every day; the other reasons are their clients' doing, which an operator may be asked about. */
const EVERYDAY: ReadonlySet<CloseName> = new Set(['going_away', 'token_expired']);

export class Replies {
  readonly #log: Log;
  readonly #metrics: GatewayMetrics;
  readonly #leave: (connection: Connection) => void;
  readonly #waits: (connection: Connection) => void;

  /**
   * `leave` ends the connection's pages and marks it closed; called before the close frame goes out. `waits`: something
   * waits for its socket to read.
   */
  constructor(
    log: Log,
    metrics: GatewayMetrics,
    leave: (connection: Connection) => void,
    waits: (connection: Connection) => void,
  ) {
    this.#log = log;
    this.#metrics = metrics;
    this.#leave = leave;
    this.#waits = waits;
  }

  send(connection: Connection, message: ServerMessage): void {
    this.answer(connection, encodeServerMessage(message));
  }

  answer(connection: Connection, frame: Uint8Array): void {
    this.#metrics.hot.framesOut++;
    connection.outbox.answer(frame);
    this.look(connection);
  }

  /** A part of a snapshot or tail. */
  bulk(connection: Connection, frame: Uint8Array): void {
    this.#metrics.hot.framesOut++;
    connection.outbox.bulk(frame);
    this.look(connection);
  }

  /** After something was given to its outbox: one that asks and does not read is closed. */
  look(connection: Connection): void {
    const { outbox } = connection;
    if (outbox.isEmpty) return;
    if (outbox.isOverfull) this.close(connection, 'too_slow');
    else this.#waits(connection);
  }

  /** Counts a refusal that is sent as something else than an ERROR. */
  refused(code: Code): void {
    this.#metrics.refused(code);
  }

  /** An error about one page (`ch`), or about the socket. It stays open. */
  error(
    connection: Connection,
    code: Code,
    message: string,
    ch: number | null = null,
    retryAfterMs: number | null = null,
  ): void {
    this.#metrics.refused(code);
    const page = ch === null ? undefined : connection.pageUnder(ch)?.page;
    this.#log.debug({ connection: connection.id, code, page }, 'a client was refused');
    this.send(connection, { kind: 'error', code, message, retryAfterMs, ch });
  }

  close(connection: Connection, why: CloseName): void {
    if (connection.state.tag === 'closed') return;
    this.#metrics.closed(why);
    const { state } = connection;
    const user = state.tag === 'ready' ? state.identity.user : undefined;
    const level = EVERYDAY.has(why) ? 'debug' : 'info';
    this.#log[level]({ connection: connection.id, reason: why, user }, 'the server closed a socket');
    this.#leave(connection);
    connection.socket.end(CLOSE[why].code, CLOSE[why].meaning);
  }

  /** Says why, then closes. */
  refuse(connection: Connection, code: Code, message: string, why: CloseName): void {
    this.error(connection, code, message);
    this.close(connection, why);
  }
}
