/**
 * The traced joins of a shard, from the record that brings a SUBSCRIBE to the last frame that makes the reader whole:
 *
 *      join      at ───────────────────────────────────────▶ all is sent
 *        gateway        at ─▶ sent
 *        shard.queue          sent ─▶ taken
 *        load                        taken ─▶ loaded          where the page had to be waited for
 *        send                                 loaded ─▶ all is sent; in windows, as the reader takes them
 *
 * It looks at what goes out, as `change-traces.ts` does.
 */
import type { Random } from '../base/random.ts';
import type { Clock, Millis } from '../base/time.ts';
import type { PageId } from '../protocol/ids.ts';
import { type ServerMessage, SERVER_KIND } from '../protocol/messages.ts';
import { readRouteHead } from '../protocol/route.ts';
import { newSpanId, type Span } from '../tracing/span.ts';
import type { TraceHead } from './trace-records.ts';

interface OpenJoin {
  readonly head: TraceHead;
  readonly connection: number;
  readonly ch: number;
  readonly page: PageId;
  readonly taken: Millis;
  /** Null: the page was in memory. */
  loaded: Millis | null;
  waits: boolean;
  joined: boolean;
  /** More is to be pulled. */
  offered: boolean;
  snapshotBytes: number;
  code: string | undefined;
}

const OPEN_MAX = 1000;
const UNKNOWN_AFTER_MS: Millis = 30_000;

export class JoinTraces {
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #done: (spans: readonly Span[]) => void;
  readonly #open = new Map<string, OpenJoin>();

  constructor(clock: Clock, random: Random, done: (spans: readonly Span[]) => void) {
    this.#clock = clock;
    this.#random = random;
    this.#done = done;
  }

  get size(): number {
    return this.#open.size;
  }

  /** A SUBSCRIBE has come; `handle` gives it to its page. */
  handle(head: TraceHead, connection: number, ch: number, page: PageId, handle: () => void): void {
    if (this.#open.size >= OPEN_MAX) return handle();
    const taken = this.#clock.monotonic();
    const join: OpenJoin = { head, connection, ch, page, taken, loaded: null, waits: false, joined: false, offered: false, snapshotBytes: 0, code: undefined };
    this.#open.set(keyOf(connection, ch), join);
    handle();
    join.waits = !join.joined;
  } // prettier-ignore

  answered(connection: number, message: ServerMessage): void {
    if (message.kind !== 'error' || message.ch === null) return;
    const join = this.#open.get(keyOf(connection, message.ch));
    if (join) join.code = message.code;
  }

  bulk(connection: number, frame: Uint8Array): void {
    const head = readRouteHead(frame);
    const join = head?.kind === SERVER_KIND.snapshot && this.#open.get(keyOf(connection, head.ch));
    if (join) join.snapshotBytes += frame.length;
  }

  offered(connection: number, ch: number): void {
    const join = this.#open.get(keyOf(connection, ch));
    if (join) join.offered = true;
  }

  /** The reader follows the page from here on: it is whole, unless something was offered. */
  joined(connection: number, page: PageId): void {
    for (const join of this.#open.values()) {
      if (join.connection !== connection || join.page !== page || join.joined) continue;
      join.joined = true;
      if (join.waits) join.loaded = this.#clock.monotonic();
      if (!join.offered) this.#finish(join, 'joined');
      join.offered = false;
    }
  }

  /** A window was sent: it was the last, unless more was offered with it. */
  pulled(connection: number, ch: number): void {
    const join = this.#open.get(keyOf(connection, ch));
    if (!join?.joined) return;
    if (!join.offered) this.#finish(join, 'joined');
    join.offered = false;
  }

  forgotten(connection: number, ch: number): void {
    const join = this.#open.get(keyOf(connection, ch));
    if (join) this.#finish(join, 'refused');
  }

  /** Lets go of those of which nothing is heard any more: readers who left. */
  expire(): void {
    const before = this.#clock.monotonic() - UNKNOWN_AFTER_MS;
    for (const join of this.#open.values()) {
      if (join.taken > before) return;
      this.#finish(join, 'unknown');
    }
  }

  #finish(join: OpenJoin, outcome: string): void {
    const { head, connection, ch, page, taken, loaded, snapshotBytes, code, waits } = join;
    this.#open.delete(keyOf(connection, ch));
    const { traceId, spanId, parentId } = head;
    const child = (name: string, start: Millis, end: Millis | null): Span =>
      ({ traceId, spanId: newSpanId(this.#random), parentId: spanId, name, kind: 'internal', start, end, attributes: {} }); // prettier-ignore
    const attributes = {
      'octavo.page': page,
      'octavo.connection': connection,
      'octavo.join.from': waits ? 'database' : 'memory',
      'octavo.join.snapshot_bytes': snapshotBytes,
      'octavo.outcome': outcome,
      ...(code !== undefined && { 'octavo.code': code }),
    };
    const failed = outcome === 'joined' ? {} : { failed: code ?? outcome };
    const spans: Span[] = [
      { traceId, spanId, parentId, name: 'join', kind: 'server', start: head.at, end: null, attributes, ...failed },
      child('gateway', head.at, head.sent),
      child('shard.queue', head.sent, taken),
    ];
    if (loaded !== null) spans.push(child('load', taken, loaded));
    if (outcome === 'joined') spans.push(child('send', loaded ?? taken, null));
    this.#done(spans);
  } // prettier-ignore
}

const keyOf = (connection: number, ch: number) => `${connection}.${ch}`;
