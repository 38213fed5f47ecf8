/**
 * The transport on `ws` and `node:http`, for platforms where uWebSockets.js does not load. It behaves like its twin
 * where `ws` alone would not: frames past the backpressure limit are dropped, `close` is reported at once for `end`
 * and `terminate`, silent peers are pinged and then cut.
 *
 * A frame's bytes are copied once per `send` or `publish`: Node.js keeps a reference to what the kernel did not take,
 * and the port lets the caller reuse the bytes.
 */
import { createServer, STATUS_CODES } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { type WebSocket, WebSocketServer } from 'ws';
import type { Log } from '../base/log.ts';
import { systemClock, type Timer } from '../base/time.ts';
import { plainAddress } from './plain-address.ts';
import { closeReason, DroppedSockets, guardHandlers, ListenError } from './transport.ts';
import { type HttpRequest, nextSocketId, type SendResult, type Transport } from './transport.ts';
import type { TransportHandlers, TransportLimits, TransportSocket } from './transport.ts';

/** Time for a request's head, body and everything before the upgrade: slow senders must not hold connections. */
const requestTimeoutMs = 10_000;
/** Room for a token, and for what browsers add. uWebSockets.js is told the same in `main.ts`. */
const headBytesMax = 16_384;
/** A peer is pinged after half of `idleSeconds` and cut after all of it, looked at this many times in between. */
const sweepsPerIdle = 4;

export function openWsTransport<Context>(
  limits: TransportLimits,
  handlers: TransportHandlers<Context>,
  log: Log,
): Transport {
  return new WsTransport(limits, guardHandlers(handlers, log));
}

/** What a socket needs of its transport. */
interface Owner {
  readonly limits: TransportLimits;
  join(topic: string, socket: WsSocket): void;
  leave(topic: string, socket: WsSocket): void;
  readonly drained: (socket: WsSocket) => void;
  readonly dropped: (socket: WsSocket) => void;
  closed(socket: WsSocket, code: number): void;
}

class WsSocket implements TransportSocket {
  readonly id = nextSocketId();
  readonly topics = new Set<string>();
  readonly #ws: WebSocket;
  readonly #stream: Duplex;
  readonly #owner: Owner;
  #open = true;
  /** Frames were queued or dropped, so that `drain` is owed. */
  #pressed = false;
  #corked = false;
  #endAfterCork: (() => void) | undefined;
  #silentSweeps = 0;
  #seen = { bytesRead: 0, buffered: 0 };

  constructor(ws: WebSocket, stream: Duplex, owner: Owner) {
    this.#ws = ws;
    this.#stream = stream;
    this.#owner = owner;
  }

  send(bytes: Uint8Array): SendResult {
    return this.sendOwned(Buffer.from(bytes));
  }

