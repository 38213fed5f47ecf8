/**
 * What is to be sent to one socket and is more than it should hold at once: snapshots of large pages, above all. A large
 * frame goes out only while little is unwritten; what follows it waits here, in order, until the socket drains. Published
 * frames do not wait: the protocol lets CHANGES come between the parts of a snapshot.
 *
 * Bounded: past `bytesMax` the socket is too slow for its page, and is closed with "come back".
 */
import type { TransportSocket } from './transport.ts';

/** Unwritten bytes above which a large frame waits. */
const FULL_BYTES = 1 << 20;
const LARGE_FRAME_BYTES = 32 << 10;

export class Outbox {
  readonly #socket: TransportSocket;
  readonly #bytesMax: number;
  #frames: Uint8Array[] = [];
  #bytes = 0;

  constructor(socket: TransportSocket, bytesMax: number) {
    this.#socket = socket;
    this.#bytesMax = bytesMax;
  }

  /** Sends now or later; false if more waits than may. The bytes must stay as they are. */
  send(bytes: Uint8Array): boolean {
    const mayGo = bytes.length < LARGE_FRAME_BYTES || this.#socket.bufferedBytes() < FULL_BYTES;
    if (this.#frames.length === 0 && mayGo) {
      this.#socket.send(bytes);
      return true;
    }
    this.#frames.push(bytes);
    this.#bytes += bytes.length;
    return this.#bytes <= this.#bytesMax;
  }

  /** The socket has written some of what it held. */
  drained(): void {
    let sent = 0;
    while (sent < this.#frames.length && this.#socket.bufferedBytes() < FULL_BYTES) {
      const frame = this.#frames[sent++]!;
      this.#bytes -= frame.length;
      this.#socket.send(frame);
    }
    if (sent > 0) this.#frames = this.#frames.slice(sent);
  }

  /** The socket is gone. */
  clear(): void {
    this.#frames = [];
    this.#bytes = 0;
  }
}
