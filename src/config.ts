/**
 * All configuration: one table of environment variables, one checked and frozen object. A wrong value names itself and
 * stops the start. Read by `main` and the commands only; `octavo start --help` prints the table.
 */
import { availableParallelism } from 'node:os';
import { resolve } from 'node:path';
import type { TokenKey } from './gateway/auth.ts';
import type { TransportMode } from './gateway/open-transport.ts';
import { parseRedisAddress, type RedisAddress } from './cluster/redis-address.ts';
import { isLoopback, normalOrigin, type OriginPolicy } from './gateway/origin.ts';
import { isAddressRange } from './gateway/trusted-proxies.ts';
import { LOG_LEVELS } from './process-log.ts';
import { parseOtlpHeaders, tracesUrl, type TracingConfig } from './tracing/otlp-settings.ts';
import { checkLimits, LIMIT_TABLE, type LimitName, type Limits } from './protocol/limits.ts';

export class ConfigError extends Error {
  override readonly name = 'ConfigError';
}

export interface Config {
  readonly host: string;
  /** Which web pages may connect. */
  readonly origins: OriginPolicy;
  /** Address ranges of the proxies whose X-Forwarded-For is believed. */
  readonly trustedProxies: readonly string[];
  readonly syncPort: number;
  readonly shards: number;
  readonly dataDir: string;
  /** null: the embedded PostgreSQL in `dataDir`. */
  readonly databaseUrl: string | null;
  /** null: nodes hear of each other by the database only. */
  readonly redis: RedisAddress | null;
  readonly transport: TransportMode;
  /** null: a secret of its own, made at the first start and kept in `dataDir`. */
  readonly tokenKey: TokenKey | null;
  readonly logLevel: string;
  /** null: nothing is traced. */
  readonly tracing: TracingConfig | null;
  readonly evictIdleMs: number;
  readonly memoryMbPerShard: number;
  /** MiB of JavaScript heap that a shard's thread may take. */
  readonly shardHeapMb: number;
  readonly commitStallMs: number;
  readonly headPollMs: number;
  /** Who may ask for what is told of pages; null: whoever is on this machine. */
  readonly adminToken: string | null;
  /** How long clients have to move to another node when this one is told to stop. */
  readonly drainMs: number;
  readonly limits: Limits;
}

interface Variable {
  readonly name: string;
  readonly fallback: string;
  readonly meaning: string;
}

/** The table of `--help` and of the README, limits apart. */
export const VARIABLES: readonly Variable[] = [
  { name: 'SYNC_PORT', fallback: '3002', meaning: 'port of WebSockets, /healthz, /readyz, /metrics; 0: any free one' },
  { name: 'HOST', fallback: '127.0.0.1', meaning: 'address to listen on; beyond loopback a token key must be set' },
  { name: 'ALLOWED_ORIGINS', fallback: 'own host', meaning: 'web pages that may connect: https://app.example,… or * for all' },
  { name: 'TRUSTED_PROXIES', fallback: 'none', meaning: 'proxies whose X-Forwarded-For is believed: 10.0.0.0/8,::1,…' },
  { name: 'SHARDS', fallback: 'cores − 1', meaning: 'worker threads that hold pages; 0: none, all in one thread' },
  { name: 'DATA_DIR', fallback: './data', meaning: 'the embedded database, the generated secret, server.json' },
  { name: 'DATABASE_URL', fallback: 'embedded', meaning: 'a PostgreSQL of your own, 15 or newer: postgres://…' },
  { name: 'REDIS_URL', fallback: '', meaning: 'for several nodes: redis://host:6379, redis+sentinel://host:26379,…/mymaster or redis+cluster://host:6379,…' },
  { name: 'JWT_SECRET', fallback: 'generated', meaning: 'key of HS256 tokens, at least 32 bytes' },
  { name: 'JWT_PUBLIC_KEY', fallback: '', meaning: 'instead: a public key (PEM) for RS256, PS256, ES256 or EdDSA tokens' },
  { name: 'JWKS_URL', fallback: '', meaning: 'instead: where the public keys are published' },
  { name: 'ADMIN_TOKEN', fallback: 'none', meaning: 'bearer of /debug/pages, at least 16 bytes; none: it answers to this machine only' },
  { name: 'TRANSPORT', fallback: 'auto', meaning: 'auto, uws (uWebSockets.js) or ws' },
  { name: 'OTEL_EXPORTER_OTLP_ENDPOINT', fallback: '', meaning: 'a collector of traces, by OTLP over HTTP: http://collector:4318; without it nothing is traced' },
  { name: 'OTEL_EXPORTER_OTLP_HEADERS', fallback: '', meaning: 'sent to the collector: name=value,… (values URL-encoded)' },
  { name: 'OTEL_TRACES_SAMPLER_ARG', fallback: '0.01', meaning: 'the share of changes, joins and requests that is traced, 0…1' },
  { name: 'OTEL_SERVICE_NAME', fallback: 'octavo', meaning: 'what the server is called in traces' },
  { name: 'LOG_LEVEL', fallback: 'info', meaning: LOG_LEVELS.join(', ') },
  { name: 'EVICT_IDLE_MS', fallback: '60000', meaning: 'ms after which a page without subscribers leaves memory' },
  { name: 'MEMORY_MB_PER_SHARD', fallback: '512', meaning: 'MiB of pages in memory; past it idle pages go at once, then no more are loaded' },
  { name: 'SHARD_HEAP_MB', fallback: '2 × MEMORY_MB_PER_SHARD + 256', meaning: 'MiB of JavaScript heap of a shard; past it the shard, and nothing else, starts anew' },
  { name: 'COMMIT_STALL_MS', fallback: '100', meaning: 'a change that waits longer for its commit is told before it, marked so; 0: each is' },
  { name: 'HEAD_POLL_MS', fallback: '500', meaning: 'how often the pages in use are compared with the log; 0: never' },
  { name: 'DRAIN_MS', fallback: '5000', meaning: 'after SIGTERM: ms that clients have to move to another server; 0: they are sent away at once' },
]; // prettier-ignore

