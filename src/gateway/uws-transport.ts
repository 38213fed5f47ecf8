/**
 * The transport on uWebSockets.js. The only file that names the addon, and it loads it when asked, so that a platform
 * without a build of it can fall back (`open-transport.ts`). Facts of the addon that shape this file:
 *
 *   - `publish` notes the subscribers at once and writes at the end of the turn, or before the next `send` to the same
 *     socket: order holds. From 16 KB on it writes at once, after what was noted.
 *   - A slow socket loses the rest of its noted batch with one `dropped` call, made while a topic is being walked.
 *   - A message over `maxPayloadLength` cuts the connection without a close frame; so the addon gets a higher limit,
 *     and the 1009 is sent from here. Far larger messages are cut, and reported as 1009 all the same.
 *   - `end` while corked from JavaScript never sends its FIN; so it waits until the cork is over.
 *   - A wrong `idleTimeout` ends the process, and every call on a closed socket throws.
 *
 * An addon per process and its loop: never listen in a worker thread.
 */
import type * as Uws from 'uWebSockets.js';
import type { Log } from '../base/log.ts';
import { plainAddress } from './plain-address.ts';
import { closeReason, DroppedSockets, guardHandlers, ListenError, nextSocketId } from './transport.ts';
import type {
  HttpReply,
  HttpRequest,
  SendResult,
  Transport,
  TransportHandlers,
  TransportLimits,
  TransportSocket,
} from './transport.ts';

type Addon = typeof Uws;

/** The addon copies these fields onto its socket object at the upgrade; it stays readable in `close`. */
interface Carried<Context> {
  readonly context: Context;
  octavo: UwsSocket | undefined;
}

const exclusivePort = 1;
const sendResults: readonly SendResult[] = ['queued', 'sent', 'dropped'];
const tooLargeReason = /too big/i;
/** How much above the limit a message may be for its sender to get the 1009 itself. */
const tooLargeSlackBytes = 64 * 1024;
const statusTexts: Readonly<Record<number, string>> = {
  200: 'OK',
  400: 'Bad Request',
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'Not Found',
  405: 'Method Not Allowed',
  429: 'Too Many Requests',
  500: 'Internal Server Error',
  503: 'Service Unavailable',
};

/** Rejects where the addon has no build for this platform, architecture or Node.js version. */
export async function openUwsTransport<Context>(
  limits: TransportLimits,
  handlers: TransportHandlers<Context>,
  log: Log,
): Promise<Transport> {
  const addon: Addon = await import('uWebSockets.js');
  return new UwsTransport(addon, limits, guardHandlers(handlers, log));
}

/** The addon gives no reason for a failed `listen`, so the likely ones are named. */
const UNKNOWN_LISTEN_FAILURE = 'the address is in use, or not one that this machine may listen on';

class UwsSocket implements TransportSocket {
  readonly id = nextSocketId();
  readonly #native: Uws.WebSocket<unknown>;
  #open = true;
  #corked = false;
  #endAfterCork: (() => void) | undefined;

  constructor(native: Uws.WebSocket<unknown>) {
    this.#native = native;
  }

