/**
 * A shard's traces: reads the records that bring what is traced, and puts an eye on the shard's two ways out, to the store
 * and to the gateway. A shard that traces nothing has none of this; neither actors nor the commit loop know of it.
 */
import type { Random } from '../base/random.ts';
import type { Clock } from '../base/time.ts';
import type { LogStore } from '../persistence/log-store.ts';
import { decodeClientMessage, decodeServerMessage, isMalformed } from '../protocol/decode.ts';
import { SERVER_KIND } from '../protocol/messages.ts';
import type { Span } from '../tracing/span.ts';
import { ChangeTraces } from './change-traces.ts';
import { TO_SHARD } from './envelope.ts';
import { JoinTraces } from './join-traces.ts';
import { readSlowed } from './number-records.ts';
import type { OpenPages } from './open-pages.ts';
import { readSubscribeHead } from './records.ts';
import { readTraced, type TraceHead } from './trace-records.ts';
import { tracedStore } from './traced-store.ts';

/** Those that say what became of a change, or of an attempt at a page. */
const ANSWERS: ReadonlySet<number> = new Set([SERVER_KIND.reject, SERVER_KIND.ack, SERVER_KIND.error]);

export interface ShardTracesOptions {
  readonly clock: Clock;
  readonly random: Random;
}

export class ShardTraces {
  readonly changes: ChangeTraces;
  readonly joins: JoinTraces;
  #finished: Span[] = [];

  constructor({ clock, random }: ShardTracesOptions) {
    const done = (spans: readonly Span[]) => void this.#finished.push(...spans);
    this.changes = new ChangeTraces(clock, random, done);
    this.joins = new JoinTraces(clock, random, done);
  }

  /** The same store, looked at. */
  watch(store: LogStore): LogStore {
    return tracedStore(store, this.changes);
  }

  /** Handles a `traced` record: what is in it goes the way that it would have gone without. */
  handle(
    connection: number,
    bytes: Uint8Array,
    pages: OpenPages,
    record: (type: number, connection: number, bytes: Uint8Array) => void,
  ): void {
    const { head, type, record: inner } = readTraced(bytes);
    const handle = () => record(type, connection, inner);
    if (type === TO_SHARD.subscribe) return this.#subscribe(head, connection, inner, handle);
    const message = decodeClientMessage(type === TO_SHARD.slowed ? readSlowed(inner).frame : inner);
    const page =
      !isMalformed(message) && message.kind === 'change' ? pages.find(connection, message.ch) : undefined;
    if (!page || isMalformed(message) || message.kind !== 'change') return handle();
    const { n, ops, replica } = message;
    this.changes.handle(head, { connection, page, replica: replica ?? head.replica, n, ops }, handle);
  }

  #subscribe(head: TraceHead, connection: number, record: Uint8Array, handle: () => void): void {
    const message = decodeClientMessage(readSubscribeHead(record).frame);
    if (isMalformed(message) || message.kind !== 'subscribe') return handle();
    this.joins.handle(head, connection, message.ch, message.page, handle);
  }

  /** A frame for one client. */
  sent(connection: number, frame: Uint8Array): void {
    if (this.changes.size === 0 && this.joins.size === 0) return;
    // The kind stands behind the head of a short array.
    if (!ANSWERS.has(frame[1]!)) return;
    const message = decodeServerMessage(frame);
    if (isMalformed(message)) return;
    this.changes.answered(message);
    this.joins.answered(connection, message);
  }

  /** What has ended since the last call. Called at the end of each turn, and so at least once a second. */
  take(): readonly Span[] {
    this.changes.expire();
    this.joins.expire();
    const finished = this.#finished;
    if (finished.length > 0) this.#finished = [];
    return finished;
  }
}
