/**
 * Where it is decided what is traced, once for each thing: a frame that brings a change or opens a page, a handshake, an HTTP
 * request. Nothing of the gateway knows of it: it stands around the transport's handlers, and between the gateway and
 * the shards, whose records it wraps where they are traced. A node that traces nothing has none of this.
 *
 *      transport ─▶ handlers() ─▶ gateway ─▶ shards() ─▶ shards      gateway ◀─ records() ◀─ shards
 *
 * A handshake or request may bring a `traceparent`. It is the parent of its span, and its flag says whether that is traced;
 * what a traced handshake's socket opens belongs to its trace, and changes have traces of their own, with a link to it.
 */
import type { Log } from '../base/log.ts';
import type { Random } from '../base/random.ts';
import type { Clock, Millis } from '../base/time.ts';
import { bytesToId, type NodeId, type ReplicaId } from '../protocol/ids.ts';
import { CLIENT_KIND, SYNC_PATH } from '../protocol/messages.ts';
import { readRouteHead } from '../protocol/route.ts';
import type { DatedSpan } from '../tracing/otlp-json.ts';
import type { Sampler } from '../tracing/sampler.ts';
import { newSpanId, newTrace, parseTraceparent, type Span, type SpanContext } from '../tracing/span.ts';
import { FROM_SHARD, TO_SHARD } from '../workers/envelope.ts';
import { readSlowed } from '../workers/number-records.ts';
import type { ShardPoolEvents, Shards } from '../workers/shard-pool.ts';
import { readSpans, type TraceHead, writeTraced } from '../workers/trace-records.ts';
import type { HttpRequest, TransportHandlers } from './transport.ts';

export interface TracingOptions {
  readonly sampler: Sampler;
  readonly exporter: { add(spans: readonly DatedSpan[]): void };
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly node: NodeId;
}

interface Handshake extends SpanContext {
  readonly parentId: string | null;
  readonly start: Millis;
  readonly attributes: Span['attributes'];
}

/** So far the wall clock may be from where it was expected before times are read by it anew. */
const DRIFT_MS: Millis = 5;

export class Tracing {
  readonly #options: TracingOptions;
  /** By what the handshake hands to its socket. */
  readonly #handshakes = new WeakMap<object, Handshake>();
  /** Of sockets whose handshakes are traced. */
  readonly #parents = new Map<number, SpanContext>();
  readonly #replicas = new Map<number, ReplicaId>();
  /** When the frame came that is being handled, if it is to be traced. */
  #at: Millis | null = null;
  #isInFrame = false;
  /** What is added to `monotonic` for ms since 1970. */
  #epochMs: Millis;

  constructor(options: TracingOptions) {
    this.#options = options;
    this.#epochMs = options.clock.now() - options.clock.monotonic();
  }

  handlers<Context extends object>(handlers: TransportHandlers<Context>): TransportHandlers<Context> {
    const { sampler, clock } = this.#options;
    return {
      ...handlers,
      upgrade: (asked) => {
        const start = clock.monotonic();
        const decision = handlers.upgrade(asked);
        const context = this.#drawn(asked);
        if (!context) return decision;
        const status = decision.accept ? 101 : decision.status;
        const handshake = { ...context, start, attributes: request(asked.path === SYNC_PATH ? SYNC_PATH : null, status) };
        if (decision.accept) this.#handshakes.set(decision.context, handshake);
        else this.#ended(handshake, {});
        return decision;
      },
      open: (socket, context) => {
        const handshake = this.#handshakes.get(context);
        if (handshake) {
          this.#parents.set(socket.id, handshake);
          this.#ended(handshake, { 'octavo.connection': socket.id });
        }
        handlers.open(socket, context);
      },
      message: (socket, bytes, isBinary) => {
        this.#at = sampler.next() ? clock.monotonic() : null;
        this.#isInFrame = true;
        try {
          handlers.message(socket, bytes, isBinary);
        } finally {
          this.#isInFrame = false;
          this.#at = null;
        }
      },
      close: (socket, code) => {
        this.#parents.delete(socket.id);
        this.#replicas.delete(socket.id);
        handlers.close(socket, code);
      },
      http: async (asked) => {
        const context = this.#drawn(asked);
        if (!context) return handlers.http(asked);
        const { path } = asked;
        const start = clock.monotonic();
        const reply = await handlers.http(asked);
        this.#ended({ ...context, start, attributes: request(reply.status === 404 ? null : path, reply.status) }, {});
        return reply;
      },
    };
  } // prettier-ignore

