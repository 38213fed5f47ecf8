/**
 * A PostgreSQL whose processes may be frozen, killed and started again on the same port and data: the embedded one's parts,
 * put together for that. Its directory is laid out as a DATA_DIR, so that the commands read what is left of it.
 * A watchdog stops it should whoever started it be killed.
 */
import type { ChildProcess } from 'node:child_process';
import { mkdir } from 'node:fs/promises';
import pg from 'pg';
import { silentLog } from '../base/log.ts';
import { sleep, systemClock } from '../base/time.ts';
import { locatePackage, prepareBinaries } from '../persistence/embedded/binaries.ts';
import {
  type Cluster,
  clusterDirectory,
  databaseName,
  databaseUser,
} from '../persistence/embedded/cluster.ts';
import { ensureCluster } from '../persistence/embedded/init-cluster.ts';
import { openPostgresLog, readPostgresLog } from '../persistence/embedded/postgres-log.ts';
import { directoryArgument, spawnProgram } from '../persistence/embedded/programs.ts';
import { chooseServiceUser } from '../persistence/embedded/service-user.ts';
import { postmasterArguments } from '../persistence/embedded/settings.ts';
import { startWatchdog, type Watchdog } from '../persistence/embedded/watchdog.ts';
import { freePort } from './free-port.ts';
import { signalTree } from './process-tree.ts';

const START_TIMEOUT_MS = 60_000;
const CONNECTIONS = 100;

export class OwnPostgres {
  readonly port: number;
  /** Where its files are. */
  readonly dataDir: string;
  readonly #cluster: Cluster;
  readonly #password: string;
  readonly #maxConnections: number;
  readonly #watchdog: Watchdog;
  #child: ChildProcess | undefined;
  #over = false;

  private constructor(cluster: Cluster, password: string, port: number, maxConnections: number) {
    this.#cluster = cluster;
    this.#password = password;
    this.port = port;
    this.#maxConnections = maxConnections;
    this.#watchdog = startWatchdog(cluster.dir, silentLog);
    this.dataDir = cluster.dataDir;
  }

  /** Makes a cluster in `dataDir` and starts it. */
  static async make(dataDir: string, maxConnections = CONNECTIONS): Promise<OwnPostgres> {
    await mkdir(dataDir, { recursive: true });
    const dir = clusterDirectory(dataDir);
    const user = await chooseServiceUser(dir);
    const binaries = await prepareBinaries(locatePackage(), dataDir, user, silentLog);
    const cluster: Cluster = { dataDir, dir, user, binaries };
    const password = await ensureCluster(cluster);
    const postgres = new OwnPostgres(cluster, password, await freePort(), maxConnections);
    await postgres.start();
    return postgres;
  }

  get url(): string {
    return this.urlAt(this.port);
  }

  /** The same database by way of another port. */
  urlAt(port: number): string {
    return `postgres://${databaseUser}:${this.#password}@127.0.0.1:${port}/${databaseName}`;
  }

  get isRunning(): boolean {
    return this.#child !== undefined && this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** Starts it (again); resolves when it answers. */
  async start(): Promise<void> {
    const { dir, dataDir } = this.#cluster;
    const deadline = systemClock.monotonic() + START_TIMEOUT_MS;
    while (!this.#over) {
      if (!this.isRunning) await this.#spawn();
      const client = new pg.Client({ connectionString: this.url, connectionTimeoutMillis: 2000 });
      client.on('error', () => {});
      try {
        await client.connect();
        return await client.end();
      } catch (error) {
        // Not ready yet, or what is left of the killed one still holds its memory.
        if (systemClock.monotonic() > deadline) {
          throw new Error(`PostgreSQL does not start in ${dir}:\n${await readPostgresLog(dataDir, 0)}`, { cause: error }); // prettier-ignore
        }
        await sleep(50);
      }
    }
  }

  async #spawn(): Promise<void> {
    const { dir, dataDir, binaries } = this.#cluster;
    const log = await openPostgresLog(dataDir);
    const args = postmasterArguments(directoryArgument(this.#cluster, dir), dir, this.port, this.#maxConnections); // prettier-ignore
    // Detached: Ctrl-C is for who started it.
    const child = spawnProgram(this.#cluster, binaries.postgres, args, dir, { detached: true, stdio: ['ignore', log.fd, log.fd] }); // prettier-ignore
    child.on('error', () => {});
    this.#child = child;
    if (child.pid !== undefined) this.#watchdog.watch(child.pid);
    await log.close();
  }

  /** Sends a signal to all of its processes. */
  async signal(signal: 'SIGSTOP' | 'SIGCONT' | 'SIGKILL'): Promise<void> {
    if (this.isRunning) await signalTree(this.#child!.pid!, signal);
  }

  /** kill -9 of all of its processes. */
  async kill(): Promise<void> {
    const child = this.#child!;
    const ended = new Promise<void>((resolve) => (this.isRunning ? child.once('exit', () => resolve()) : resolve()));
    await this.signal('SIGKILL');
    await ended;
  } // prettier-ignore

  async query<Row = unknown>(sql: string, values: unknown[] = []): Promise<Row[]> {
    const client = new pg.Client({ connectionString: this.url, connectionTimeoutMillis: 10_000 });
    client.on('error', () => {});
    await client.connect();
    try {
      return (await client.query(sql, values)).rows as Row[];
    } finally {
      await client.end();
    }
  }

  /** Ends it for good, in whatever state it is; its files stay. */
  async dispose(): Promise<void> {
    this.#over = true;
    if (this.isRunning) await this.kill();
    this.#watchdog.end();
  }

  /** As `dispose`, at once, for a process that is about to end. */
  killNow(): void {
    this.#over = true;
    if (this.isRunning) this.#child!.kill('SIGKILL');
  }
}
