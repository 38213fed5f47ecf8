/**
 * Spans as the body of an OTLP/HTTP request: protobuf's JSON form as OTLP has it (ids in hex, times and integers as texts).
 * Pure.
 */
import type { Millis } from '../base/time.ts';
import type { Attributes, Span, SpanContext } from './span.ts';

/** A span whose times are ms since 1970. */
export type DatedSpan = Span & { readonly end: Millis };

const KINDS = { internal: 1, server: 2, client: 3 } as const;
const ERROR = 2;
/** Of W3C: this one is taken. */
const SAMPLED = 1;

function value(of: string | number | boolean): object {
  if (typeof of === 'string') return { stringValue: of };
  if (typeof of === 'boolean') return { boolValue: of };
  return Number.isSafeInteger(of) ? { intValue: String(of) } : { doubleValue: of };
}

const keyValues = (attributes: Attributes) =>
  Object.entries(attributes).map(([key, of]) => ({ key, value: value(of) }));

/** To the µs: a number of this size holds no more. */
const nanoseconds = (ms: Millis) => `${Math.round(ms * 1000)}000`;

const link = ({ traceId, spanId }: SpanContext) => ({ traceId, spanId });

function encodeSpan({ traceId, spanId, parentId, name, kind, start, end, attributes, links, failed }: DatedSpan): object {
  return {
    traceId,
    spanId,
    ...(parentId !== null && { parentSpanId: parentId }),
    name,
    kind: KINDS[kind],
    flags: SAMPLED,
    startTimeUnixNano: nanoseconds(start),
    // Two threads' clocks may differ by less than a µs.
    endTimeUnixNano: nanoseconds(Math.max(start, end)),
    attributes: keyValues(attributes),
    ...(links && { links: links.map(link) }),
    ...(failed !== undefined && { status: { code: ERROR, message: failed } }),
  };
} // prettier-ignore

/** `resource`: who says so. */
export function encodeOtlp(resource: Attributes, version: string, spans: readonly DatedSpan[]): string {
  const scope = { name: 'octavo', version };
  const scopeSpans = [{ scope, spans: spans.map(encodeSpan) }];
  return JSON.stringify({ resourceSpans: [{ resource: { attributes: keyValues(resource) }, scopeSpans }] });
}
