/**
 * What one shard counts, in a prom-client registry of its own; the gateway merges all registries for /metrics. Labels are
 * of bounded sets only: codes, outcomes.
 */
import { Counter, Gauge, Histogram, Registry } from 'prom-client';
import type { ActorCounts } from '../actors/world.ts';

const MS_BUCKETS = [0.5, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 4096];

export interface ShardMetrics {
  readonly registry: Registry;
  readonly actors: ActorCounts;
  batchDone(pages: number, changes: number, ms: number, ok: boolean): void;
  snapshot(bytes: number): void;
  eviction(): void;
  loadMs(ms: number, ok: boolean): void;
}

/** `gauges` is asked at each scrape. */
export function createShardMetrics(
  gauges: () => { pages: number; bytes: number; queued: number },
): ShardMetrics {
  const registry = new Registry();
  const registers = [registry];
  const counter = <L extends string>(name: string, help: string, labelNames: L[] = [], collect = () => {}) =>
    new Counter<L>({ name, help, labelNames, registers, collect });
  const histogram = (name: string, help: string, buckets: number[]) =>
    new Histogram({ name, help, buckets, registers });
  const gauge = (name: string, help: string, read: () => number) =>
    new Gauge({
      name,
      help,
      registers,
      collect() {
        this.set(read());
      },
    });

  gauge('octavo_pages_live', 'Pages in memory', () => gauges().pages);
  gauge('octavo_pages_bytes', 'About how many bytes they hold', () => gauges().bytes);
  gauge('octavo_changes_queued', 'Changes waiting for their commit', () => gauges().queued);
  // The hot path counts in plain fields; each counter takes its own when it is asked, or a scrape would lag behind.
  const hot = { accepted: 0, duplicate: 0, committed: 0 };
  const changes = counter('octavo_changes_total', 'Changes received, by outcome', ['outcome'], () => {
    changes.inc({ outcome: 'accepted' }, hot.accepted);
    changes.inc({ outcome: 'duplicate' }, hot.duplicate);
    hot.accepted = hot.duplicate = 0;
  });
  const rejects = counter('octavo_rejects_total', 'Changes refused, by code', ['code']);
  const committed = counter('octavo_changes_committed_total', 'Changes committed to the log', [], () => {
    committed.inc(hot.committed);
    hot.committed = 0;
  });
  const notices = counter('octavo_notices_total', 'Ops without effect, by reason', ['code']);
  const joins = counter('octavo_joins_total', 'Joins, by what was sent', ['kind']);
  const appends = counter('octavo_appends_total', 'Append statements, by outcome', ['outcome']);
  const evictions = counter('octavo_evictions_total', 'Pages that left memory');
  const commitMs = histogram('octavo_commit_ms', 'From receipt of a change to its commit', MS_BUCKETS);
  const appendMs = histogram('octavo_append_ms', 'One append statement', MS_BUCKETS);
  const batchSize = histogram(
    'octavo_append_changes',
    'Changes of one append',
    [1, 4, 16, 64, 256, 1024, 4096],
  );
  const load = histogram('octavo_load_ms', 'Bringing a page into memory', MS_BUCKETS);
  const loadFailures = counter('octavo_load_failures_total', 'Pages that could not be loaded');
  const snapshotBytes = histogram('octavo_snapshot_bytes', 'Snapshots, packed', [1e3, 1e4, 1e5, 1e6, 1e7]);

  gauge('octavo_shard_up', 'Shards that answer', () => 1);

  return {
    registry,
    actors: {
      change(outcome, code) {
        if (outcome !== 'refused') hot[outcome]++;
        else {
          changes.inc({ outcome });
          rejects.inc({ code: code ?? 'other' });
        }
      },
      committed: (count) => void (hot.committed += count),
      commitMs: (ms) => commitMs.observe(ms),
      notice: (code) => notices.inc({ code }),
      join: (kind) => joins.inc({ kind }),
    },
    batchDone(_pages, count, ms, ok) {
      appends.inc({ outcome: ok ? 'ok' : 'failed' });
      appendMs.observe(ms);
      batchSize.observe(count);
    },
    snapshot: (bytes) => snapshotBytes.observe(bytes),
    eviction: () => evictions.inc(),
    loadMs(ms, ok) {
      load.observe(ms);
      if (!ok) loadFailures.inc();
    },
  };
}
