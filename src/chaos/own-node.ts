/**
 * One Octavo node: this build's own `octavo start`, in a process of its own, which may be killed, frozen, stopped and started again, given
 * a wrong clock, or told to let one of its shards die (see `inside-node.ts`). A node that ends by itself is started again,
 * as a supervisor would, and counted.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdir, open } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { sleep, systemClock } from '../base/time.ts';
import { findServer } from '../local-server.ts';
import type { Order } from './inside-node.ts';

const COMMAND = fileURLToPath(new URL('../cli/octavo.js', import.meta.url));
const INSIDE = new URL('./inside-node.js', import.meta.url).href;
const START_TIMEOUT_MS = 60_000;
const STOP_TIMEOUT_MS = 10_000;
const POLL_MS = 10;
const RETRY_MS = 200;

export interface OwnNodeOptions {
  readonly name: string;
  /** Its DATA_DIR; its log is beside it. */
  readonly dir: string;
  /** All that it finds in its environment, besides. */
  readonly env: Readonly<Record<string, string>>;
  /** It is up, and where. */
  readonly listens: (port: number) => Promise<void>;
  /** It ended, and nobody had asked it to. */
  readonly ended: (how: string) => void;
}

export class OwnNode {
  readonly name: string;
  /** Where it listens, or listened when it was last up. */
  port = 0;
  readonly #options: OwnNodeOptions;
  #child: ChildProcess | undefined;
  /** What it should be. */
  #wanted: 'up' | 'down' = 'down';
  #starting: Promise<void> | undefined;
  #over = false;

  constructor(options: OwnNodeOptions) {
    this.name = options.name;
    this.#options = options;
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  get isRunning(): boolean {
    return this.#child !== undefined && this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** Starts it (again); resolves when it listens. One that cannot start now, for lack of a database say, is tried again. */
  start(): Promise<void> {
    if (this.#over) return Promise.resolve();
    this.#wanted = 'up';
    return (this.#starting ??= this.#start().finally(() => (this.#starting = undefined)));
  }

  async #start(): Promise<void> {
    const deadline = systemClock.monotonic() + START_TIMEOUT_MS;
    while (this.#wanted === 'up') {
      const child = await this.#spawn();
      while (isAlive(child) && systemClock.monotonic() < deadline) {
        const file = await findServer(join(this.#options.dir, 'data'));
        if (file && file !== 'stale' && file.pid === child.pid) {
          this.port = Number(new URL(file.url).port);
          this.#watch(child);
          return this.#options.listens(this.port);
        }
        await sleep(POLL_MS);
      }
      if (systemClock.monotonic() > deadline) throw new Error(`${this.name} does not start: see ${this.#options.dir}.log`);
      await sleep(RETRY_MS);
    }
  } // prettier-ignore

  async #spawn(): Promise<ChildProcess> {
    const { dir, env } = this.#options;
    await mkdir(dir, { recursive: true });
    const log = await open(`${dir}.log`, 'a');
    const child = spawn(process.execPath, [COMMAND, 'start'], {
      cwd: dir,
      env: { ...env, DATA_DIR: join(dir, 'data'), SYNC_PORT: '0', HOST: '127.0.0.1', NODE_OPTIONS: `--import=${INSIDE}` },
      // Detached: Ctrl-C is for us, who end them all.
      detached: true,
      stdio: ['ignore', log.fd, log.fd, 'ipc'],
    }); // prettier-ignore
    child.on('error', () => {});
    this.#child = child;
    await log.close();
    return child;
  }

  #watch(child: ChildProcess): void {
    child.once('exit', (code, signal) => {
      if (this.#wanted === 'down') return;
      this.#options.ended(`${this.name} ended by itself (${signal ?? `exit code ${code}`})`);
      this.start().catch((error: unknown) => this.#options.ended(String(error)));
    });
  }

  /** kill -9. */
  async kill(): Promise<void> {
    this.#wanted = 'down';
    const child = this.#child;
    if (!child || !this.isRunning) return;
    const ended = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGKILL');
    await ended;
  }

  /** Ends it as an operator does; as a supervisor does if that takes too long. */
  async stop(): Promise<void> {
    this.#wanted = 'down';
    const child = this.#child;
    if (!child || !this.isRunning) return;
    const ended = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGTERM');
    await Promise.race([ended, sleep(STOP_TIMEOUT_MS)]);
    await this.kill();
  }

  async signal(signal: 'SIGSTOP' | 'SIGCONT'): Promise<void> {
    if (this.isRunning) this.#child!.kill(signal);
  }

  /** Tells what runs inside of it. */
  tell(order: Order): void {
    if (this.isRunning && this.#child!.connected) this.#child!.send(order, () => {});
  }

  /** Ends it for good. */
  async dispose(): Promise<void> {
    this.#over = true;
    await this.kill();
    await this.#starting?.catch(() => {});
    await this.kill();
  }

  /** As `dispose`, at once, for a process that is about to end. */
  killNow(): void {
    this.#over = true;
    this.#wanted = 'down';
    if (this.isRunning) this.#child!.kill('SIGKILL');
  }
}

const isAlive = (child: ChildProcess): boolean => child.exitCode === null && child.signalCode === null;
