/**
 * The transport port: WebSockets and small HTTP answers on one listening port. Twins: `uws-transport.ts`
 * (uWebSockets.js) and `ws-transport.ts` (for platforms where the addon does not load); one contract suite runs on
 * both (`test/contracts/transport.ts`). It knows nothing of pages or frames: bytes in, bytes out, topics.
 *
 * Rules both twins keep: frames of one socket leave in the order of `send` and `publish`; who gets a published frame
 * is decided when `publish` is called, so a later `join` or `leave` does not change it; a message's bytes belong to
 * the transport and are valid only during the callback; `close` is reported once for every opened socket, for `end`
 * and `terminate` before they return (inside `cork`: when it returns), and nothing is reported of that socket after.
 *
 * The exports at the end are what both twins must do alike: ids, the guard around the handlers, the timing of `dropped`;
 * `plain-address.ts` is one more.
 */
import { endOfTurn } from '../base/time.ts';
import { type Log, stackOf } from '../base/log.ts';

/** `dropped`: the buffer is past `backpressureBytesMax` or the socket is closed; nothing of this frame will arrive. */
export type SendResult = 'sent' | 'queued' | 'dropped';

export interface TransportSocket {
  /** Unique in the process for its lifetime, 1 … 2^32 − 1. */
  readonly id: number;
  /** Sends one binary message; the bytes are copied or written before it returns. */
  send(bytes: Uint8Array): SendResult;
  /** Runs `write`; what is sent within leaves in one system call where the transport can. */
  cork(write: () => void): void;
  join(topic: string): void;
  leave(topic: string): void;
  /** Bytes accepted and not yet written to the network. */
  bufferedBytes(): number;
  /**
   * Sends a close frame after what is queued, then closes. A peer whose buffer is past `backpressureBytesMax` may see
   * 1006 instead of the code. `reason` is cut to the 123 bytes that a close frame can carry.
   */
  end(code: number, reason: string): void;
  /** Closes at once, without a close frame. */
  terminate(): void;
}

export interface HttpRequest {
  /** Without the query. */
  readonly path: string;
  readonly query: URLSearchParams;
  /** Lower-case names; '' if absent, several lines joined by ', '. Valid only until the handler returns or awaits. */
  header(name: string): string;
  /** Of the other end of the connection, as text: a proxy's, where there is one. */
  readonly address: string;
}

export interface UpgradeRequest extends HttpRequest {
  readonly protocols: readonly string[];
}

/** `accept` names the subprotocol to answer with ('' for none) and carries what the handlers want to know later. */
export type UpgradeDecision<Context> =
  | { readonly accept: true; readonly protocol: string; readonly context: Context }
  | { readonly accept: false; readonly status: number; readonly body: string };

export interface HttpReply {
  readonly status: number;
  readonly contentType: string;
  readonly body: string;
}

export interface TransportHandlers<Context> {
  /** Decides for any path. `open` need not follow: the peer may vanish or its handshake be wrong. */
  upgrade(request: UpgradeRequest): UpgradeDecision<Context>;
  open(socket: TransportSocket, context: Context): void;
  message(socket: TransportSocket, bytes: Uint8Array, isBinary: boolean): void;
  /** The buffer went down after frames were queued or dropped; it may still hold some. Can come without need. */
  drain(socket: TransportSocket): void;
  /**
   * Frames for this socket were dropped, by `publish` or `send`: its stream has a gap, and frames sent later may
   * still arrive. Told once per turn and socket however many were lost, in a later turn or before the next `publish`
   * (so that a handler that leaves the topic leaves it before a later frame arrives), never at once: uWebSockets.js
   * drops while it walks a topic, and a handler that left the topic or closed the socket there would break that walk.
   */
  dropped(socket: TransportSocket): void;
  /** `code` 1006 when no close frame came or went, 1005 when the peer's had no code, 1009 for a message too large. */
  close(socket: TransportSocket, code: number): void;
  /** GET and HEAD requests that are no upgrade. */
  http(request: HttpRequest): Promise<HttpReply>;
}

export interface TransportLimits {
  /** A larger message closes its socket with 1009. */
  readonly messageBytesMax: number;
  /** Unwritten bytes of one socket past which frames are dropped. */
  readonly backpressureBytesMax: number;
  /** A socket that sent nothing (pongs included) for this long is closed; the transport sends pings. 8 to 960. */
  readonly idleSeconds: number;
  /** Time for the head of a request, where the transport can say (`ws`; uWebSockets.js ends a silent one after 10 s). */
  readonly headMs?: number;
}

