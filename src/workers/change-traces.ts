/**
 * The traced changes of a shard, from the record that brings one to the frame that tells the page of it:
 *
 *      change    at ──────────────────────────────────────────────▶ told
 *        gateway        at ─▶ sent
 *        shard.queue          sent ─▶ taken
 *        actor                       taken ─▶ handled
 *        commit                              handled ─▶ committed        links to each `append` that it was in
 *        broadcast                                      committed ─▶ told
 *      append           (a trace of its own: the statement that many changes share)   links to their `commit`
 *
 * Nothing here is part of the way itself: it looks at what comes in, at what is handed to the store and read from it, and at
 * what goes out. A change of which nothing is heard for long ends as `unknown`.
 */
import type { Random } from '../base/random.ts';
import type { Clock, Millis } from '../base/time.ts';
import type { AppendBatch, LogEntry } from '../persistence/log-store.ts';
import type { PageId, ReplicaId } from '../protocol/ids.ts';
import type { ServerMessage } from '../protocol/messages.ts';
import { newSpanId, newTrace, type Span, type SpanContext } from '../tracing/span.ts';
import type { TraceHead } from './trace-records.ts';

interface OpenChange {
  readonly head: TraceHead;
  readonly page: PageId;
  readonly replica: ReplicaId;
  readonly n: number;
  readonly attributes: Span['attributes'];
  readonly commitId: string;
  readonly taken: Millis;
  handled: Millis;
  committed: Millis | null;
  appends: SpanContext[];
  /** Known while its page still handles it. */
  ended: { readonly outcome: string; readonly code: string | undefined } | null;
}

export interface TracedChange {
  readonly connection: number;
  readonly page: PageId;
  readonly replica: ReplicaId;
  readonly n: number;
  readonly ops: Uint8Array;
}

/** An append with traced changes in it. */
export interface TracedAppend {
  readonly span: SpanContext;
  readonly started: Millis;
  readonly batches: readonly AppendBatch[];
  readonly changes: readonly OpenChange[];
}

const OPEN_MAX = 1000;
const UNKNOWN_AFTER_MS: Millis = 30_000;
const APPENDS_MAX = 8;

export class ChangeTraces {
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #done: (spans: readonly Span[]) => void;
  readonly #open = new Map<string, OpenChange>();
  /** Those that are not known to be in the log yet. */
  readonly #waiting = new Map<PageId, number>();
  #handling: OpenChange | null = null;

  constructor(clock: Clock, random: Random, done: (spans: readonly Span[]) => void) {
    this.#clock = clock;
    this.#random = random;
    this.#done = done;
  }

  get size(): number {
    return this.#open.size;
  }