type Env = Readonly<Record<string, string | undefined>>;

function integer(env: Env, name: string, fallback: number, min: number, max: number): number {
  const text = env[name];
  if (text === undefined || text === '') return fallback;
  const value = Number(text);
  if (!Number.isInteger(value) || value < min || value > max) {
    throw new ConfigError(`${name}=${text}: expected a whole number from ${min} to ${max}`);
  }
  return value;
}

function choice<T extends string>(env: Env, name: string, fallback: T, allowed: readonly T[]): T {
  const text = env[name];
  if (text === undefined || text === '') return fallback;
  if (!(allowed as readonly string[]).includes(text)) {
    throw new ConfigError(`${name}=${text}: expected one of ${allowed.join(', ')}`);
  }
  return text as T;
}

function url(env: Env, name: string, protocols: readonly string[]): string | null {
  const text = env[name];
  if (!text) return null;
  // The value may hold a password: it is not repeated.
  if (!URL.canParse(text) || !protocols.includes(new URL(text).protocol)) {
    throw new ConfigError(
      `${name} is no URL that begins with ${protocols.map((p) => `${p}//`).join(' or ')}`,
    );
  }
  return text;
}

function readRedis(env: Env): RedisAddress | null {
  const text = env['REDIS_URL'];
  if (!text) return null;
  const address = parseRedisAddress(text);
  // The value may hold a password: it is not repeated.
  if (!address) {
    throw new ConfigError(
      'REDIS_URL is no address of Redis: redis://user:password@host:6379, redis+sentinel://host:26379,host:26379/mymaster ' +
        'or redis+cluster://host:6379,host:6379; with rediss instead of redis encrypted; in passwords @ is %40, / is %2F',
    );
  }
  return address;
}

function readTokenKey(env: Env): TokenKey | null {
  const given = ['JWT_SECRET', 'JWT_PUBLIC_KEY', 'JWKS_URL'].filter((name) => env[name]);
  if (given.length > 1) throw new ConfigError(`${given.join(' and ')} are set: tokens have one kind of key, unset the others`);
  const { JWT_SECRET: secret, JWT_PUBLIC_KEY: pem } = env;
  if (secret) {
    if (Buffer.byteLength(secret) < 32) throw new ConfigError('JWT_SECRET is shorter than 32 bytes: try `openssl rand -hex 32`');
    return { kind: 'secret', secret };
  }
  if (pem) return { kind: 'publicKey', pem: pem.replaceAll('\\n', '\n') };
  const jwks = url(env, 'JWKS_URL', ['https:', 'http:']);
  return jwks ? { kind: 'jwks', url: jwks } : null;
} // prettier-ignore

function readAdminToken(env: Env): string | null {
  const token = env['ADMIN_TOKEN'];
  if (!token) return null;
  if (Buffer.byteLength(token) >= 16) return token;
  throw new ConfigError('ADMIN_TOKEN is shorter than 16 bytes: try `openssl rand -hex 24`');
}

