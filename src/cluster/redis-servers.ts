/**
 * Which servers a REDIS_URL stands for, and which of them a channel belongs to: asked anew for each link, since it changes
 * (a replica takes over, slots of a cluster move).
 */
import { SLOTS } from './hash-slot.ts';
import type { RedisAddress, RedisServer } from './redis-address.ts';
import { askRedis } from './redis-connection.ts';

/** A server, and the first and last slot of channels that are its. One server alone has them all. */
export interface SlotRange {
  readonly first: number;
  readonly last: number;
  readonly server: RedisServer;
}

/** Rejects with why there is none. */
export async function findServers(address: RedisAddress): Promise<SlotRange[]> {
  switch (address.form) {
    case 'server':
      return [{ first: 0, last: SLOTS - 1, server: address.servers[0]! }];
    case 'sentinel':
      return [{ first: 0, last: SLOTS - 1, server: await firstAnswer(address, askSentinel) }];
    case 'cluster': {
      const ranges = await firstAnswer(address, askCluster);
      const served = ranges.reduce((sum, { first, last }) => sum + last - first + 1, 0);
      if (served < SLOTS) throw new Error(`the cluster serves ${served} of its ${SLOTS} slots`);
      return ranges;
    }
  }
}

/** Asks all at once: one that is down or frozen costs no time. */
function firstAnswer<T>(
  address: RedisAddress,
  ask: (address: RedisAddress, server: RedisServer) => Promise<T>,
): Promise<T> {
  return Promise.any(address.servers.map((server) => ask(address, server))).catch(
    ({ errors }: AggregateError) => {
      throw errors[0];
    },
  );
}

async function askSentinel(address: RedisAddress, sentinel: RedisServer): Promise<RedisServer> {
  const { master } = address;
  const answer = await askRedis(address, sentinel, 'sentinels', (client) =>
    client.call('SENTINEL', 'GET-MASTER-ADDR-BY-NAME', master!),
  );
  if (!Array.isArray(answer)) throw new Error(`the Sentinel knows no “${master}”`);
  const server = { host: String(answer[0]), port: Number(answer[1]) };
  // It may name one that has just lost its place: what is published there reaches nobody else.
  const [role] = (await askRedis(address, server, 'servers', (client) => client.role())) as [string];
  if (role !== 'master') throw new Error(`the Sentinel names a server that is no master but a ${role}`);
  return server;
}

/** CLUSTER SLOTS: of each range the first and the last slot, the server that holds it, and its replicas. */
async function askCluster(address: RedisAddress, asked: RedisServer): Promise<SlotRange[]> {
  const answer = await askRedis(address, asked, 'servers', (client) => client.cluster('SLOTS'));
  return answer.map(([first, last, holder]) => ({
    first,
    last,
    // A server that does not know its own name says none: it is where we asked.
    server: { host: holder?.[0] || asked.host, port: holder?.[1] ?? asked.port },
  }));
}
