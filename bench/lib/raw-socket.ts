/**
 * A WebSocket client with nothing to spare: a TCP socket, the handshake, and frames found in what arrives. The mask that
 * the protocol asks of clients is zero, so a payload is its own masked form and a frame can be written in place. Enough
 * for a server that sends whole messages; pings are answered.
 */
import { connect, type Socket } from 'node:net';
import { SUBPROTOCOL } from '../../src/protocol/messages.ts';
import { BenchError } from './must.ts';

const OPCODE = { text: 1, binary: 2, close: 8, ping: 9, pong: 10 } as const;
const MASK_BYTES = 4;
/** Bytes before the payload of a client's frame of at most 125 bytes. */
export const SMALL_HEAD_BYTES = 2 + MASK_BYTES;
export const SMALL_PAYLOAD_MAX = 125;

/** Writes the head of a small binary frame whose payload follows at `at + SMALL_HEAD_BYTES`. */
export function writeSmallHead(target: Uint8Array, at: number, payloadBytes: number): void {
  target[at] = 0x80 | OPCODE.binary;
  target[at + 1] = 0x80 | payloadBytes;
  target.fill(0, at + 2, at + SMALL_HEAD_BYTES);
}

/** A whole client frame around a payload of any size. */
export function clientFrame(payload: Uint8Array, opcode: number = OPCODE.binary): Buffer {
  const { length } = payload;
  const lengthBytes = length <= SMALL_PAYLOAD_MAX ? 0 : length < 0x10000 ? 2 : 8;
  const frame = Buffer.alloc(2 + lengthBytes + MASK_BYTES + length);
  frame[0] = 0x80 | opcode;
  frame[1] = 0x80 | (lengthBytes === 0 ? length : lengthBytes === 2 ? 126 : 127);
  if (lengthBytes === 2) frame.writeUInt16BE(length, 2);
  else if (lengthBytes === 8) frame.writeBigUInt64BE(BigInt(length), 2);
  frame.set(payload, 2 + lengthBytes + MASK_BYTES);
  return frame;
}

/** Called with a message's place in `bytes`, which is only valid during the call. The first may come before `open` returns. */
export type OnMessage = (bytes: Uint8Array, from: number, to: number, socket: RawSocket) => void;

export class RawSocket {
  readonly #socket: Socket;
  readonly #onMessage: OnMessage;
  /** The beginning of a frame, and how many bytes it takes to read on: put together once, however large it is. */
  #rest: Uint8Array[] = [];
  #restBytes = 0;
  #needed = 0;
  /** Bytes of messages received, heads included. */
  bytesIn = 0;

  private constructor(socket: Socket, onMessage: OnMessage) {
    this.#socket = socket;
    this.#onMessage = onMessage;
  }

  /** Connects to a `ws://` address, with a token as to Octavo; resolves after the server's 101. */
  static open(url: string, token: string | null, onMessage: OnMessage): Promise<RawSocket> {
    const { hostname, port, pathname } = new URL(url);
    return new Promise((resolve, reject) => {
      const socket = connect({ host: hostname, port: Number(port), noDelay: true });
      const raw = new RawSocket(socket, onMessage);
      socket.on('error', (error) => reject(error));
      socket.write(
        `GET ${pathname} HTTP/1.1\r\nHost: ${hostname}:${port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n` +
          `Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n` +
          (token === null ? '\r\n' : `Sec-WebSocket-Protocol: ${SUBPROTOCOL}\r\nAuthorization: Bearer ${token}\r\n\r\n`),
      );
      let head = '';
      socket.on('data', function handshake(data: Buffer) {
        head += data.toString('latin1');
        const end = head.indexOf('\r\n\r\n');
        if (end < 0) return;
        socket.off('data', handshake);
        if (!head.startsWith('HTTP/1.1 101')) return reject(new BenchError(`no upgrade: ${head.slice(0, 80)}`));
        socket.on('data', (bytes: Buffer) => raw.#arrived(bytes));
        const early = Buffer.from(head.slice(end + 4), 'latin1');
        if (early.length > 0) raw.#arrived(early);
        resolve(raw);
      });
    }); // prettier-ignore
  }

  /** Writes frames that are whole already. */
  write(frames: Uint8Array): void {
    this.#socket.write(frames);
  }

  send(message: Uint8Array): void {
    this.write(clientFrame(message));
  }

  sendText(text: string): void {
    this.write(clientFrame(Buffer.from(text), OPCODE.text));
  }

  close(): void {
    this.#socket.destroy();
  }

  #arrived(data: Uint8Array): void {
    let bytes = data;
    if (this.#restBytes > 0) {
      // No copy: what Node.js hands out it does not use again.
      this.#rest.push(data);
      this.#restBytes += data.length;
      if (this.#restBytes < this.#needed) return;
      bytes = Buffer.concat(this.#rest);
      this.#rest = [];
      this.#restBytes = 0;
    }
    let at = 0;
    for (;;) {
      const end = this.#frame(bytes, at);
      if (end === undefined) break;
      at = end;
    }
    if (at === bytes.length) return;
    this.#rest = [bytes.subarray(at)];
    this.#restBytes = bytes.length - at;
  }

  /** Hands one frame out; the place after it, or undefined when it is not whole yet. */
  #frame(bytes: Uint8Array, at: number): number | undefined {
    this.#needed = 0;
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
    if (to > bytes.length) {
      this.#needed = to - at;
      return undefined;
    }
    this.bytesIn += to - at;
    this.#handle(bytes[at]! & 15, bytes, from, to);
    return to;
  }

  #handle(opcode: number, bytes: Uint8Array, from: number, to: number): void {
    if (opcode === OPCODE.binary || opcode === OPCODE.text) this.#onMessage(bytes, from, to, this);
    else if (opcode === OPCODE.ping) this.write(clientFrame(bytes.subarray(from, to), OPCODE.pong));
    else if (opcode === OPCODE.close) {
      const code = to - from >= 2 ? (bytes[from]! << 8) | bytes[from + 1]! : 1005;
      throw new BenchError(`the server closed a socket with ${code}`);
    }
  }
}
