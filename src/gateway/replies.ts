/**
 * How the gateway itself answers a socket: a frame, a named error, a close that says whether to come back.
 */
import { CLOSE, type CloseName, type Code } from '../protocol/codes.ts';
import { encodeServerMessage } from '../protocol/encode.ts';
import type { ServerMessage } from '../protocol/messages.ts';
import type { Connection } from './connection.ts';
import type { GatewayMetrics } from './gateway-metrics.ts';

export class Replies {
  readonly #metrics: GatewayMetrics;
  readonly #leave: (connection: Connection) => void;
  readonly #waits: (connection: Connection) => void;

  /**
   * `leave` ends the connection's pages and marks it closed; called before the close frame goes out. `waits`: something
   * waits for its socket to read.
   */
  constructor(
    metrics: GatewayMetrics,
    leave: (connection: Connection) => void,
    waits: (connection: Connection) => void,
  ) {
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
    this.send(connection, { kind: 'error', code, message, retryAfterMs, ch });
  }

  close(connection: Connection, why: CloseName): void {
    if (connection.state.tag === 'closed') return;
    this.#metrics.closed(why);
    this.#leave(connection);
    connection.socket.end(CLOSE[why].code, CLOSE[why].meaning);
  }

  /** Says why, then closes. */
  refuse(connection: Connection, code: Code, message: string, why: CloseName): void {
    this.error(connection, code, message);
    this.close(connection, why);
  }
}
