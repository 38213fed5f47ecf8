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

  /** `leave` ends the connection's pages and marks it closed; called before the close frame goes out. */
  constructor(metrics: GatewayMetrics, leave: (connection: Connection) => void) {
    this.#metrics = metrics;
    this.#leave = leave;
  }

  send(connection: Connection, message: ServerMessage): void {
    this.#metrics.hot.framesOut++;
    connection.socket.send(encodeServerMessage(message));
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
