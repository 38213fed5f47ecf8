/**
 * A shard's stream to the gateway: records in their order, gathered into one batch a turn. The other direction is read
 * by `shard.ts`; the records' shapes stand in `envelope.ts` and `records.ts`.
 */
import { idToBytes, type PageId } from '../protocol/ids.ts';
import { EnvelopeWriter, FROM_SHARD } from './envelope.ts';
import { writeCh } from './number-records.ts';

const BATCH_BYTES = 4 << 20;
const TOPICS_MAX = 10_000;

export class ShardOut {
  readonly #emit: (batch: Uint8Array) => void;
  readonly #out = new EnvelopeWriter();
  readonly #topics = new Map<PageId, Uint8Array>();

  constructor(emit: (batch: Uint8Array) => void) {
    this.#emit = emit;
  }

  /** Everything that this turn brought, as one batch. */
  flush(): void {
    if (!this.#out.isEmpty) this.#emit(this.#out.take());
  }

  send(connection: number, frame: Uint8Array): void {
    this.#out.add(FROM_SHARD.send, connection, frame);
    this.#bound();
  }

  sendBulk(connection: number, frame: Uint8Array): void {
    this.#out.add(FROM_SHARD.bulk, connection, frame);
    this.#bound();
  }

  /** More of what `sendBulk` sends is to be had, when the reader has room for it. */
  offerBulk(connection: number, ch: number): void {
    this.#out.add(FROM_SHARD.offer, connection, writeCh(ch));
  }

  /** A window was sent, or there is nothing left to send; `ch` as its record. */
  pulled(connection: number, ch: Uint8Array): void {
    this.#out.add(FROM_SHARD.pulled, connection, ch);
  }

  publish(page: PageId, frame: Uint8Array): void {
    this.#out.addPair(FROM_SHARD.publish, 0, this.#topic(page), frame);
  }

  join(connection: number, page: PageId): void {
    this.#out.add(FROM_SHARD.join, connection, this.#topic(page));
  }

  leave(connection: number, page: PageId): void {
    this.#out.add(FROM_SHARD.leave, connection, this.#topic(page));
  }

  forget(connection: number, ch: number): void {
    this.#out.add(FROM_SHARD.forget, connection, writeCh(ch));
  }

  /** Snapshots for a crowd leave in pieces: one batch of all would be copied each time it grows. */
  #bound(): void {
    if (this.#out.length > BATCH_BYTES) this.#emit(this.#out.take());
  }

  #topic(page: PageId): Uint8Array {
    let topic = this.#topics.get(page);
    if (!topic) {
      // Only a cache of 16-byte forms: emptied when it is large.
      if (this.#topics.size > TOPICS_MAX) this.#topics.clear();
      this.#topics.set(page, (topic = idToBytes(page)));
    }
    return topic;
  }
}