  /** A change has come; `handle` gives it to its page. */
  handle(head: TraceHead, { connection, page, replica, n, ops }: TracedChange, handle: () => void): void {
    const key = keyOf(replica, n);
    if (this.#open.size >= OPEN_MAX || this.#open.has(key)) return handle();
    const taken = this.#clock.monotonic();
    const attributes = {
      'octavo.page': page,
      'octavo.connection': connection,
      'octavo.ops': opCount(ops),
      'octavo.bytes': ops.length,
    };
    const commitId = newSpanId(this.#random);
    const change: OpenChange = { head, page, replica, n, attributes, commitId, taken, handled: taken, committed: null, appends: [], ended: null };
    this.#open.set(key, change);
    this.#waiting.set(page, (this.#waiting.get(page) ?? 0) + 1);
    this.#handling = change;
    handle();
    this.#handling = null;
    change.handled = this.#clock.monotonic();
    if (change.ended) this.#finish(change, change.ended.outcome, change.ended.code);
  } // prettier-ignore

  /** What a client is told of its changes. */
  answered(message: ServerMessage): void {
    if (message.kind === 'reject') {
      const change = this.#open.get(keyOf(message.replica, message.n));
      if (change) this.#finish(change, 'refused', message.code);
    } else if (message.kind === 'ack') {
      for (const change of this.#open.values())
        if (change.replica === message.replica && change.n <= message.n) this.#finish(change, 'duplicate');
    }
  }

  /** These go to the database: undefined if none of them is traced. */
  appending(batches: readonly AppendBatch[]): TracedAppend | undefined {
    if (this.#waiting.size === 0) return undefined;
    const changes = batches.flatMap(({ page, changes: all }) =>
      this.#waiting.has(page) ? all.flatMap(({ replica, n }) => this.#open.get(keyOf(replica, n)) ?? []) : [],
    );
    if (changes.length === 0) return undefined;
    const span = newTrace(this.#random);
    for (const change of changes) if (change.appends.length < APPENDS_MAX) change.appends.push(span);
    return { span, started: this.#clock.monotonic(), batches, changes };
  }

  /** `appended`: the pages that were; null: the statement failed, with `code`. */
  appended({ span, started, batches, changes }: TracedAppend, appended: ReadonlyMap<PageId, boolean> | null, code?: string): void {
    const end = this.#clock.monotonic();
    const all = batches.flatMap((batch) => batch.changes);
    this.#done([{
      ...span, parentId: null, name: 'append', kind: 'client', start: started, end,
      attributes: {
        'db.system.name': 'postgresql',
        'octavo.append.pages': batches.length,
        'octavo.append.changes': all.length,
        'octavo.append.bytes': all.reduce((sum, { body }) => sum + body.length, 0),
        'octavo.append.conflicts': appended ? batches.length - appended.size : 0,
      },
      links: changes.map(({ head, commitId }) => ({ traceId: head.traceId, spanId: commitId })),
      ...(code !== undefined && { failed: code }),
    }]);
    for (const change of changes) if (appended?.has(change.page)) this.#committed(change, end);
  } // prettier-ignore

  /** What the log of a page was found to hold: an append of unknown outcome may have put it there. */
  logged(page: PageId, entries: readonly LogEntry[]): void {
    if (!this.#waiting.has(page)) return;
    const now = this.#clock.monotonic();
    for (const { replica, n } of entries) {
      const change = this.#open.get(keyOf(replica, n));
      if (change) this.#committed(change, now);
    }
  }

  #committed(change: OpenChange, now: Millis): void {
    if (change.committed !== null) return;
    change.committed = now;
    this.#known(change.page);
  }

  /** The page was told something: what of it is in the log by now. */
  published(page: PageId): void {
    for (const change of this.#open.values())
      if (change.page === page && change.committed !== null) this.#finish(change, 'committed');
  }

  /** Lets go of those of which nothing is heard any more. */
  expire(): void {
    const before = this.#clock.monotonic() - UNKNOWN_AFTER_MS;
    for (const change of this.#open.values()) {
      if (change.taken > before) return;
      this.#finish(change, change.committed === null ? 'unknown' : 'committed');
    }
  }

  #known(page: PageId): void {
    const left = this.#waiting.get(page)! - 1;
    if (left > 0) this.#waiting.set(page, left);
    else this.#waiting.delete(page);
  }

  #finish(change: OpenChange, outcome: string, code?: string): void {
    if (change === this.#handling) return void (change.ended = { outcome, code });
    const { head, commitId, taken, handled, committed, appends } = change;
    this.#open.delete(keyOf(change.replica, change.n));
    if (committed === null) this.#known(change.page);
    const { traceId, spanId, parentId, links } = head;
    const child = (name: string, start: Millis, end: Millis | null): Span =>
      ({ traceId, spanId: newSpanId(this.#random), parentId: spanId, name, kind: 'internal', start, end, attributes: {} }); // prettier-ignore
    const attributes = { ...change.attributes, 'octavo.outcome': outcome, ...(code !== undefined && { 'octavo.code': code }) };
    const failed = outcome === 'refused' || outcome === 'unknown' ? { failed: code ?? outcome } : {};
    const spans: Span[] = [
      { traceId, spanId, parentId, name: 'change', kind: 'server', start: head.at, end: null, attributes, ...(links && { links }), ...failed },
      child('gateway', head.at, head.sent),
      child('shard.queue', head.sent, taken),
      child('actor', taken, handled),
    ];
    if (committed !== null) {
      spans.push({ ...child('commit', handled, committed), spanId: commitId, links: appends });
      spans.push(child('broadcast', committed, null));
    }
    this.#done(spans);
  } // prettier-ignore
}

const keyOf = (replica: ReplicaId, n: number) => `${replica}.${n}`;

/** Of the array that a change's ops are: its length stands in its head. */
function opCount(ops: Uint8Array): number {
  const first = ops[0] ?? 0;
  if (first >> 4 === 0x9) return first & 0xf;
  const view = new DataView(ops.buffer, ops.byteOffset, ops.byteLength);
  if (first === 0xdc && ops.length >= 3) return view.getUint16(1);
  return first === 0xdd && ops.length >= 5 ? view.getUint32(1) : 0;
}
