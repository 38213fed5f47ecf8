/**
 * What one shard counts, in a prom-client registry of its own; the gateway merges all registries for /metrics. Labels are
 * of bounded sets only: codes, outcomes.
 */
import { getHeapStatistics } from 'node:v8';
import { Counter, Gauge, Histogram, Registry } from 'prom-client';
import type { BatchDone } from '../actors/commit-loop.ts';
import type { PageTotals } from '../actors/page-registry.ts';
import type { ActorCounts } from '../actors/world.ts';
import type { BusTopic } from '../cluster/bus.ts';

const MS_BUCKETS = [0.5, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 4096];

export interface ShardMetrics {
  readonly registry: Registry;
  readonly actors: ActorCounts;
  /** Called once, where there is a bus. */
  bus(isUp: () => boolean): BusCounts;
  batchDone(done: BatchDone): void;
  snapshot(bytes: number): void;
  eviction(): void;
  /** A page was not loaded, since pages in use take all the memory there is for them. */
  noRoom(): void;
  loadMs(ms: number, ok: boolean): void;
}

export interface BusCounts {
  /** Taken by the bus, or dropped. */
  published(topic: BusTopic, taken: boolean): void;
  received(topic: BusTopic): void;
}

function metricsIn(registry: Registry) {
  const registers = [registry];
  return {
    counter: <L extends string>(name: string, help: string, labelNames: L[] = [], collect = () => {}) =>
      new Counter<L>({ name, help, labelNames, registers, collect }),
    histogram: (name: string, help: string, buckets: number[]) =>
      new Histogram({ name, help, buckets, registers }),
    gauge: (name: string, help: string, read: () => number) =>
      new Gauge({
        name,
        help,
        registers,
        collect() {
          this.set(read());
        },
      }),
  };
}

/** The state of the shard's pages, asked at each scrape. */
function pageGauges(registry: Registry, gauges: () => PageTotals, shard: number): void {
  const { gauge } = metricsIn(registry);
  gauge('octavo_pages_live', 'Pages in memory', () => gauges().pages);
  gauge('octavo_pages_at_rest', 'Of them those whose document is not decoded', () => gauges().atRest);
  gauge('octavo_pages_bytes', 'About how many bytes they hold', () => gauges().bytes);
  new Gauge({
    name: 'octavo_shard_pages_bytes',
    help: 'The same for each shard; its bound is MEMORY_MB_PER_SHARD',
    labelNames: ['shard'],
    registers: [registry],
    collect() {
      this.set({ shard }, gauges().bytes);
    },
  });
  new Gauge({
    name: 'octavo_shard_heap_bytes',
    help: 'JavaScript heap in use by the thread of each shard; its bound is SHARD_HEAP_MB',
    labelNames: ['shard'],
    registers: [registry],
    collect() {
      this.set({ shard }, getHeapStatistics().used_heap_size);
    },
  });
  gauge('octavo_changes_queued', 'Changes waiting for their commit', () => gauges().queued);
}

function loadMetrics(registry: Registry): Pick<ShardMetrics, 'loadMs' | 'noRoom'> {
  const { counter, histogram } = metricsIn(registry);
  const load = histogram('octavo_load_ms', 'Bringing a page into memory', MS_BUCKETS);
  const loadFailures = counter('octavo_load_failures_total', 'Pages that could not be loaded');
  const noRoom = counter(
    'octavo_loads_without_room_total',
    'Loads refused, since pages in use take all memory',
  );
  return {
    loadMs(ms, ok) {
      load.observe(ms);
      if (!ok) loadFailures.inc();
    },
    noRoom: () => noRoom.inc(),
  };
}

