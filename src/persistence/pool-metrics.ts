/**
 * How the connections to PostgreSQL are used, at /metrics: a queue for one of the pools is what a slow database looks like
 * from here.
 */
import type { Registry } from 'prom-client';
import { gauges } from '../base/gauges.ts';
import type { ConnectionPool } from './connection-pool.ts';

export function measurePools(registry: Registry, pools: Readonly<Record<string, ConnectionPool>>): void {
  const each = Object.entries(pools);
  gauges(registry, 'octavo_database_connections', 'Connections to PostgreSQL, by work and state', () =>
    each.flatMap(([work, { use }]) =>
      (['busy', 'idle'] as const).map((state) => [{ work, state }, use[state]] as const),
    ),
  );
  gauges(registry, 'octavo_database_waiting', 'Queries that wait for a connection, by work', () =>
    each.map(([work, { use }]) => [{ work }, use.waiting] as const),
  );
}
