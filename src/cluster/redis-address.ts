/**
 * Where Redis is, as REDIS_URL says it. Pure: the configuration checks with it, shards connect by it.
 *
 *     redis://user:password@host:6379                                  one server
 *     redis+sentinel://user:password@host:26379,host:26379/mymaster    whichever server the Sentinels name
 *     redis+cluster://user:password@host:6379,host:6379                a cluster, found by any of its servers
 *
 * With `rediss` in place of `redis` all connections are encrypted. User and password are those of the servers; Sentinels that
 * want their own take them from `?sentinelUsername=…&sentinelPassword=…`. A database number is let pass: channels have none.
 */

export interface RedisServer {
  readonly host: string;
  readonly port: number;
}

export interface RedisAddress {
  readonly form: 'server' | 'sentinel' | 'cluster';
  /** One for a server; else those that are asked where the servers are, in this order. */
  readonly servers: readonly RedisServer[];
  readonly tls: boolean;
  readonly username?: string;
  readonly password?: string;
  /** What the Sentinels call the server. */
  readonly master?: string;
  readonly sentinelUsername?: string;
  readonly sentinelPassword?: string;
}

const SHAPE =
  /^redis(?<tls>s?)(?:\+(?<form>sentinel|cluster))?:\/\/(?:(?<user>[^@/?#]*)@)?(?<hosts>[^@/?#]+)(?:\/(?<path>[^/?#]*))?(?:\?(?<query>[^#]*))?$/;
const DEFAULT_PORT = { server: 6379, sentinel: 26379, cluster: 6379 } as const;

/** undefined: no such address. */
export function parseRedisAddress(text: string): RedisAddress | undefined {
  const groups = SHAPE.exec(text)?.groups;
  if (!groups) return undefined;
  const form = (groups['form'] ?? 'server') as RedisAddress['form'];
  const servers = groups['hosts']!.split(',').map((host) => parseServer(host, DEFAULT_PORT[form]));
  const path = decode(groups['path'] ?? '');
  const query = new URLSearchParams(groups['query'] ?? '');
  if (path === undefined || !(form === 'sentinel' ? path !== '' : /^\d*$/.test(path))) return undefined;
  if (form === 'server' && servers.length !== 1) return undefined;
  const [username, password] = parseUser(groups['user'] ?? '');
  if (username === undefined || password === undefined) return undefined;
  const found = servers.filter((server) => server !== undefined);
  if (found.length < servers.length) return undefined;
  return {
    form,
    servers: found,
    tls: groups['tls'] === 's',
    ...(username && { username }),
    ...(password && { password }),
    ...(form === 'sentinel' && { master: path, ...sentinelUser(query) }),
  };
}

function parseServer(text: string, defaultPort: number): RedisServer | undefined {
  // A known scheme has the host checked as that of any web address.
  const url = URL.canParse(`http://${text}`) ? new URL(`http://${text}`) : undefined;
  if (!url || url.host === '') return undefined;
  const port = /:\d+$/.exec(text) ? Number(text.slice(text.lastIndexOf(':') + 1)) : defaultPort;
  return port > 0 ? { host: url.hostname.replace(/^\[(.*)\]$/, '$1'), port } : undefined;
}

function parseUser(text: string): [string | undefined, string | undefined] {
  const colon = text.indexOf(':');
  // `redis://name@host` is a name without a password; `redis://:secret@host` a password alone.
  return colon < 0 ? [decode(text), ''] : [decode(text.slice(0, colon)), decode(text.slice(colon + 1))];
}

function sentinelUser(query: URLSearchParams): Pick<RedisAddress, 'sentinelUsername' | 'sentinelPassword'> {
  const sentinelUsername = query.get('sentinelUsername');
  const sentinelPassword = query.get('sentinelPassword');
  return { ...(sentinelUsername && { sentinelUsername }), ...(sentinelPassword && { sentinelPassword }) };
}

function decode(text: string): string | undefined {
  try {
    return decodeURIComponent(text);
  } catch {
    // Expected: a lone % in what an operator wrote.
    return undefined;
  }
}
