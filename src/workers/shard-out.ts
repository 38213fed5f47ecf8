/**
 * A shard's stream to the gateway: records in their order, gathered into one batch a turn. The other direction is read
 * by `shard.ts`; the records' shapes stand in `envelope.ts` and `records.ts`.
 */
import type { Clock, Millis } from '../base/time.ts';
import type { Code } from '../protocol/codes.ts';
import { encodeServerMessage } from '../protocol/encode.ts';
import { idToBytes, type PageId } from '../protocol/ids.ts';
import type { Span } from '../tracing/span.ts';
import { EnvelopeWriter, FROM_SHARD } from './envelope.ts';
import { writeCh } from './number-records.ts';
import { writeSpans } from './trace-records.ts';

const BATCH_BYTES = 4 << 20;
const TOPICS_MAX = 10_000;

export class ShardOut {
  readonly #emit: (batch: Uint8Array) => void;
  readonly #out = new EnvelopeWriter();
  readonly #topics = new Map<PageId, Uint8Array>();
  readonly #clock: Clock;
  #since: Millis = Infinity;

  constructor(clock: Clock, emit: (batch: Uint8Array) => void) {
    this.#clock = clock;
    this.#emit = emit;
  }

  /** Everything that this turn brought, as one batch. */
  flush(): void {
    if (this.#out.isEmpty) return;
    const times = { at: this.#clock.monotonic(), since: this.#since };
    this.#since = Infinity;
    this.#emit(this.#out.take(times));
  }

  /** This batch tells of changes, the oldest of which came at `since`. */
  telling(since: Millis): void {
    if (since < this.#since) this.#since = since;
  }

  send(connection: number, frame: Uint8Array): void {
    this.#out.add(FROM_SHARD.send, connection, frame);
    this.#bound();
  }

  error(connection: number, code: Code, message: string, ch: number | null, retryAfterMs: number | null = null): void {
    this.send(connection, encodeServerMessage({ kind: 'error', code, message, retryAfterMs, ch }));
  } // prettier-ignore

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

  /** What of the traced has ended. */
  spans(spans: readonly Span[]): void {
    this.#out.add(FROM_SHARD.spans, 0, writeSpans(spans));
  }

  /** Snapshots for a crowd leave in pieces: one batch of all would be copied each time it grows. */
  #bound(): void {
    if (this.#out.length > BATCH_BYTES) this.flush();
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
