/**
 * Traces, as `main` starts and stops them: what samples them, what they stand around, what exports them. A node that is not told
 * where to send any has handlers, shards and records as they are.
 */
import { readFileSync } from 'node:fs';
import type { Registry } from 'prom-client';
import type { Log } from './base/log.ts';
import { systemRandom } from './base/random.ts';
import { type Millis, systemClock } from './base/time.ts';
import { Tracing } from './gateway/tracing.ts';
import type { NodeId } from './protocol/ids.ts';
import { encodeOtlp } from './tracing/otlp-json.ts';
import { OtlpExporter } from './tracing/otlp-exporter.ts';
import type { TracingConfig } from './tracing/otlp-settings.ts';
import { Sampler } from './tracing/sampler.ts';
import { measureSpans } from './tracing/span-metrics.ts';

export interface NodeTracing extends Pick<Tracing, 'handlers' | 'shards' | 'records'> {
  /** Whether anything is. */
  readonly traced: boolean;
  /** Sends what is left, as far as the collector takes it at once. */
  close(): Promise<void>;
}

/** A stop waits no longer for the collector. */
const CLOSE_MS: Millis = 500;

const nothing: NodeTracing = {
  traced: false,
  handlers: (handlers) => handlers,
  shards: (shards) => shards,
  records: (record) => record,
  close: async () => {},
};

export function openTracing(config: TracingConfig | null, node: NodeId, log: Log, registry: Registry): NodeTracing {
  const counts = measureSpans(registry);
  if (!config) return nothing;
  const { url, headers, ratio, service } = config;
  const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as { version: string };
  const resource = { 'service.name': service, 'service.version': version, 'service.instance.id': node };
  const shared = { clock: systemClock, random: systemRandom, log };
  const encode = encodeOtlp.bind(null, resource, version);
  const exporter = new OtlpExporter({ ...shared, url, headers, encode, counts });
  const sampler = new Sampler(systemRandom, systemClock, ratio);
  const tracing = new Tracing({ ...shared, sampler, exporter, node });
  return {
    traced: true,
    handlers: (handlers) => tracing.handlers(handlers),
    shards: (shards) => tracing.shards(shards),
    records: (record) => tracing.records(record),
    close: () => exporter.close(CLOSE_MS),
  };
} // prettier-ignore
