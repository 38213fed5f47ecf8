/**
 * The transport port: WebSockets and small HTTP answers on one listening port. Twins: `uws-transport.ts`
 * (uWebSockets.js) and `ws-transport.ts` (for platforms where the addon does not load); one contract suite runs on
 * both (`test/contracts/transport.ts`). It knows nothing of pages or frames: bytes in, bytes out, topics.
 *
 * Rules both twins keep: frames of one socket leave in the order of `send` and `publish`; a message's bytes belong to
 * the transport and are valid only during the callback; after `close` was reported nothing is reported of that socket.
 */

/** `dropped`: the socket's buffer is past `backpressureMax`; nothing of this frame will arrive. */
export type SendResult = 'sent' | 'queued' | 'dropped';

export interface TransportSocket {
  /** Unique in the process for its lifetime, 1 … 2^32 − 1. */
  readonly id: number;
  /** The peer's address as text, for limits and logs. */
  readonly address: string;
  /** Sends one binary message; the bytes are copied or written before it returns. */
  send(bytes: Uint8Array): SendResult;
  /** Runs `write`; what is sent within leaves in one system call where the transport can. */
  cork(write: () => void): void;
  join(topic: string): void;
  leave(topic: string): void;
  /** Bytes accepted and not yet written to the network. */
  bufferedBytes(): number;
  /** Sends a close frame after what is queued, then closes. */
  end(code: number, reason: string): void;
  /** Closes at once, without a close frame. */
  terminate(): void;
}

export interface UpgradeRequest {
  readonly path: string;
  readonly query: URLSearchParams;
  /** Lower-case names. */
  header(name: string): string;
  readonly protocols: readonly string[];
  readonly address: string;
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
  upgrade(request: UpgradeRequest): UpgradeDecision<Context>;
  open(socket: TransportSocket, context: Context): void;
  message(socket: TransportSocket, bytes: Uint8Array, isBinary: boolean): void;
  /** The buffer went down after `send` answered `queued` or `dropped`. */
  drain(socket: TransportSocket): void;
  /** `code` 1006 when the peer vanished without a close frame. */
  close(socket: TransportSocket, code: number): void;
  /** GET requests that are no upgrade. */
  http(path: string): Promise<HttpReply>;
}

export interface TransportLimits {
  /** A larger message closes its socket with 1009. */
  readonly messageBytesMax: number;
  /** Unwritten bytes of one socket past which frames are dropped. */
  readonly backpressureBytesMax: number;
  /** A socket that sent nothing (pongs included) for this long is closed; pings are sent by the transport. */
  readonly idleSeconds: number;
}

export interface Transport {
  /** 'uws' or 'ws': for the log. */
  readonly name: string;
  /** Starts to listen; resolves to the bound port. Rejects with a clear error if the address is taken. */
  listen(host: string, port: number): Promise<number>;
  /** Sends one binary message to every socket in `topic`. */
  publish(topic: string, bytes: Uint8Array): void;
  /** Takes no new connections; the open ones live on. */
  stopListening(): void;
  /** Stops listening and closes every socket. */
  close(): Promise<void>;
}