  /** The span of a request, if it is to have one: who sends a traceparent decides, as far as there is room. */
  #drawn(asked: HttpRequest): (SpanContext & { readonly parentId: string | null }) | undefined {
    const { sampler, random } = this.#options;
    const parent = parseTraceparent(asked.header('traceparent'));
    const wanted = parent ? parent.sampled && sampler.allowed() : sampler.next();
    if (!wanted) return undefined;
    if (!parent) return { ...newTrace(random), parentId: null };
    return { traceId: parent.traceId, spanId: newSpanId(random), parentId: parent.spanId };
  }

  #ended({ traceId, spanId, parentId, start, attributes }: Handshake, more: Span['attributes']): void {
    const route = attributes['http.route'];
    const name = route === undefined ? 'GET' : `GET ${String(route)}`;
    const end = this.#options.clock.monotonic();
    this.#add([{ traceId, spanId, parentId, name, kind: 'server', start, end, attributes: { ...attributes, ...more } }], end);
  } // prettier-ignore

  /** The same shards; what is traced goes to them with what they are to know of it. */
  shards(shards: Shards): Shards {
    return {
      shardOf: (page) => shards.shardOf(page),
      unavailableMs: (page) => shards.unavailableMs(page),
      post: (shard, type, connection, bytes) => {
        const head = this.#head(type, connection, bytes);
        if (head) shards.post(shard, TO_SHARD.traced, connection, writeTraced(head, type, bytes));
        else shards.post(shard, type, connection, bytes);
      },
    };
  }

  #head(type: number, connection: number, bytes: Uint8Array): TraceHead | undefined {
    const { clock, random, sampler } = this.#options;
    const handshake = this.#parents.get(connection);
    if (type === TO_SHARD.subscribe) {
      // A frame that waited for its token was not looked at when it came.
      const wanted = this.#at !== null || (handshake ? sampler.allowed() : !this.#isInFrame && sampler.next());
      const replica = bytesToId<ReplicaId>(bytes, 1);
      this.#replicas.set(connection, replica);
      if (!wanted) return undefined;
      const sent = clock.monotonic();
      const own = handshake ? { traceId: handshake.traceId, spanId: newSpanId(random) } : newTrace(random);
      return { ...own, parentId: handshake?.spanId ?? null, at: this.#at ?? sent, sent, replica };
    }
    if (this.#at === null) return undefined;
    const isFrame = type === TO_SHARD.frame;
    if (!isFrame && type !== TO_SHARD.slowed) return undefined;
    if (readRouteHead(isFrame ? bytes : readSlowed(bytes).frame)?.kind !== CLIENT_KIND.change) return undefined;
    const replica = this.#replicas.get(connection);
    if (!replica) return undefined;
    const links = handshake ? [{ traceId: handshake.traceId, spanId: handshake.spanId }] : undefined;
    return { ...newTrace(random), parentId: null, ...(links && { links }), at: this.#at, sent: clock.monotonic(), replica };
  } // prettier-ignore

  /** Takes its own records out of the shards' streams: what stood before one in its stream has been handled. */
  records(record: ShardPoolEvents['record']): ShardPoolEvents['record'] {
    return (type, connection, bytes) => {
      if (type === FROM_SHARD.spans) this.#add(readSpans(bytes), this.#options.clock.monotonic());
      else record(type, connection, bytes);
    };
  }

  #add(spans: readonly Span[], now: Millis): void {
    const { clock, node, log } = this.#options;
    const epochMs = clock.now() - now;
    if (Math.abs(epochMs - this.#epochMs) > DRIFT_MS) this.#epochMs = epochMs;
    const dated = spans.map((span): DatedSpan => {
      const { start, end } = span;
      const attributes = { ...span.attributes, 'octavo.node': node };
      return { ...span, attributes, start: start + this.#epochMs, end: (end ?? now) + this.#epochMs };
    });
    this.#options.exporter.add(dated);
    for (const { traceId, name, start, end, kind, attributes } of dated) {
      if (kind !== 'server') continue;
      const page = attributes['octavo.page'];
      const connection = attributes['octavo.connection'];
      const outcome = attributes['octavo.outcome'];
      log.debug({ trace: traceId, span: name, page, connection, outcome, ms: Math.round(end - start) }, 'a trace was recorded');
    }
  } // prettier-ignore
}

/** Only a path that is served here is named: any other may hold anything. */
function request(route: string | null, status: number): Span['attributes'] {
  const named = route === null ? {} : { 'http.route': route };
  return { 'http.request.method': 'GET', ...named, 'http.response.status_code': status };
}
