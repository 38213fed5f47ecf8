/**
 * Redis servers of a test's own, which it may freeze, kill and start again on the same port: one alone, a cluster of three, or one
 * that a Sentinel looks after. Who starts them disposes of them.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { freePort } from './free-port.ts';
import { until } from './wait.ts';

/** Whether `redis-server` can be started here. Where tests must not be left out (CI) it has to be. */
export function hasRedisServer(): boolean {
  const found = spawnSync('redis-server', ['--version']).status === 0;
  if (!found && process.env['CI'])
    throw new Error('redis-server is not in PATH: install Redis 7 (or Valkey)');
  return found;
}

export class OwnRedis {
  readonly port: number;
  readonly #dir: string;
  readonly #args: readonly string[];
  #child: ChildProcess | undefined;

  private constructor(port: number, dir: string, args: readonly string[]) {
    this.port = port;
    this.#dir = dir;
    this.#args = args;
  }

  /** `args`: of the command line, besides the usual ones. */
  static async start(...args: readonly string[]): Promise<OwnRedis> {
    const dir = await mkdtemp(join(tmpdir(), 'octavo-test-redis-'));
    const redis = new OwnRedis(await freePort(), dir, args);
    await redis.start();
    return redis;
  }

  /** A Sentinel that names `server` as `mymaster`. */
  static async startSentinel(server: OwnRedis): Promise<OwnRedis> {
    const dir = await mkdtemp(join(tmpdir(), 'octavo-test-sentinel-'));
    const file = join(dir, 'sentinel.conf');
    const lines = [
      `sentinel monitor mymaster 127.0.0.1 ${server.port} 1`,
      'sentinel down-after-milliseconds mymaster 500',
      'sentinel failover-timeout mymaster 3000',
    ];
    await writeFile(file, lines.join('\n') + '\n');
    const sentinel = new OwnRedis(await freePort(), dir, [file, '--sentinel']);
    await sentinel.start();
    return sentinel;
  }

  get url(): string {
    return `redis://127.0.0.1:${this.port}`;
  }

  /** Starts it (again); resolves when it answers. */
  async start(): Promise<void> {
    const isSentinel = this.#args.includes('--sentinel');
    const usual = ['--port', String(this.port), '--bind', '127.0.0.1', '--dir', this.#dir];
    const [first, ...rest] = this.#args;
    // A configuration file comes first.
    const args = isSentinel ? [first!, ...usual, ...rest] : [...usual, '--save', '', '--appendonly', 'no', ...this.#args];
    const child = spawn('redis-server', args, { stdio: 'ignore' });
    child.on('error', () => {});
    // A test that is ended in the middle leaves no server behind, frozen or not.
    const end = () => child.kill('SIGKILL');
    process.once('exit', end);
    child.once('exit', () => process.off('exit', end));
    this.#child = child;
    await until(() => this.command('PING').then(() => true, () => false), () => `redis-server ${args.join(' ')}`);
  } // prettier-ignore

  /** Asks it something, on a connection of its own. */
  async command(name: string, ...args: readonly (string | number)[]): Promise<unknown> {
    const client = new Redis({
      port: this.port,
      host: '127.0.0.1',
      lazyConnect: true,
      retryStrategy: null,
      commandTimeout: 2000,
    });
    client.on('error', () => {});
    try {
      await client.connect();
      return await client.call(name, ...args);
    } finally {
      client.disconnect();
    }
  }

  signal(signal: 'SIGSTOP' | 'SIGCONT'): void {
    this.#child!.kill(signal);
  }

  async kill(): Promise<void> {
    const child = this.#child!;
    if (child.exitCode !== null || child.signalCode !== null) return;
    const ended = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGKILL');
    await ended;
  }

  async dispose(): Promise<void> {
    await this.kill();
    await rm(this.#dir, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
  }
}

/** Three servers that share the slots of a cluster, without replicas. */
export async function startRedisCluster(): Promise<OwnRedis[]> {
  const nodes = await Promise.all(
    [0, 1, 2].map(async () => {
      const busPort = await freePort();
      const args = ['--cluster-enabled', 'yes', '--cluster-port', String(busPort)];
      return { busPort, server: await OwnRedis.start(...args, '--cluster-node-timeout', '2000') };
    }),
  );
  const [first] = nodes;
  const bounds = [0, 5461, 10923, 16384];
  for (const [i, { server, busPort }] of nodes.entries()) {
    await server.command('CLUSTER', 'ADDSLOTSRANGE', bounds[i]!, bounds[i + 1]! - 1);
    if (i > 0) await first!.server.command('CLUSTER', 'MEET', '127.0.0.1', server.port, busPort);
  }
  const servers = nodes.map(({ server }) => server);
  const agrees = async (server: OwnRedis) => {
    const info = String(await server.command('CLUSTER', 'INFO'));
    return info.includes('cluster_state:ok') && info.includes('cluster_known_nodes:3');
  };
  await until(
    async () => (await Promise.all(servers.map(agrees))).every(Boolean),
    () => 'a cluster of three',
  );
  return servers;
}