/** The address cannot be listened on; the message names it and the remedy. */
export class ListenError extends Error {
  override readonly name = 'ListenError';

  constructor(host: string, port: number, why: string) {
    const remedy = 'Choose another SYNC_PORT or HOST, or stop the program that uses it.';
    super(`could not listen on ${host}:${port}: ${why}. ${remedy}`);
  }
}

export interface Transport {
  /** 'uws' or 'ws': for the log. */
  readonly name: string;
  /** Starts to listen; resolves to the bound port. Rejects with a clear error if the address is taken. */
  listen(host: string, port: number): Promise<number>;
  /** Sends one binary message to every socket in `topic`. */
  publish(topic: string, bytes: Uint8Array): void;
  /** Takes no new sockets (an upgrade on a kept-alive connection gets 503); the open ones live on. */
  stopListening(): void;
  /** Stops listening and closes every socket. */
  close(): Promise<void>;
}

const closeReasonBytesMax = 123;

let lastSocketId = 0;

/** Ids are shared by all transports of a process, so that a socket's id alone names it in logs and envelopes. */
export function nextSocketId(): number {
  lastSocketId = lastSocketId === 0xffff_ffff ? 1 : lastSocketId + 1;
  return lastSocketId;
}

/** Cuts at a character's start: a client must fail a close frame whose reason is not valid UTF-8. */
export function closeReason(reason: string): string {
  const bytes = Buffer.from(reason);
  if (bytes.length <= closeReasonBytesMax) return reason;
  let end = closeReasonBytesMax;
  while (end > 0 && ((bytes[end] ?? 0) & 0xc0) === 0x80) end--;
  return bytes.toString('utf8', 0, end);
}

/**
 * An exception of a handler is a bug of ours. It must cost one socket or one request, never the process, which holds
 * everybody's sockets: it is logged, and the socket closed with 1011.
 */
export function guardHandlers<Context>(
  handlers: TransportHandlers<Context>,
  log: Log,
): TransportHandlers<Context> {
  const failed = (where: string, error: unknown, socket?: TransportSocket): void => {
    log.error({ error: stackOf(error), handler: where, connection: socket?.id }, 'a transport handler threw');
  };
  const guarded = (where: string, socket: TransportSocket, run: () => void): void => {
    try {
      run();
    } catch (error) {
      failed(where, error, socket);
      socket.end(1011, 'internal error');
    }
  };
  return {
    upgrade(request) {
      try {
        return handlers.upgrade(request);
      } catch (error) {
        failed('upgrade', error);
        return { accept: false, status: 500, body: 'internal error' };
      }
    },
    open: (socket, context) => guarded('open', socket, () => handlers.open(socket, context)),
    message: (socket, bytes, isBinary) =>
      guarded('message', socket, () => handlers.message(socket, bytes, isBinary)),
    drain: (socket) => guarded('drain', socket, () => handlers.drain(socket)),
    dropped: (socket) => guarded('dropped', socket, () => handlers.dropped(socket)),
    close: (socket, code) => guarded('close', socket, () => handlers.close(socket, code)),
    async http(request) {
      try {
        return await handlers.http(request);
      } catch (error) {
        failed('http', error);
        return { status: 500, contentType: 'text/plain', body: 'internal error\n' };
      }
    },
  };
}

/** Collects the sockets that lost frames and reports each once, as `TransportHandlers.dropped` promises. */
export class DroppedSockets<Socket> {
  #pending = new Set<Socket>();
  readonly #report: (socket: Socket) => void;
  readonly #later: typeof endOfTurn;

  constructor(report: (socket: Socket) => void, later = endOfTurn) {
    this.#report = report;
    this.#later = later;
  }

  add(socket: Socket): void {
    if (this.#pending.size === 0) this.#later(() => this.flush());
    this.#pending.add(socket);
  }

  /** A closed socket is not reported any more. */
  forget(socket: Socket): void {
    this.#pending.delete(socket);
  }

  flush(): void {
    if (this.#pending.size === 0) return;
    // Taken first: a report may close other sockets, or drop frames of its own that belong to the next turn.
    for (const socket of Array.from(this.#pending)) {
      if (this.#pending.delete(socket)) this.#report(socket);
    }
  }
}
