/**
 * Opens a WebSocket in browsers and in Node.js. The token travels as a second offered subprotocol, since browsers can
 * set no headers. Node.js uses the `ws` package, loaded on demand by a name that bundlers for browsers do not follow.
 */
import { SUBPROTOCOL } from '../protocol/messages.ts';

export interface SocketEvents {
  open(): void;
  message(bytes: Uint8Array): void;
  /** At most once; also when the connection could not be made. 1006: without a closing handshake. */
  close(code: number, reason: string): void;
}

export interface Socket {
  /** Bytes given to `send` that have not left yet. */
  readonly bufferedAmount: number;
  send(bytes: Uint8Array): void;
  close(code?: number, reason?: string): void;
}

export type OpenSocket = (url: string, token: string, events: SocketEvents) => Socket | Promise<Socket>;

type WebSocketClass = new (url: string, protocols: string[], options?: object) => WebSocket;

export const openWebSocket: OpenSocket = async (url, token, events) => {
  const [WebSocketHere, options] = await webSocketClass();
  const socket = new WebSocketHere(url, [SUBPROTOCOL, `bearer.${token}`], ...options);
  socket.binaryType = 'arraybuffer';
  let closed = false;
  const close = (code: number, reason: string) => {
    if (closed) return;
    closed = true;
    events.close(code, reason);
  };
  socket.onopen = () => events.open();
  socket.onmessage = ({ data }: { data: unknown }) => {
    // A text message is nothing that an Octavo server sends.
    if (data instanceof ArrayBuffer) events.message(new Uint8Array(data));
  };
  socket.onclose = ({ code, reason }) => close(code, reason);
  // Before the handshake is through some platforms tell the error only.
  socket.onerror = () => {
    if (socket.readyState === 3) close(1006, 'the connection could not be made');
  };
  return {
    get bufferedAmount() {
      return socket.bufferedAmount;
    },
    send: (bytes) => socket.send(bytes as Uint8Array<ArrayBuffer>),
    close: (code, reason) => socket.close(code, reason),
  };
};

async function webSocketClass(): Promise<[WebSocketClass, object[]]> {
  const node = (globalThis as { process?: { versions?: { node?: string } } }).process?.versions?.node;
  if (node !== undefined) {
    try {
      // In a variable, so that a bundler for browsers does not follow it.
      const name = 'ws';
      const module = (await import(/* @vite-ignore */ /* webpackIgnore: true */ name)) as {
        default: WebSocketClass;
      };
      return [module.default, [{ perMessageDeflate: false, handshakeTimeout: 10_000 }]];
    } catch (error) {
      // Not installed (a bundle, say): newer Node.js has its own.
      if (typeof WebSocket === 'undefined') throw error;
    }
  }
  return [WebSocket, []];
}