  send(bytes: Uint8Array): SendResult {
    if (!this.#usable()) return 'dropped';
    return sendResults[this.#native.send(bytes, true, false)] ?? 'dropped';
  }

  cork(write: () => void): void {
    if (!this.#usable() || this.#corked) return write();
    // The addon swallows what a corked callback throws.
    let failure: { error: unknown } | undefined;
    this.#corked = true;
    this.#native.cork(() => {
      try {
        write();
      } catch (error) {
        failure = { error };
      }
    });
    this.#corked = false;
    this.#endAfterCork?.();
    this.#endAfterCork = undefined;
    if (failure) throw failure.error;
  }

  join(topic: string): void {
    if (this.#usable()) this.#native.subscribe(topic);
  }

  leave(topic: string): void {
    if (this.#usable()) this.#native.unsubscribe(topic);
  }

  bufferedBytes(): number {
    return this.#open ? this.#native.getBufferedAmount() : 0;
  }

  end(code: number, reason: string): void {
    if (!this.#usable()) return;
    const run = (): void => {
      if (this.#open) this.#native.end(code, closeReason(reason));
    };
    if (this.#corked) this.#endAfterCork = run;
    else run();
  }

  terminate(): void {
    if (!this.#open) return;
    if (this.#corked) this.#endAfterCork = () => this.#open && this.#native.close();
    else this.#native.close();
  }

  /** Called by the transport when the addon reports the close: from here on the native socket must not be touched. */
  closed(): void {
    this.#open = false;
  }

  #usable(): boolean {
    return this.#open && this.#endAfterCork === undefined;
  }
}

class UwsTransport<Context> implements Transport {
  readonly name = 'uws';
  readonly #addon: Addon;
  readonly #app: Uws.TemplatedApp;
  readonly #limits: TransportLimits;
  readonly #handlers: TransportHandlers<Context>;
  readonly #dropped: DroppedSockets<UwsSocket>;
  #listenSocket: Uws.us_listen_socket | undefined;
  #closed = false;

  constructor(addon: Addon, limits: TransportLimits, handlers: TransportHandlers<Context>) {
    this.#addon = addon;
    this.#limits = limits;
    this.#handlers = handlers;
    this.#dropped = new DroppedSockets((socket) => handlers.dropped(socket));
    this.#app = addon.App();
    this.#app.ws<Carried<Context>>('/*', this.#behavior());
    this.#app.any('/*', (response, request) => this.#answer(response, request));
  }

  listen(host: string, port: number): Promise<number> {
    // The addon takes (host, port, options, callback); its types leave this combination out.
    const listen = this.#app.listen.bind(this.#app) as unknown as (
      host: string,
      port: number,
      options: number,
      callback: (socket: Uws.us_listen_socket | false) => void,
    ) => void;
    return new Promise((resolve, reject) => {
      listen(host, port, exclusivePort, (socket) => {
        if (!socket) return reject(new ListenError(host, port, UNKNOWN_LISTEN_FAILURE));
        this.#listenSocket = socket;
        resolve(this.#addon.us_socket_local_port(socket as unknown as Uws.us_socket));
      });
    });
  }

  publish(topic: string, bytes: Uint8Array): void {
    this.#dropped.flush();
    if (!this.#closed) this.#app.publish(topic, bytes, true, false);
  }

  stopListening(): void {
    if (!this.#listenSocket) return;
    this.#addon.us_listen_socket_close(this.#listenSocket);
    this.#listenSocket = undefined;
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.stopListening();
    this.#closed = true;
    this.#app.close();
  }

  #behavior(): Uws.WebSocketBehavior<Carried<Context>> {
    const { messageBytesMax, backpressureBytesMax, idleSeconds } = this.#limits;
    return {
      compression: 0,
      maxPayloadLength: messageBytesMax * 2 + tooLargeSlackBytes,
      maxBackpressure: backpressureBytesMax,
      closeOnBackpressureLimit: false,
      idleTimeout: Math.min(960, Math.max(8, Math.round(idleSeconds))),
      sendPingsAutomatically: true,
      upgrade: (response, request, context) => this.#upgrade(response, request, context),
      open: (native) => {
        const carried = native.getUserData();
        const socket = new UwsSocket(native);
        carried.octavo = socket;
        this.#handlers.open(socket, carried.context);
      },
      message: (native, message, isBinary) => {
        const socket = native.getUserData().octavo;
        if (!socket) return;
        if (message.byteLength > messageBytesMax) return socket.end(1009, 'message too large');
        this.#handlers.message(socket, new Uint8Array(message), isBinary);
      },
      drain: (native) => {
        const socket = native.getUserData().octavo;
        if (socket) this.#handlers.drain(socket);
      },
      dropped: (native) => {
        // Also called for the close frame of `end`, whose socket is already unusable: hence no `getUserData`.
        const socket = (native as unknown as Carried<Context>).octavo;
        if (socket) this.#dropped.add(socket);
      },
      close: (native, code, message) => {
        const socket = (native as unknown as Carried<Context>).octavo;
        if (!socket) return;
        socket.closed();
        this.#dropped.forget(socket);
        const tooLarge = code === 1006 && tooLargeReason.test(Buffer.from(message).toString());
        this.#handlers.close(socket, tooLarge ? 1009 : code);
      },
    };
  }

  #upgrade(response: Uws.HttpResponse, request: Uws.HttpRequest, context: Uws.us_socket_context_t): void {
    if (!this.#listenSocket) return refuse(response, 503, 'shutting down\n');
    // The request lives on the stack of this call, so all of it is read now.
    const key = request.getHeader('sec-websocket-key');
    const extensions = request.getHeader('sec-websocket-extensions');
    const protocols = headerOf(request, 'sec-websocket-protocol')
      .split(',')
      .flatMap((part) => part.trim() || []);
    const decision = this.#handlers.upgrade({ ...asked(response, request), protocols });
    if (!decision.accept) return refuse(response, decision.status, decision.body);
    // Clients fail a handshake that answers a subprotocol they did not offer.
    const protocol = protocols.includes(decision.protocol) ? decision.protocol : '';
    const carried: Carried<Context> = { context: decision.context, octavo: undefined };
    response.upgrade(carried, key, protocol, extensions, context);
  }

  #answer(response: Uws.HttpResponse, request: Uws.HttpRequest): void {
    const method = request.getMethod();
    if (method !== 'get' && method !== 'head') {
      response.writeStatus(statusLine(405)).writeHeader('allow', 'GET, HEAD').end('', true);
      return;
    }
    let aborted = false;
    response.onAborted(() => {
      aborted = true;
    });
    // The guard around the handlers turns a rejection into a 500, so this chain cannot reject.
    void this.#handlers.http(asked(response, request)).then((reply) => {
      if (!aborted) response.cork(() => writeReply(response, reply, method === 'head'));
    });
  }
}

/** The addon's own `getHeader` knows the first line of a name only, which of X-Forwarded-For is anybody's claim. */
function headerOf(request: Uws.HttpRequest, name: string): string {
  const lines: string[] = [];
  request.forEach((key, value) => key === name && lines.push(value));
  return lines.join(', ');
}

function asked(response: Uws.HttpResponse, request: Uws.HttpRequest): HttpRequest {
  return {
    path: request.getUrl(),
    query: new URLSearchParams(request.getQuery() ?? ''),
    header: (name) => headerOf(request, name),
    address: plainAddress(Buffer.from(response.getRemoteAddressAsText()).toString()),
  };
}

function writeReply(response: Uws.HttpResponse, reply: HttpReply, headOnly: boolean): void {
  response.writeStatus(statusLine(reply.status)).writeHeader('content-type', reply.contentType);
  if (headOnly) response.endWithoutBody(Buffer.byteLength(reply.body));
  else response.end(reply.body);
}

function refuse(response: Uws.HttpResponse, status: number, body: string): void {
  response.writeStatus(statusLine(status)).writeHeader('content-type', 'text/plain').end(body, true);
}

function statusLine(status: number): string {
  return `${status} ${statusTexts[status] ?? 'Status'}`;
}
