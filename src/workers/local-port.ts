/**
 * A shard in this thread (`SHARDS=0`, tests): the same code without the hop. Batches still arrive in a later turn, so
 * that no caller is re-entered.
 */
import type { Log } from '../base/log.ts';
import { endOfTurn } from '../base/time.ts';
import { openShard } from './open-shard.ts';
import type { ShardConfig, ShardPort, ShardPortEvents } from './port.ts';

export function openLocalShard(config: ShardConfig, log: Log, events: ShardPortEvents): ShardPort {
  let open = true;
  const shard = openShard(config, log, (batch) => endOfTurn(() => open && events.onBatch(batch)));
  return {
    post: (batch) => endOfTurn(() => open && shard.receive(batch)),
    metrics: () => shard.metrics.registry.getMetricsAsJSON(),
    pages: async (query) => shard.busiest(query),
    async drain(deadlineMs) {
      await shard.drain(deadlineMs);
      open = false;
    },
    // It hangs only if the one who asks does.
    beat: () => false,
    async kill(reason) {
      open = false;
      await shard.drain(0);
      events.onExit(reason);
    },
  };
}