/** Standard names of OpenTelemetry. A header's value may be a secret: it is not repeated. */
function readTracing(env: Env): TracingConfig | null {
  const endpoint = url(env, 'OTEL_EXPORTER_OTLP_ENDPOINT', ['http:', 'https:']);
  const ratioText = env['OTEL_TRACES_SAMPLER_ARG'] || '0.01';
  const ratio = Number(ratioText);
  if (!(ratio >= 0 && ratio <= 1)) throw new ConfigError(`OTEL_TRACES_SAMPLER_ARG=${ratioText}: expected a number from 0 to 1`);
  const headers = parseOtlpHeaders(env['OTEL_EXPORTER_OTLP_HEADERS'] ?? '');
  if (!headers) throw new ConfigError('OTEL_EXPORTER_OTLP_HEADERS is no list like api-key=abc,x-tenant=a%20b: names, and values that are URL-encoded');
  if (!endpoint) return null;
  const { username, password } = new URL(endpoint);
  if (username || password) throw new ConfigError('OTEL_EXPORTER_OTLP_ENDPOINT names a user: send one by OTEL_EXPORTER_OTLP_HEADERS=authorization=Basic%20…');
  return Object.freeze({ url: tracesUrl(endpoint), headers, ratio, service: env['OTEL_SERVICE_NAME'] || 'octavo' });
} // prettier-ignore

function readLimits(env: Env): Limits {
  const limits = Object.fromEntries(
    Object.entries(LIMIT_TABLE).map(([name, row]) => [name, integer(env, row.env, row.value, 1, 2 ** 40)]),
  ) as Record<LimitName, number>;
  const broken = checkLimits(limits);
  if (broken) throw new ConfigError(broken);
  return Object.freeze(limits);
}

function listed(env: Env, name: string): string[] {
  return (env[name] ?? '').split(',').flatMap((part) => part.trim() || []);
}

/** null: none was given. */
function readOrigins(env: Env): readonly string[] | null {
  const texts = listed(env, 'ALLOWED_ORIGINS');
  if (texts.length === 0) return null;
  return texts.map((text) => {
    const origin = text === '*' ? text : normalOrigin(text);
    if (!origin) throw new ConfigError(`ALLOWED_ORIGINS: “${text}” is no origin like https://app.example, and not *`);
    return origin;
  });
} // prettier-ignore

function readTrustedProxies(env: Env): readonly string[] {
  const ranges = listed(env, 'TRUSTED_PROXIES');
  const wrong = ranges.find((range) => !isAddressRange(range));
  if (wrong !== undefined) throw new ConfigError(`TRUSTED_PROXIES: “${wrong}” is no address like 10.0.0.7, and no range like 10.0.0.0/8`);
  return ranges;
} // prettier-ignore

/** Throws `ConfigError` with the variable's name and what was expected. */
export function readConfig(env: Env): Config {
  const host = env['HOST'] || '127.0.0.1';
  const tokenKey = readTokenKey(env);
  if (!isLoopback(host) && !tokenKey) {
    throw new ConfigError(
      `HOST=${host} is reachable from elsewhere, but the tokens’ secret is a generated one: ` +
        'set JWT_SECRET (32 bytes at least; `openssl rand -hex 32`), JWT_PUBLIC_KEY or JWKS_URL',
    );
  }
  const memoryMbPerShard = integer(env, 'MEMORY_MB_PER_SHARD', 512, 16, 1 << 20);
  return Object.freeze({
    host,
    tokenKey,
    origins: Object.freeze({ allowed: readOrigins(env), loopback: isLoopback(host) }),
    trustedProxies: Object.freeze(readTrustedProxies(env)),
    syncPort: integer(env, 'SYNC_PORT', 3002, 0, 65535),
    shards: integer(env, 'SHARDS', Math.max(1, availableParallelism() - 1), 0, 256),
    dataDir: resolve(env['DATA_DIR'] || './data'),
    databaseUrl: url(env, 'DATABASE_URL', ['postgres:', 'postgresql:']),
    redis: readRedis(env),
    transport: choice<TransportMode>(env, 'TRANSPORT', 'auto', ['auto', 'uws', 'ws']),
    tracing: readTracing(env),
    logLevel: choice(env, 'LOG_LEVEL', 'info', LOG_LEVELS),
    evictIdleMs: integer(env, 'EVICT_IDLE_MS', 60_000, 0, 86_400_000),
    memoryMbPerShard,
    shardHeapMb: integer(env, 'SHARD_HEAP_MB', 2 * memoryMbPerShard + 256, 16, 1 << 21),
    commitStallMs: integer(env, 'COMMIT_STALL_MS', 100, 0, 60_000),
    headPollMs: integer(env, 'HEAD_POLL_MS', 500, 0, 60_000),
    adminToken: readAdminToken(env),
    drainMs: integer(env, 'DRAIN_MS', 5000, 0, 600_000),
    limits: readLimits(env),
  });
}
