/**
 * What one socket is to be sent and has no room for yet. At most `bytesMax` is held for a socket in all, in four shares:
 *
 *     ─ 1/2 ─ the transport's buffer: beyond it published frames are dropped (`slow-readers.ts`), and answers wait here
 *     ─ 1/8 ─ … of it may be full when bulk is sent: snapshots and tails of joiners, which the shard keeps until they
 *             are asked for, one window of about 256 KiB at a time for the whole socket
 *     ─ 1/8 ─ answers that wait
 *     ─ 1/4 ─ the window that was asked for, while it waits
 *
 * Past it, when a socket goes on asking and does not read, `held` says so and the socket is closed with "come back". A
 * frame larger than its share goes through when it meets an empty buffer. Answers keep their order, and so does bulk;
 * answers and published frames may overtake bulk, and the protocol says so.
 */
import type { TransportSocket } from './transport.ts';

/** The part of `bytesMax` past which the transport drops what is published. */
export const TRANSPORT_SHARE = 1 / 2;
const BULK_SHARE = 1 / 8;

/** One object for all sockets. */
export interface OutboxOptions {
  readonly bytesMax: number;
  /** The socket has room: the shard may send the next window of what this page has for it. */
  pull(socket: TransportSocket, ch: number): void;
}

export class Outbox {
  readonly #socket: TransportSocket;
  readonly #options: OutboxOptions;
  #answers: Uint8Array[] | null = null;
  #bulk: Uint8Array[] | null = null;
  /** Pages that have more for this socket than was sent, in the order in which they said so. */
  #offers: number[] | null = null;
  /** The page that was asked for its next window and has not answered. */
  #asked: number | null = null;
  #bytes = 0;

  constructor(socket: TransportSocket, options: OutboxOptions) {
    this.#socket = socket;
    this.#options = options;
  }

  /** Bytes held for this socket and not yet handed to the network. */
  get held(): number {
    return this.#bytes + this.#socket.bufferedBytes();
  }

  get isOverfull(): boolean {
    return this.#bytes > 0 && this.held > this.#options.bytesMax;
  }

  /** Nothing waits, here or in the shards. */
  get isEmpty(): boolean {
    return !this.#answers && !this.#bulk && !this.#offers && this.#asked === null;
  }

  /** An answer: never dropped. The bytes may be a view that changes afterwards. */
  answer(bytes: Uint8Array): void {
    if (!this.#answers && this.#mayAnswer()) this.#socket.send(bytes);
    else {
      (this.#answers ??= []).push(bytes.slice());
      this.#bytes += bytes.length;
    }
  }

  #mayAnswer(): boolean {
    return this.#socket.bufferedBytes() <= this.#options.bytesMax * TRANSPORT_SHARE;
  }

  /** A part of a snapshot or tail. The bytes may be a view that changes afterwards. */
  bulk(bytes: Uint8Array): void {
    if (!this.#answers && !this.#bulk && this.#mayBulk()) this.#socket.send(bytes);
    else {
      (this.#bulk ??= []).push(bytes.slice());
      this.#bytes += bytes.length;
    }
  }

  #mayBulk(): boolean {
    return this.#socket.bufferedBytes() < this.#options.bytesMax * BULK_SHARE;
  }

  /** The page has more for this socket; it is asked for when there is room. */
  offer(ch: number): void {
    (this.#offers ??= []).push(ch);
    this.#ask();
  }

  /** The page that was asked has sent its window. */
  pulled(ch: number): void {
    if (this.#asked === ch) this.#asked = null;
    this.#ask();
  }

  /** The shard of this page is gone and answers nothing any more. */
  forget(ch: number): void {
    this.#offers = this.#offers?.filter((one) => one !== ch) ?? null;
    this.pulled(ch);
  }

  #ask(): void {
    if (!this.#offers || this.#asked !== null || this.#answers || this.#bulk || !this.#mayBulk()) return;
    this.#asked = this.#offers.shift() ?? null;
    if (this.#offers.length === 0) this.#offers = null;
    if (this.#asked !== null) this.#options.pull(this.#socket, this.#asked);
  }

  /** The socket has written some of what it held. */
  drained(): void {
    if (this.#answers) this.#answers = this.#send(this.#answers, () => this.#mayAnswer());
    if (this.#bulk && !this.#answers) this.#bulk = this.#send(this.#bulk, () => this.#mayBulk());
    this.#ask();
  }

  #send(frames: Uint8Array[], mayGo: () => boolean): Uint8Array[] | null {
    let sent = 0;
    while (sent < frames.length && mayGo()) {
      const frame = frames[sent++]!;
      this.#bytes -= frame.length;
      this.#socket.send(frame);
    }
    return sent === frames.length ? null : frames.slice(sent);
  }

  /** The socket is gone. */
  clear(): void {
    this.#answers = this.#bulk = this.#offers = this.#asked = null;
    this.#bytes = 0;
  }
}

/** What is held for sockets that have not read it: for all of them, and for the one with most. */
export function unreadBytes(connections: Iterable<{ readonly outbox: Outbox }>): {
  unread: number;
  most: number;
} {
  let [unread, most] = [0, 0];
  for (const { outbox } of connections) {
    const { held } = outbox;
    unread += held;
    if (held > most) most = held;
  }
  return { unread, most };
}
