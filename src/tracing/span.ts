/**
 * What a trace is made of. Spans are recorded after the fact, as plain data that can cross threads: the gateway decides whether a
 * change is traced and names its root, the shard notes when what happened and hands whole spans back, and the main thread
 * exports them. Times are of the clock that all threads share (`Clock.monotonic`); attributes hold ids, counts and codes,
 * never what people write.
 */
import type { Random } from '../base/random.ts';
import type { Millis } from '../base/time.ts';

export interface SpanContext {
  /** 32 hex digits. */
  readonly traceId: string;
  /** 16 hex digits. */
  readonly spanId: string;
}

export type Attributes = { readonly [name: string]: string | number | boolean };

export interface Span extends SpanContext {
  readonly parentId: string | null;
  readonly name: string;
  /** The work for one request or frame of a client, part of it, or a question to another server. */
  readonly kind: 'server' | 'internal' | 'client';
  readonly start: Millis;
  /** null: when the main thread has handled what came before this span in the shard's stream. */
  readonly end: Millis | null;
  readonly attributes: Attributes;
  readonly links?: readonly SpanContext[];
  /** Why it failed: a code. */
  readonly failed?: string;
}

const hex = (random: Random, bytes: number) => Buffer.from(random.bytes(bytes)).toString('hex');

export const newSpanId = (random: Random): string => hex(random, 8);

/** A trace's first span. */
export const newTrace = (random: Random): SpanContext => ({
  traceId: hex(random, 16),
  spanId: newSpanId(random),
});

const TRACEPARENT = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(?:$|-)/;
const SAMPLED = 1;

/** The header of W3C Trace Context; undefined: there is none, or it is not of that shape. */
export function parseTraceparent(header: string): (SpanContext & { readonly sampled: boolean }) | undefined {
  const [whole, version, traceId, spanId, flags] = TRACEPARENT.exec(header) ?? [];
  if (!traceId || !spanId || version === 'ff' || /^0+$/.test(traceId) || /^0+$/.test(spanId))
    return undefined;
  // Only a later version may go on.
  if (version === '00' && whole !== header) return undefined;
  return { traceId, spanId, sampled: (Number.parseInt(flags!, 16) & SAMPLED) !== 0 };
}
