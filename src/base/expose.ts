/**
 * A metric of our own in a prom-client registry: its values are made when it is asked for them, and only then. Used by
 * `tally.ts`, `spread.ts` and `gauges.ts`, and by nothing else.
 */
import type { Metric, Registry } from 'prom-client';

export type Labels = Readonly<Record<string, string | number>>;

export interface Value {
  readonly labels: Labels;
  readonly value: number;
  /** When it is not that of the metric: `…_bucket`, `…_sum`, `…_count`. */
  readonly metricName?: string;
}

export const NO_LABELS: readonly Labels[] = [{}];

export function expose(
  registry: Registry,
  metric: {
    readonly name: string;
    readonly help: string;
    readonly type: 'counter' | 'gauge' | 'histogram';
    values(): readonly Value[] | Promise<readonly Value[]>;
  },
): void {
  const { name, help, type } = metric;
  // Registries of several threads are added up: see `shard-pool.ts`.
  const get = async () => ({ name, help, type, aggregator: 'sum', values: await metric.values() });
  // All that a registry asks of a metric; its types know prom-client's own classes only.
  registry.registerMetric({ name, help, get } as unknown as Metric);
}
