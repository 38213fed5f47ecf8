/**
 * The bodies of the records between gateway and shard that carry traces (see `envelope.ts`), for the few things that are traced:
 * so JSON is quick enough.
 *
 *     to the shard      [length u16] [head]   [type u8] [the record that is traced, as it would be without]
 *     from the shard    [spans]
 */
import type { Millis } from '../base/time.ts';
import type { ReplicaId } from '../protocol/ids.ts';
import type { Span, SpanContext } from '../tracing/span.ts';

/** The span that the shard is to make, and what the gateway knows of it. */
export interface TraceHead extends SpanContext {
  readonly parentId: string | null;
  readonly links?: readonly SpanContext[];
  /** When the frame came, and when it went on to the shard. */
  readonly at: Millis;
  readonly sent: Millis;
  /** Of the socket's HELLO. */
  readonly replica: ReplicaId;
}

const utf8Encoder = new TextEncoder();
const utf8Decoder = new TextDecoder();

export function writeTraced(head: TraceHead, type: number, record: Uint8Array): Uint8Array {
  const json = utf8Encoder.encode(JSON.stringify(head));
  const bytes = new Uint8Array(3 + json.length + record.length);
  bytes[0] = json.length & 255;
  bytes[1] = json.length >>> 8;
  bytes.set(json, 2);
  bytes[2 + json.length] = type;
  bytes.set(record, 3 + json.length);
  return bytes;
}

export function readTraced(bytes: Uint8Array): { head: TraceHead; type: number; record: Uint8Array } {
  const end = 2 + (bytes[0]! | (bytes[1]! << 8));
  const head = JSON.parse(utf8Decoder.decode(bytes.subarray(2, end))) as TraceHead;
  return { head, type: bytes[end]!, record: bytes.subarray(end + 1) };
}

export const writeSpans = (spans: readonly Span[]): Uint8Array => utf8Encoder.encode(JSON.stringify(spans));

export const readSpans = (bytes: Uint8Array): Span[] => JSON.parse(utf8Decoder.decode(bytes)) as Span[];
