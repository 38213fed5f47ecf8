/**
 * A shard with its store, as both ports start it.
 */
import type { Log } from '../base/log.ts';
import { systemRandom } from '../base/random.ts';
import { systemClock } from '../base/time.ts';
import { openPostgresLogStore } from '../persistence/postgres-log-store.ts';
import type { ShardConfig } from './port.ts';
import { Shard } from './shard.ts';

export function openShard(config: ShardConfig, log: Log, emit: (batch: Uint8Array) => void): Shard {
  const { epoch, limits, evictIdleMs, memoryBytesMax, databaseUrl } = config;
  const store = openPostgresLogStore({ url: databaseUrl, log });
  return new Shard({
    store,
    epoch,
    limits,
    evictIdleMs,
    memoryBytesMax,
    log,
    clock: systemClock,
    random: systemRandom,
    emit,
  });
}
