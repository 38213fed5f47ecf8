/**
 * Batches of records between the gateway and a shard: one transferable buffer per turn and direction. A batch begins with
 * two times (`BatchTimes`); then come records:
 *
 *     [at f64] [since f64]     [type u8] [connection u32] [length u32] [bytes]  …          little-endian
 *
 * To the shard: `frame` (a client's message, unopened), `slowed` (a change past its user's rate: the wait, then the
 * message), `subscribe` (what the gateway knows, then the message), `role`, `closed`, `pull` (a ch: the socket has room for
 * the next window), `resume` (a ch: the socket reads again). From the shard: `send`, `bulk` (a send that may wait for its
 * reader), `publish`, `join`, `leave` (a page id before the rest), and with a ch: `forget`, `offer` (there is more to pull),
 * `pulled` (the answer to `pull`, after its bulk). `traced` to the shard, and `spans` from it: see `trace-records.ts`.
 */
import { assert } from '../base/assert.ts';
import type { Millis } from '../base/time.ts';

export const TO_SHARD = {
  frame: 1, subscribe: 2, role: 3, unsubscribe: 4, closed: 5, slowed: 6, pull: 7, resume: 8, traced: 9,
} as const; // prettier-ignore
export const FROM_SHARD = {
  send: 1, publish: 2, join: 3, leave: 4, forget: 5, bulk: 6, offer: 7, pulled: 8, spans: 9,
} as const; // prettier-ignore

const TIMES_BYTES = 16;
const HEAD_BYTES = 9;
const FIRST_CAPACITY = 16 << 10;

/** On the clock that all threads share: for the metrics only. */
export interface BatchTimes {
  /** When its first record was written. */
  readonly at: Millis;
  /** From a shard: when the oldest of the changes came that it tells of; Infinity if it tells of none. */
  readonly since: Millis;
}

const NO_TIMES: BatchTimes = { at: 0, since: Infinity };

export class EnvelopeWriter {
  #bytes = new Uint8Array(FIRST_CAPACITY);
  #view = new DataView(this.#bytes.buffer);
  #length = TIMES_BYTES;

  get isEmpty(): boolean {
    return this.#length === TIMES_BYTES;
  }

  get length(): number {
    return this.#length;
  }

  add(type: number, connection: number, bytes: Uint8Array): void {
    const at = this.#head(type, connection, bytes.length);
    this.#bytes.set(bytes, at);
  }

  /** A record whose bytes are two parts, one after the other. */
  addPair(type: number, connection: number, first: Uint8Array, second: Uint8Array): void {
    const at = this.#head(type, connection, first.length + second.length);
    this.#bytes.set(first, at);
    this.#bytes.set(second, at + first.length);
  }

  #head(type: number, connection: number, length: number): number {
    const at = this.#length;
    const needed = at + HEAD_BYTES + length;
    if (needed > this.#bytes.length) {
      const larger = new Uint8Array(Math.max(needed, this.#bytes.length * 2));
      larger.set(this.#bytes.subarray(0, at));
      this.#bytes = larger;
      this.#view = new DataView(larger.buffer);
    }
    this.#bytes[at] = type;
    this.#view.setUint32(at + 1, connection, true);
    this.#view.setUint32(at + 5, length, true);
    this.#length = needed;
    return at + HEAD_BYTES;
  }

  /** The batch, in a buffer of its own that can be transferred; the writer starts anew. */
  take({ at, since } = NO_TIMES): Uint8Array {
    this.#view.setFloat64(0, at, true);
    this.#view.setFloat64(8, since, true);
    const batch = this.#bytes.subarray(0, this.#length);
    this.#bytes = new Uint8Array(FIRST_CAPACITY);
    this.#view = new DataView(this.#bytes.buffer);
    this.#length = TIMES_BYTES;
    return batch;
  }
}

export function batchTimes(batch: Uint8Array): BatchTimes {
  const view = new DataView(batch.buffer, batch.byteOffset, TIMES_BYTES);
  return { at: view.getFloat64(0, true), since: view.getFloat64(8, true) };
}

/**
 * Calls `visit` for each record of a batch from `from` on, in order, until it says false. The bytes are views into the batch.
 * Returns where the next record begins.
 */
export function readEnvelope(
  batch: Uint8Array,
  visit: (type: number, connection: number, bytes: Uint8Array) => boolean | void,
  from = TIMES_BYTES,
): number {
  const view = new DataView(batch.buffer, batch.byteOffset, batch.byteLength);
  let at = from;
  while (at < batch.length) {
    const length = view.getUint32(at + 5, true);
    const start = at + HEAD_BYTES;
    assert(start + length <= batch.length, 'a batch holds whole records');
    const record = at;
    at = start + length;
    if (visit(batch[record]!, view.getUint32(record + 1, true), batch.subarray(start, at)) === false) break;
  }
  return at;
}
