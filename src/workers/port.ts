/**
 * The way to a shard, swappable: `local-port.ts` runs it in this thread, `thread-port.ts` in a worker thread. Batches
 * are handed over (the sender must not touch them afterwards); they arrive in order, and none after `onExit`.
 */
import type { Limits } from '../protocol/limits.ts';
import type { RedisAddress } from '../cluster/redis-address.ts';
import type { PageFigures, PageSort } from '../actors/page-figures.ts';
import type { MetricList } from './merged-metrics.ts';

/** What a shard needs to start; plain data, so that it can cross to a thread. */
export interface ShardConfig {
  readonly index: number;
  readonly databaseUrl: string;
  /** null: other nodes are heard of by the database only. */
  readonly redis: RedisAddress | null;
  readonly limits: Limits;
  readonly evictIdleMs: number;
  readonly memoryBytesMax: number;
  /** MiB of JavaScript heap; past it the thread ends, and only the thread. */
  readonly heapMb: number;
  /** See `working-page.ts`. */
  readonly working: SharedArrayBuffer;
  readonly commitStallMs: number;
  readonly headPollMs: number;
  readonly logLevel: string;
  /** Whether some of what comes is traced. */
  readonly traced: boolean;
}

export interface ShardPortEvents {
  onBatch(batch: Uint8Array): void;
  /** The shard ended without being asked to. */
  onExit(reason: string): void;
}

/** Which of the live pages an operator wants to see. */
export interface PagesQuery {
  readonly sort: PageSort;
  readonly limit: number;
}

export interface ShardPort {
  post(batch: Uint8Array): void;
  /** Rejects if it does not answer in time. */
  metrics(): Promise<MetricList>;
  /** Likewise. */
  pages(query: PagesQuery): Promise<PageFigures[]>;
  /** Commits and snapshots within `deadlineMs`, then ends. */
  drain(deadlineMs: number): Promise<void>;
  /** Called once a second: asks for a sign of life. True when there has been none for so long that the shard hangs. */
  beat(): boolean;
  /** Ends it at once: for tests of a dead shard, and for a shard that hangs. */
  kill(reason: string): Promise<void>;
}
