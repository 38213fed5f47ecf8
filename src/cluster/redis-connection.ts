/**
 * One connection to one server. It is tried once, holds nothing back while it is not there, and never comes back by itself:
 * whoever uses it throws it away when it has ended (see `redis-link.ts`).
 */
import { Redis } from 'ioredis';
import type { RedisAddress, RedisServer } from './redis-address.ts';

/** Of the servers themselves, or of the Sentinels that know them. */
type Whose = 'servers' | 'sentinels';

export interface RedisConnection {
  readonly client: Redis;
  /** Why it failed or ended, as far as is known. */
  reason(): string;
  end(): void;
}

const CONNECT_TIMEOUT_MS = 2000;
const ASK_TIMEOUT_MS = 2000;
/** What is not taken by then will not be. */
const FAREWELL_MS = 500;

/** Not connected yet: `client.connect()` does that. */
export function redisConnection(
  address: RedisAddress,
  server: RedisServer,
  name: string,
  whose: Whose = 'servers',
): RedisConnection {
  const username = whose === 'servers' ? address.username : address.sentinelUsername;
  const password = whose === 'servers' ? address.password : address.sentinelPassword;
  const client = new Redis({
    ...server,
    connectionName: `octavo-${name}`,
    lazyConnect: true,
    retryStrategy: null,
    enableOfflineQueue: false,
    enableReadyCheck: false,
    autoResubscribe: false,
    autoResendUnfulfilledCommands: false,
    connectTimeout: CONNECT_TIMEOUT_MS,
    disconnectTimeout: FAREWELL_MS,
    ...(address.tls && { tls: {} }),
    ...(username !== undefined && { username }),
    ...(password !== undefined && { password }),
  });
  let reason = 'the connection has ended';
  // ioredis listens for the first error of a socket only; a second one (TLS has such) would end the thread.
  const bear = () => client.stream?.on('error', () => {});
  client.on('error', (error: Error) => {
    reason = error.message;
    bear();
  });
  const end = () => {
    bear();
    client.disconnect();
  };
  return { client, reason: () => reason, end };
}

/** Asks one server one thing, on a connection of its own. */
export async function askRedis<T>(
  address: RedisAddress,
  server: RedisServer,
  whose: Whose,
  ask: (client: Redis) => Promise<T>,
): Promise<T> {
  const { client, reason, end } = redisConnection(address, server, 'finder', whose);
  client.options.commandTimeout = ASK_TIMEOUT_MS;
  try {
    await client.connect().catch((error: unknown) => {
      // The event says more than "Connection is closed", which is what comes here.
      throw new Error(reason(), { cause: error });
    });
    return await ask(client);
  } finally {
    end();
  }
}
