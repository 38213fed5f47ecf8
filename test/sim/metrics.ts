/**
 * Metrics that count nothing: a registry for each of a hundred thousand nodes would be most of a run's time.
 */
import { Registry } from 'prom-client';
import type { GatewayMetrics } from '../../src/gateway/gateway-metrics.ts';
import type { ShardMetrics } from '../../src/workers/shard-metrics.ts';
import { silentCounts } from '../support/silent-counts.ts';

const registry = new Registry();
const nothing = () => {};

export const gatewayMetrics = (): GatewayMetrics => ({
  registry,
  hot: { framesIn: 0, bytesIn: 0, framesOut: 0, published: 0 },
  handshake: nothing,
  opened: nothing,
  gone: nothing,
  refused: nothing,
  closed: nothing,
  slow: { paused: nothing, resumed: nothing },
  batchDone: nothing,
});

export const shardMetrics = (): ShardMetrics => ({
  registry,
  actors: silentCounts,
  bus: () => ({ published: nothing, received: nothing }),
  arrived: nothing,
  batchDone: nothing,
  snapshotFailed: nothing,
  snapshot: nothing,
  eviction: nothing,
  noRoom: nothing,
  loadMs: nothing,
});
