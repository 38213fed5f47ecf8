/**
 * What a shard is given: its store, its clock and dice, its bounds, and its way out.
 */
import type { HashPolicy } from '../actors/hash-policy.ts';
import type { Compression } from '../actors/compression.ts';
import type { SnapshotPolicy } from '../actors/snapshot-policy.ts';
import type { Log } from '../base/log.ts';
import type { Random } from '../base/random.ts';
import type { Clock, Millis } from '../base/time.ts';
import type { OpenBus } from '../cluster/bus.ts';
import type { LogStore } from '../persistence/log-store.ts';
import type { Limits } from '../protocol/limits.ts';
import type { ShardTraces } from './shard-traces.ts';
import type { WorkingPage } from './working-page.ts';
import type { createShardMetrics } from './shard-metrics.ts';

export interface ShardOptions {
  readonly store: LogStore;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly limits: Limits;
  /** A page without subscribers leaves memory after this. */
  readonly evictIdleMs: number;
  readonly memoryBytesMax: number;
  /** Where the shard says which page it is at work on; for those who look after it when it dies. */
  readonly working?: WorkingPage;
  /** A change that waits longer for its commit is told before it; 0: each is. */
  readonly commitStallMs: Millis;
  /** null: this node hears of others by the log only. */
  readonly openBus: OpenBus | null;
  /** How often the heads of live pages are compared with the log while no bus is up; 0: never. */
  readonly headPollMs: Millis;
  /** Which of the shards this is: for the metrics. */
  readonly index?: number;
  /** Left out: nothing is traced. */
  readonly traces?: ShardTraces | undefined;
  /** These three are for simulations: left out, they are what a server has. */
  readonly compression?: Compression;
  readonly snapshotPolicy?: SnapshotPolicy;
  readonly hashPolicy?: HashPolicy;
  readonly createMetrics?: typeof createShardMetrics;
  emit(batch: Uint8Array): void;
}
