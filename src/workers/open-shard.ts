/**
 * A shard with its store, as both ports start it.
 */
import type { Log } from '../base/log.ts';
import { measureEventLoopDelay } from '../base/event-loop-delay.ts';
import { systemRandom } from '../base/random.ts';
import { systemClock } from '../base/time.ts';
import { redisBus } from '../cluster/redis-bus.ts';
import { openPostgresLogStore } from '../persistence/postgres-log-store.ts';
import type { ShardConfig } from './port.ts';
import { Shard } from './shard.ts';
import { ShardTraces } from './shard-traces.ts';
import { WorkingPage } from './working-page.ts';

export function openShard(config: ShardConfig, log: Log, emit: (batch: Uint8Array) => void): Shard {
  const {
    index,
    redis,
    limits,
    evictIdleMs,
    memoryBytesMax,
    databaseUrl,
    working,
    commitStallMs,
    headPollMs,
    traced,
  } = config;
  const store = openPostgresLogStore({ url: databaseUrl, log });
  const traces = traced ? new ShardTraces({ clock: systemClock, random: systemRandom }) : undefined;
  const shard = new Shard({
    store: traces?.watch(store) ?? store,
    traces,
    index,
    limits,
    evictIdleMs,
    memoryBytesMax,
    working: new WorkingPage(working),
    commitStallMs,
    headPollMs,
    openBus: redis && redisBus({ address: redis, clock: systemClock, random: systemRandom, log }),
    log,
    clock: systemClock,
    random: systemRandom,
    emit,
  });
  store.measure(shard.metrics.registry);
  measureEventLoopDelay(shard.metrics.registry, `shard ${index}`);
  return shard;
}