function busMetrics(registry: Registry, isUp: () => boolean): BusCounts {
  const { counter, gauge } = metricsIn(registry);
  gauge('octavo_bus_up', 'Shards that hear of other nodes by Redis', () => (isUp() ? 1 : 0));
  const published = counter('octavo_bus_published_total', 'Messages for other nodes, handed to Redis', [
    'topic',
  ]);
  const dropped = counter(
    'octavo_bus_dropped_total',
    'Messages for other nodes not sent, since Redis is away or slow: these find them in the database',
    ['topic'],
  );
  const received = counter('octavo_bus_received_total', 'Messages of other nodes', ['topic']);
  return {
    published: (topic, taken) => (taken ? published : dropped).inc({ topic }),
    received: (topic) => received.inc({ topic }),
  };
}

/** `gauges` is asked at each scrape. */
export function createShardMetrics(gauges: () => PageTotals, shard: number): ShardMetrics {
  const registry = new Registry();
  const { counter, histogram, gauge } = metricsIn(registry);

  pageGauges(registry, gauges, shard);
  // The hot path counts in plain fields; each counter takes its own when it is asked, or a scrape would lag behind.
  const hot = { accepted: 0, duplicate: 0, refused: 0, committed: 0 };
  const changes = counter('octavo_changes_total', 'Changes received, by outcome', ['outcome'], () => {
    for (const outcome of ['accepted', 'duplicate', 'refused'] as const)
      changes.inc({ outcome }, hot[outcome]);
    hot.accepted = hot.duplicate = hot.refused = 0;
  });
  const rejects = counter('octavo_rejects_total', 'Changes refused, by code', ['code']);
  const committed = counter('octavo_changes_committed_total', 'Changes committed to the log', [], () => {
    committed.inc(hot.committed);
    hot.committed = 0;
  });
  const notices = counter('octavo_notices_total', 'Ops without effect, by reason', ['code']);
  const stalls = counter('octavo_stalls_total', 'Pages whose commits took longer than COMMIT_STALL_MS');
  const volatile = counter('octavo_changes_volatile_total', 'Changes told before their commit');
  const joins = counter('octavo_joins_total', 'Joins, by what was sent', ['kind']);
  const divergences = counter(
    'octavo_divergences_total',
    'Copies of clients that had another hash than the page at the same seq: never expected',
  );
  const appends = counter('octavo_appends_total', 'Append statements, by outcome', ['outcome']);
  const conflicts = counter(
    'octavo_append_conflicts_total',
    'Appends of a page that another node was ahead of: read, applied, tried again',
  );
  const evictions = counter('octavo_evictions_total', 'Pages that left memory');
  const commitMs = histogram('octavo_commit_ms', 'From receipt of a change to its commit', MS_BUCKETS);
  const appendMs = histogram('octavo_append_ms', 'One append statement', MS_BUCKETS);
  const batchSize = histogram(
    'octavo_append_changes',
    'Changes of one append',
    [1, 4, 16, 64, 256, 1024, 4096],
  );
  const snapshotBytes = histogram('octavo_snapshot_bytes', 'Snapshots, packed', [1e3, 1e4, 1e5, 1e6, 1e7]);

  gauge('octavo_shard_up', 'Shards that answer', () => 1);

  return {
    registry,
    bus: (isUp) => busMetrics(registry, isUp),
    actors: {
      change(outcome, code) {
        hot[outcome]++;
        if (outcome === 'refused') rejects.inc({ code: code ?? 'other' });
      },
      committed: (count) => void (hot.committed += count),
      commitMs: (ms) => commitMs.observe(ms),
      notice: (code) => notices.inc({ code }),
      stall: () => stalls.inc(),
      volatile: (count) => volatile.inc(count),
      join: (kind) => joins.inc({ kind }),
      diverged: () => divergences.inc(),
    },
    batchDone({ changes: count, ms, conflicts: lost }) {
      appends.inc({ outcome: lost === null ? 'failed' : 'ok' });
      conflicts.inc(lost ?? 0);
      appendMs.observe(ms);
      batchSize.observe(count);
    },
    snapshot: (bytes) => snapshotBytes.observe(bytes),
    eviction: () => evictions.inc(),
    ...loadMetrics(registry),
  };
}
