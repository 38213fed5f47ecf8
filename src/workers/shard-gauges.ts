/**
 * The state of a shard, as /metrics tells it: looked at when it is scraped, all of it at one moment.
 */
import { getHeapStatistics } from 'node:v8';
import type { Registry } from 'prom-client';
import type { PageTotals } from '../actors/page-registry.ts';
import { gauge, oncePerScrape } from '../base/gauges.ts';

export interface ShardState extends PageTotals {
  /** Of all queues. */
  readonly backlogBytes: number;
  readonly loadsWaiting: number;
}

/** What a shard is; given at its start. */
export interface ShardFacts {
  readonly index?: number;
  readonly memoryBytesMax: number;
}

export function shardGauges(
  registry: Registry,
  read: () => ShardState,
  { index: shard = 0, memoryBytesMax }: ShardFacts,
): void {
  const state = oncePerScrape(read);
  const heap = oncePerScrape(getHeapStatistics);
  const of = (name: string, help: string, field: keyof ShardState) =>
    gauge(registry, name, help, () => state()[field]);
  const ofThis = (name: string, help: string, value: () => number) =>
    gauge(registry, name, help, value, { shard });
  of('octavo_pages_live', 'Pages in memory', 'pages');
  of('octavo_pages_at_rest', 'Of them those whose document is not decoded', 'atRest');
  of('octavo_pages_bytes', 'About how many bytes they hold', 'bytes');
  of('octavo_subscribers', 'Sockets on pages, each counted for each page that it has open', 'subscribers');
  of('octavo_changes_queued', 'Changes waiting for their commit', 'queued');
  of('octavo_changes_queued_bytes', 'What they take; its bound for each shard is BACKLOG_BYTES_MAX', 'backlogBytes'); // prettier-ignore
  of('octavo_loads_waiting', 'Pages that wait in line to be loaded', 'loadsWaiting');
  ofThis('octavo_shard_pages_bytes', 'About how many bytes the pages of a shard hold', () => state().bytes);
  ofThis('octavo_shard_pages_budget_bytes', 'How many they may hold: MEMORY_MB_PER_SHARD', () => memoryBytesMax); // prettier-ignore
  ofThis('octavo_shard_heap_bytes', 'JavaScript heap in use by the thread of a shard', () => heap().used_heap_size); // prettier-ignore
  ofThis('octavo_shard_heap_budget_bytes', 'How much it may use: SHARD_HEAP_MB, and some room of the engine’s own', () => heap().heap_size_limit); // prettier-ignore
  gauge(registry, 'octavo_shard_up', 'Shards that answer', () => 1);
}