  /** Like `send`, for bytes that nobody changes any more. */
  sendOwned(bytes: Buffer): SendResult {
    if (!this.#usable() || this.#ws.readyState !== this.#ws.OPEN) return 'dropped';
    if (this.#ws.bufferedAmount > this.#owner.limits.backpressureBytesMax) {
      this.#pressed = true;
      this.#owner.dropped(this);
      return 'dropped';
    }
    this.#ws.send(bytes, { binary: true, compress: false }, this.#written);
    // While corked nothing is written, which says nothing about the peer.
    if (this.#corked || this.#ws.bufferedAmount === 0) return 'sent';
    this.#pressed = true;
    return 'queued';
  }

  cork(write: () => void): void {
    if (!this.#usable() || this.#corked) return write();
    this.#corked = true;
    this.#stream.cork();
    try {
      write();
    } finally {
      this.#stream.uncork();
      this.#corked = false;
      if (this.#ws.bufferedAmount > 0) this.#pressed = true;
      this.#endAfterCork?.();
      this.#endAfterCork = undefined;
    }
  }

  join(topic: string): void {
    if (this.#usable()) this.#owner.join(topic, this);
  }

  leave(topic: string): void {
    if (this.#usable()) this.#owner.leave(topic, this);
  }

  bufferedBytes(): number {
    return this.#open ? this.#ws.bufferedAmount : 0;
  }

  end(code: number, reason: string): void {
    this.#finish(() => {
      this.#ws.close(code, closeReason(reason));
      this.reportClose(code);
    });
  }

  terminate(): void {
    this.#finish(() => {
      this.#ws.terminate();
      this.reportClose(1006);
    });
  }

  /** The first reason to close counts; `ws` may report another later. */
  reportClose(code: number): void {
    if (!this.#open) return;
    this.#open = false;
    this.#owner.closed(this, code);
  }

  /** False once the close was reported: `ws` still hands out messages until the peer has answered. */
  isOpen(): boolean {
    return this.#open;
  }

  /**
   * Called `sweepsPerIdle` times per `idleSeconds`. Read bytes or a shrinking buffer are signs of life: a peer on a
   * slow line answers pings only after what it is still receiving.
   */
  sweep(): void {
    const bytesRead = (this.#stream as Socket).bytesRead;
    const buffered = this.#ws.bufferedAmount;
    const alive = bytesRead > this.#seen.bytesRead || buffered < this.#seen.buffered;
    this.#seen = { bytesRead, buffered };
    this.#silentSweeps = alive ? 0 : this.#silentSweeps + 1;
    if (this.#silentSweeps >= sweepsPerIdle) this.terminate();
    else if (this.#silentSweeps === sweepsPerIdle / 2 && this.#ws.readyState === this.#ws.OPEN)
      this.#ws.ping();
  }

  readonly #written = (): void => {
    if (!this.#pressed || !this.#open) return;
    const buffered = this.#ws.bufferedAmount;
    if (buffered > this.#owner.limits.backpressureBytesMax / 2) return;
    if (buffered === 0) this.#pressed = false;
    this.#owner.drained(this);
  };

  #finish(run: () => void): void {
    if (!this.#usable()) return;
    if (this.#corked) this.#endAfterCork = run;
    else run();
  }

  #usable(): boolean {
    return this.#open && this.#endAfterCork === undefined;
  }
}

class WsTransport<Context> implements Transport, Owner {
  readonly name = 'ws';
  readonly limits: TransportLimits;
  readonly #handlers: TransportHandlers<Context>;
  readonly #server: Server;
  readonly #webSockets: WebSocketServer;
  readonly #sockets = new Set<WsSocket>();
  readonly #topics = new Map<string, Set<WsSocket>>();
  readonly #dropped: DroppedSockets<WsSocket>;
  readonly drained = (socket: WsSocket): void => this.#handlers.drain(socket);
  readonly dropped = (socket: WsSocket): void => this.#dropped.add(socket);
  readonly #protocols = new WeakMap<IncomingMessage, string>();
  #listening = false;
  #sweep: Timer | undefined;

  constructor(limits: TransportLimits, handlers: TransportHandlers<Context>) {
    this.limits = limits;
    this.#handlers = handlers;
    this.#dropped = new DroppedSockets((socket) => handlers.dropped(socket));
    this.#webSockets = new WebSocketServer({
      noServer: true,
      clientTracking: false,
      perMessageDeflate: false,
      maxPayload: limits.messageBytesMax,
      handleProtocols: (_offered, request) => this.#protocols.get(request) || false,
    });
    this.#server = createServer(
      {
        headersTimeout: limits.headMs ?? requestTimeoutMs,
        requestTimeout: limits.headMs ?? requestTimeoutMs,
        maxHeaderSize: headBytesMax,
        connectionsCheckingInterval: 1_000,
      },
      (request, response) => this.#answer(request, response),
    );
    this.#server.on('upgrade', (request, stream, head) => this.#upgrade(request, stream, head));
  }

  listen(host: string, port: number): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', (error) => reject(new ListenError(host, port, error.message)));
      this.#server.listen({ host, port, exclusive: true }, () => {
        this.#server.removeAllListeners('error').on('error', () => {});
        this.#listening = true;
        this.#scheduleSweep();
        resolve((this.#server.address() as AddressInfo).port);
      });
    });
  }

  publish(topic: string, bytes: Uint8Array): void {
    this.#dropped.flush();
    const members = this.#topics.get(topic);
    if (!members) return;
    const owned = Buffer.from(bytes);
    for (const socket of members) socket.sendOwned(owned);
  }

  stopListening(): void {
    if (!this.#listening) return;
    this.#listening = false;
    this.#server.close();
  }

  async close(): Promise<void> {
    this.stopListening();
    this.#sweep?.cancel();
    for (const socket of this.#sockets) socket.terminate();
    const ended = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    this.#server.closeAllConnections();
    await ended;
  }

  join(topic: string, socket: WsSocket): void {
    const members = this.#topics.get(topic);
    if (members) members.add(socket);
    else this.#topics.set(topic, new Set([socket]));
    socket.topics.add(topic);
  }

  leave(topic: string, socket: WsSocket): void {
    socket.topics.delete(topic);
    const members = this.#topics.get(topic);
    members?.delete(socket);
    if (members?.size === 0) this.#topics.delete(topic);
  }

  closed(socket: WsSocket, code: number): void {
    this.#sockets.delete(socket);
    this.#dropped.forget(socket);
    for (const topic of socket.topics) this.leave(topic, socket);
    this.#handlers.close(socket, code);
  }

  #upgrade(request: IncomingMessage, stream: Duplex, head: Buffer): void {
    stream.on('error', () => stream.destroy());
    if (!this.#listening) return refuse(stream, 503, 'shutting down\n');
    if (request.headers.upgrade?.toLowerCase() !== 'websocket')
      return refuse(stream, 400, 'not a WebSocket\n');
    const asked = askedOf(request);
    const offered = asked.header('sec-websocket-protocol').split(',');
    const protocols = offered.flatMap((part) => part.trim() || []);
    const decision = this.#handlers.upgrade({ ...asked, protocols });
    if (!decision.accept) return refuse(stream, decision.status, decision.body);
    // Clients fail a handshake that answers a subprotocol they did not offer.
    if (protocols.includes(decision.protocol)) this.#protocols.set(request, decision.protocol);
    this.#webSockets.handleUpgrade(request, stream, head, (ws) => {
      const socket = new WsSocket(ws, stream, this);
      this.#sockets.add(socket);
      this.#attach(ws, socket);
      this.#handlers.open(socket, decision.context);
    });
  }

  #attach(ws: WebSocket, socket: WsSocket): void {
    ws.on('message', (data, isBinary) => {
      if (socket.isOpen()) this.#handlers.message(socket, data as Buffer, isBinary);
    });
    // `ws` answers with a close frame itself; its 'close' would come only when the peer has reacted.
    ws.on('error', (error: NodeJS.ErrnoException) => {
      socket.reportClose(error.code === 'WS_ERR_UNSUPPORTED_MESSAGE_LENGTH' ? 1009 : 1006);
    });
    ws.on('close', (code) => socket.reportClose(code));
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      response.writeHead(405, { allow: 'GET, HEAD', connection: 'close' }).end();
      return;
    }
    response.on('error', () => response.destroy());
    // The guard around the handlers turns a rejection into a 500, so this chain cannot reject.
    void this.#handlers.http(askedOf(request)).then((reply) => {
      const length = Buffer.byteLength(reply.body);
      response.writeHead(reply.status, { 'content-type': reply.contentType, 'content-length': length });
      response.end(request.method === 'HEAD' ? undefined : reply.body);
    });
  }

  #scheduleSweep(): void {
    this.#sweep = systemClock.after((this.limits.idleSeconds * 1000) / sweepsPerIdle, () => {
      for (const socket of this.#sockets) socket.sweep();
      this.#scheduleSweep();
    });
  }
}

/** By hand: `new URL` throws on what a stranger may send as a request target. */
function askedOf(request: IncomingMessage): HttpRequest {
  const { path, query } = splitUrl(request.url ?? '/');
  return {
    path,
    query: new URLSearchParams(query),
    header: (name) => (request.headersDistinct[name] ?? []).join(', '),
    address: plainAddress(request.socket.remoteAddress ?? ''),
  };
}

function splitUrl(url: string): { path: string; query: string } {
  const mark = url.indexOf('?');
  return mark < 0 ? { path: url, query: '' } : { path: url.slice(0, mark), query: url.slice(mark + 1) };
}

function refuse(stream: Duplex, status: number, body: string): void {
  stream.end(
    `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? 'Status'}\r\nConnection: close\r\nContent-Type: text/plain\r\n` +
      `Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
  );
  // A peer that never closes its side must not hold the connection.
  stream.once('finish', () => stream.destroy());
}
