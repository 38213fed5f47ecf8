/**
 * What became of the spans, at /metrics; there whether anything is traced or not.
 */
import type { Registry } from 'prom-client';
import { Tally, TallyBy } from '../base/tally.ts';
import { DROPPED, type SpanCounts } from './otlp-exporter.ts';

export function measureSpans(registry: Registry): SpanCounts {
  const exported = new Tally(registry, 'octavo_spans_exported_total', 'Spans that the collector of traces has taken');
  const dropped = new TallyBy(registry, 'octavo_spans_dropped_total', 'Spans that it has not, by reason', 'reason', DROPPED);
  return { exported: (spans) => exported.add(spans), dropped: (spans, reason) => dropped.add(reason, spans) };
} // prettier-ignore
