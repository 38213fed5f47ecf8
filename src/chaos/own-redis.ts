/**
 * A Redis (or Valkey) that may be frozen, killed and started again on the same port: it keeps nothing on disk, for what the
 * nodes tell each other by it is worth nothing a moment later.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { mkdir, open } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { sleep, systemClock } from '../base/time.ts';
import { freePort } from './free-port.ts';

const PROGRAMS = ['redis-server', 'valkey-server'];
const START_TIMEOUT_MS = 20_000;

/** The program to run, by its name in PATH; undefined if there is none. */
export function findRedis(path: string): string | undefined {
  return PROGRAMS.find(
    (program) => spawnSync(program, ['--version'], { env: { PATH: path }, timeout: 5000 }).status === 0,
  );
}

export class OwnRedis {
  readonly port: number;
  readonly #dir: string;
  readonly #program: string;
  readonly #path: string;
  #child: ChildProcess | undefined;
  #over = false;

  private constructor(dir: string, program: string, path: string, port: number) {
    [this.#dir, this.#program, this.#path, this.port] = [dir, program, path, port];
  }

  static async make(dir: string, program: string, path: string): Promise<OwnRedis> {
    await mkdir(dir, { recursive: true });
    const redis = new OwnRedis(dir, program, path, await freePort());
    await redis.start();
    return redis;
  }

  get isRunning(): boolean {
    return this.#child !== undefined && this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** Starts it (again); resolves when it takes connections. */
  async start(): Promise<void> {
    const deadline = systemClock.monotonic() + START_TIMEOUT_MS;
    while (!this.#over) {
      if (!this.isRunning) await this.#spawn();
      if (await answers(this.port)) return;
      if (systemClock.monotonic() > deadline) throw new Error(`${this.#program} does not start: see ${this.#dir}/redis.log`);
      await sleep(20);
    }
  } // prettier-ignore

  async #spawn(): Promise<void> {
    const log = await open(join(this.#dir, 'redis.log'), 'a');
    const args = ['--port', String(this.port), '--bind', '127.0.0.1', '--dir', this.#dir, '--save', '', '--appendonly', 'no']; // prettier-ignore
    const child = spawn(this.#program, args, { env: { PATH: this.#path }, detached: true, stdio: ['ignore', log.fd, log.fd] }); // prettier-ignore
    child.on('error', () => {});
    this.#child = child;
    if (child.pid !== undefined) outliveNot(child, child.pid);
    await log.close();
  }

  async signal(signal: 'SIGSTOP' | 'SIGCONT'): Promise<void> {
    if (this.isRunning) this.#child!.kill(signal);
  }

  /** kill -9. */
  async kill(): Promise<void> {
    const child = this.#child!;
    if (!this.isRunning) return;
    const ended = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGKILL');
    await ended;
  }

  /** Ends it for good. */
  async dispose(): Promise<void> {
    this.#over = true;
    await this.kill();
  }

  /** As `dispose`, at once, for a process that is about to end. */
  killNow(): void {
    this.#over = true;
    if (this.isRunning) this.#child!.kill('SIGKILL');
  }
}

/** A shell that reads a pipe whose other end only we hold: the kernel closes it with us, whatever ends us, and Redis ends too. */
function outliveNot(redis: ChildProcess, pid: number): void {
  const script = 'read -r line || kill -9 "$0"';
  const shell = spawn('/bin/sh', ['-c', script, String(pid)], { cwd: '/', detached: true, stdio: ['pipe', 'ignore', 'ignore'] }); // prettier-ignore
  shell.on('error', () => {});
  shell.stdin.on('error', () => {}); // It has ended.
  redis.once('exit', () => shell.stdin.end('gone\n'));
}

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1' });
    socket.once('error', () => resolve(false));
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
  });
}
