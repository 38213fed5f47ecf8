/**
 * A WebSocket client with nothing to spare, for the thousands that a load test needs: a TCP or TLS socket, the handshake,
 * and frames found in what arrives. The mask that the protocol asks of clients is zero, so a payload is its own masked form
 * and a frame is written in place. Pings are answered; the bytes handed out are only valid during the call.
 */
import { connect as connectTcp, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { SUBPROTOCOL } from '../protocol/messages.ts';
import { systemClock, type Millis } from '../base/time.ts';
import { LoadError } from './load-error.ts';

const OPCODE = { binary: 2, close: 8, ping: 9, pong: 10 } as const;
const MASK_BYTES = 4;
const SMALL_PAYLOAD_MAX = 125;
const OPEN_TIMEOUT_MS: Millis = 20_000;
const HEAD_MAX = 64 << 10;
const NO_CLOSE_FRAME = 1006;

export interface SocketEvents {
  message(bytes: Uint8Array, from: number, to: number): void;
  /** Once, after it was open: the server's close code, or 1006. Not after `close`. */
  closed(code: number, reason: string): void;
}

/** A whole client frame around a payload. */
export function clientFrame(payload: Uint8Array, opcode: number = OPCODE.binary): Buffer {
  const { length } = payload;
  const lengthBytes = length <= SMALL_PAYLOAD_MAX ? 0 : length < 0x10000 ? 2 : 8;
  const head = 2 + lengthBytes + MASK_BYTES;
  const frame = Buffer.allocUnsafe(head + length);
  frame.fill(0, 0, head);
  frame[0] = 0x80 | opcode;
  frame[1] = 0x80 | (lengthBytes === 0 ? length : lengthBytes === 2 ? 126 : 127);
  if (lengthBytes === 2) frame.writeUInt16BE(length, 2);
  else if (lengthBytes === 8) frame.writeBigUInt64BE(BigInt(length), 2);
  frame.set(payload, head);
  return frame;
}

export class LoadSocket {
  readonly #socket: Socket;
  readonly #events: SocketEvents;
  #bytesPerSecond = Infinity;
  #rest: Uint8Array | undefined;
  #over = false;
  #opened = false;

  private constructor(socket: Socket, events: SocketEvents) {
    this.#socket = socket;
    this.#events = events;
  }

  /** Connects to a `ws:` or `wss:` address; resolves after the server's 101, fails with a `LoadError` that names the cause. */
  static open(url: URL, token: string, events: SocketEvents): Promise<LoadSocket> {
    const secure = url.protocol === 'wss:';
    const host = url.hostname.replace(/^\[(.*)\]$/, '$1');
    const port = Number(url.port || (secure ? 443 : 80));
    return new Promise((resolve, reject) => {
      const socket = secure
        ? connectTls({ host, port, servername: host, ALPNProtocols: ['http/1.1'] })
        : connectTcp({ host, port });
      socket.setNoDelay(true);
      const made = new LoadSocket(socket, events);
      const fail = (why: string, retry = true) => {
        late.cancel();
        made.close();
        reject(new LoadError(`${url.origin}: ${why}`, retry));
      };
      const late = systemClock.after(OPEN_TIMEOUT_MS, () => fail(`no answer within ${OPEN_TIMEOUT_MS / 1000} s`));
      socket.on('error', (error) => (made.#opened ? made.#end(NO_CLOSE_FRAME, error.message) : fail(error.message)));
      socket.on('close', () => (made.#opened ? made.#end(NO_CLOSE_FRAME, '') : fail('closed before the handshake was through'))); // prettier-ignore
      socket.once(secure ? 'secureConnect' : 'connect', () =>
        socket.write(
          `GET ${url.pathname}${url.search} HTTP/1.1\r\nHost: ${url.host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n` +
            `Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n` +
            `Sec-WebSocket-Protocol: ${SUBPROTOCOL}\r\nAuthorization: Bearer ${token}\r\n\r\n`,
        ),
      );
      let head: Buffer = Buffer.alloc(0);
      const handshake = (data: Buffer): void => {
        head = Buffer.concat([head, data]);
        const end = head.indexOf('\r\n\r\n');
        if (end < 0) return head.length > HEAD_MAX ? fail('no HTTP answer', false) : undefined;
        const status = /^HTTP\/1\.1 (\d{3})/.exec(head.toString('latin1', 0, 80))?.[1];
        if (status !== '101') return fail(refusal(status, head.toString('utf8', end + 4)), status === '503' || status === '429' || status === '502'); // prettier-ignore
        late.cancel();
        socket.off('data', handshake);
        socket.on('data', (bytes: Buffer) => made.#arrived(bytes));
        made.#opened = true;
        resolve(made);
        // After whoever waits for the socket has it.
        if (head.length > end + 4) queueMicrotask(() => made.#arrived(head.subarray(end + 4)));
      };
      socket.on('data', handshake);
    });
  } // prettier-ignore

  /** Reads no more than this many bytes a second from now on. */
  throttle(bytesPerSecond: number): void {
    this.#bytesPerSecond = bytesPerSecond;
    if (bytesPerSecond === 0) this.#socket.pause();
  }

  /** Writes frames that are whole already. They must not change afterwards. */
  write(frames: Uint8Array): void {
    if (!this.#over) this.#socket.write(frames);
  }

  /** Ends it without a word, as a lost connection does. */
  close(): void {
    this.#over = true;
    this.#socket.destroy();
  }

  #end(code: number, reason: string): void {
    if (this.#over) return;
    this.close();
    this.#events.closed(code, reason);
  }

  #arrived(data: Uint8Array): void {
    if (this.#over) return;
    if (this.#bytesPerSecond !== Infinity && this.#bytesPerSecond > 0) {
      this.#socket.pause();
      systemClock.after((data.length / this.#bytesPerSecond) * 1000, () => this.#socket.resume());
    }
    let bytes = data;
    if (this.#rest) {
      bytes = Buffer.concat([this.#rest, data]);
      this.#rest = undefined;
    }
    let at = 0;
    while (!this.#over) {
      const end = this.#frame(bytes, at);
      if (end === undefined) break;
      at = end;
    }
    // A copy: the bytes may be the socket's own buffer.
    if (at < bytes.length) this.#rest = bytes.slice(at);
  }

  /** Hands one frame out; the place after it, or undefined when it is not whole yet. */
  #frame(bytes: Uint8Array, at: number): number | undefined {
    if (bytes.length - at < 2) return undefined;
    let length = bytes[at + 1]! & 0x7f;
    let from = at + 2;
    if (length === 126) {
      if (bytes.length < from + 2) return undefined;
      length = (bytes[from]! << 8) | bytes[from + 1]!;
      from += 2;
    } else if (length === 127) {
      if (bytes.length < from + 8) return undefined;
      length = new DataView(bytes.buffer, bytes.byteOffset + from).getUint32(4);
      from += 8;
    }
    const to = from + length;
    if (to > bytes.length) return undefined;
    this.#handle(bytes[at]! & 15, bytes, from, to);
    return to;
  }

  #handle(opcode: number, bytes: Uint8Array, from: number, to: number): void {
    if (opcode === OPCODE.binary) this.#events.message(bytes, from, to);
    else if (opcode === OPCODE.ping) this.write(clientFrame(bytes.subarray(from, to), OPCODE.pong));
    else if (opcode === OPCODE.close) {
      const code = to - from >= 2 ? (bytes[from]! << 8) | bytes[from + 1]! : 1005;
      this.#end(code, Buffer.from(bytes.subarray(from + 2, to)).toString('utf8'));
    }
  }
}

function refusal(status: string | undefined, body: string): string {
  if (status === undefined) return 'this is no HTTP server';
  const hint = status === '404' ? '; the path of an Octavo server is /v1/sync' : '';
  const said = body.trim().split('\n')[0]!.slice(0, 200);
  return `the server refuses WebSockets with HTTP ${status}${said ? ` (${said})` : ''}${hint}`;
}
