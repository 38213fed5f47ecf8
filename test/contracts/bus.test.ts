/**
 * Runs the bus's contract on its twins, and on Redis in each of its forms.
 */
import { afterAll, beforeAll, describe } from 'vitest';
import { silentLog } from '../../src/base/log.ts';
import { systemRandom } from '../../src/base/random.ts';
import { systemClock } from '../../src/base/time.ts';
import { MemoryBusHub } from '../../src/cluster/memory-bus.ts';
import { parseRedisAddress } from '../../src/cluster/redis-address.ts';
import { redisBus } from '../../src/cluster/redis-bus.ts';
import { hasRedisServer, OwnRedis, startRedisCluster } from '../support/own-redis.ts';
import { busContract } from './bus.ts';

busContract('memory', () => new MemoryBusHub().open);

const onRedis = (url: string) =>
  redisBus({
    address: parseRedisAddress(url)!,
    clock: systemClock,
    random: systemRandom,
    log: silentLog,
  });

describe.skipIf(!hasRedisServer())('on servers of its own', () => {
  const servers: OwnRedis[] = [];
  let cluster: OwnRedis[];
  let sentinel: OwnRedis;

  beforeAll(async () => {
    servers.push(await OwnRedis.start());
    servers.push((sentinel = await OwnRedis.startSentinel(servers[0]!)));
    servers.push(...(cluster = await startRedisCluster()));
  }, 30_000);
  afterAll(() => Promise.all(servers.map((server) => server.dispose())));

  busContract('redis', () => onRedis(servers[0]!.url));
  busContract('redis, by a sentinel', () => onRedis(`redis+sentinel://127.0.0.1:${sentinel.port}/mymaster`));
  busContract('redis cluster', () => onRedis(`redis+cluster://127.0.0.1:1,127.0.0.1:${cluster[1]!.port}`));
});
