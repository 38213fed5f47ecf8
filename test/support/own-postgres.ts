/**
 * A PostgreSQL of a test's own, whose processes it may freeze, kill and start again; on a small file system of its own, if
 * it wishes. Who starts it disposes of it.
 */
import { execFileSync } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { OwnPostgres as Server } from '../../src/chaos/own-postgres.ts';

export interface OwnPostgresOptions {
  readonly maxConnections?: number;
  /** Puts all of it on a file system of this size; null if this machine does not let us. */
  readonly diskMb?: number;
}

export class OwnPostgres {
  readonly #server: Server;
  readonly #mounted: boolean;

  private constructor(server: Server, mounted: boolean) {
    this.#server = server;
    this.#mounted = mounted;
    // A test that is ended in the middle leaves no PostgreSQL behind, frozen or not.
    process.once('exit', () => server.killNow());
  }

  static async start({ maxConnections = 50, diskMb }: OwnPostgresOptions = {}): Promise<OwnPostgres> {
    const dataDir = await mkdtemp(join(tmpdir(), 'octavo-test-postgres-'));
    if (diskMb !== undefined) mount(dataDir, diskMb);
    return new OwnPostgres(await Server.make(dataDir, maxConnections), diskMb !== undefined);
  }

  get url(): string {
    return this.#server.url;
  }

  /** Where its files are. */
  get dataDir(): string {
    return this.#server.dataDir;
  }

  get isRunning(): boolean {
    return this.#server.isRunning;
  }

  /** Starts it again; resolves when it answers. */
  start(): Promise<void> {
    return this.#server.start();
  }

  signal(signal: 'SIGSTOP' | 'SIGCONT' | 'SIGKILL'): Promise<void> {
    return this.#server.signal(signal);
  }

  /** kill -9 of all of its processes. */
  kill(): Promise<void> {
    return this.#server.kill();
  }

  query(sql: string): Promise<unknown[]> {
    return this.#server.query(sql);
  }

  async dispose(): Promise<void> {
    await this.#server.dispose();
    if (this.#mounted) execFileSync('umount', ['-l', this.dataDir]);
    await rm(this.dataDir, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
  }
}

function mount(dir: string, mb: number): void {
  execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${mb}m,mode=755`, 'tmpfs', dir], { stdio: 'pipe' });
}

/** Whether this machine lets us make a small file system. */
export async function canMount(): Promise<boolean> {
  const dir = await mkdtemp(join(tmpdir(), 'octavo-test-mount-'));
  try {
    mount(dir, 1);
    execFileSync('umount', [dir]);
    return true;
  } catch {
    // Not root, or not allowed to: the caller does otherwise.
    return false;
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}
