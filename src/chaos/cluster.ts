/**
 * The cluster that a run is played on, all of it its own: PostgreSQL, Redis, nodes, and a link between any two that talk.
 *
 *     client 1 ── client link ──▶ balancer ─▶ node 1 ── link ──▶ PostgreSQL
 *     client 2 ── client link ──▶            node 2 ── link ──▶ Redis
 *
 * Nothing that it did not start is touched, and nothing of the environment but PATH is passed on.
 */
import { join } from 'node:path';
import { Network } from './network.ts';
import { OwnNode } from './own-node.ts';
import { OwnPostgres } from './own-postgres.ts';
import { OwnRedis } from './own-redis.ts';

export interface ClusterOptions {
  readonly dir: string;
  readonly path: string;
  readonly nodes: number;
  readonly shards: number;
  readonly clients: number;
  /** The program; null: without Redis. */
  readonly redis: string | null;
  /** Variables of the nodes. */
  readonly settings: Readonly<Record<string, string>>;
  readonly secret: string;
  /** A node ended, and nobody had asked it to. */
  readonly ended: (how: string) => void;
}

/** What can be killed, frozen and started again. */
export interface OwnProcess {
  start(): Promise<void>;
  kill(): Promise<void>;
  signal(signal: 'SIGSTOP' | 'SIGCONT'): Promise<void>;
  dispose(): Promise<void>;
  killNow(): void;
}

export class Cluster {
  postgres!: OwnPostgres;
  readonly nodes: OwnNode[] = [];
  readonly processes = new Map<string, OwnProcess>();
  network!: Network;
  /** Where each client connects to. */
  readonly clientPorts: number[] = [];
  readonly #options: ClusterOptions;

  constructor(options: ClusterOptions) {
    this.#options = options;
  }

  /** Starts all of it. What was started when it fails is for `dispose`. */
  async start(said: (what: string) => void): Promise<void> {
    const { dir, path, nodes, clients, redis } = this.#options;
    said('starting PostgreSQL');
    this.postgres = await OwnPostgres.make(join(dir, 'postgres'));
    this.processes.set('postgres', this.postgres);
    const own = redis === null ? null : await OwnRedis.make(join(dir, 'redis'), redis, path);
    if (own) this.processes.set('redis', own);
    this.network = new Network();
    said(`starting ${nodes} nodes`);
    for (let i = 1; i <= nodes; i++) await this.#addNode(`node ${i}`, own);
    await Promise.all(this.nodes.map((node) => node.start()));
    for (let i = 1; i <= clients; i++) this.clientPorts.push(await this.network.open(`client ${i}`, null));
  }

  async #addNode(name: string, redis: OwnRedis | null): Promise<void> {
    const { dir, path, shards, settings, secret, ended } = this.#options;
    const toPostgres = await this.network.open(`${name} to postgres`, this.postgres.port);
    const env: Record<string, string> = {
      ...settings,
      PATH: path,
      DATABASE_URL: this.postgres.urlAt(toPostgres),
      JWT_SECRET: secret,
      SHARDS: String(shards),
    };
    if (redis) {
      env['REDIS_URL'] = `redis://127.0.0.1:${await this.network.open(`${name} to redis`, redis.port)}`;
    }
    const listens = () => this.network.nodes(this.nodes.map(({ port }) => port));
    const node = new OwnNode({ name, dir: join(dir, name.replace(' ', '-')), env, listens, ended });
    this.nodes.push(node);
    this.processes.set(name, node);
  }

  /** The clients, by number from 0, whose connection leads to this node. */
  async clientsOf(node: OwnNode): Promise<number[]> {
    const links = await this.network.leadTo(node.port);
    return links.map((name) => Number(/^client (\d+)$/.exec(name)?.[1]) - 1).filter((i) => i >= 0);
  }

  /** Ends all of it, in whatever state it is; files stay. */
  async dispose(): Promise<void> {
    await Promise.all([...this.processes.values()].map((each) => each.dispose()));
    await (this.network as Network | undefined)?.close();
  }

  /** As `dispose`, at once, for a process that is about to end. */
  killNow(): void {
    for (const each of this.processes.values()) each.killNow();
  }
}
