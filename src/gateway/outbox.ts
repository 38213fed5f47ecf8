/**
 * What one socket is to be sent and may be more than it should hold at once: snapshots and tails of joiners (`bulk`). They
 * go out, in their order, only while little is unwritten; the rest waits here until the socket drains.
 *
 * Nothing else waits: answers and published frames overtake, and the protocol says so (CHANGES may come before the parts
 * of a snapshot are complete, and are kept). Bounded: past `bytesMax` the socket is closed with "come back".
 */
import type { TransportSocket } from './transport.ts';

/** Unwritten bytes above which frames wait. */
const FULL_BYTES = 1 << 20;

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
    if (this.#frames.length === 0 && this.#socket.bufferedBytes() < FULL_BYTES) {
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
