/**
 * The server under measurement, as its own process with a database given to it. Rate limits are raised, since they are
 * what a benchmark would otherwise measure; suites say so beside their figures (`RAISED`).
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { rmSync } from 'node:fs';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SignJWT } from 'jose';
import { findServer } from '../../src/local-server.ts';
import { BenchError } from './must.ts';
import type { SuiteOptions } from './figures.ts';
import { pinTo } from './processes.ts';

const MANY = '1000000000';

/** Limits raised for the measurement, by environment variable: the generator's clients neither slow down nor send again. */
export const RAISED = {
  USER_CHANGES_PER_SECOND: MANY,
  USER_CHANGES_BURST: MANY,
  PAGE_CHANGES_PER_SECOND: MANY,
  USER_FRAMES_PER_SECOND: MANY,
  USER_FRAMES_BURST: MANY,
  USER_BYTES_PER_SECOND: MANY,
  USER_BYTES_BURST: MANY,
  BACKLOG_BYTES_MAX: MANY,
} as const;

export const RAISED_TEXT = `raised to ${MANY}: ${Object.keys(RAISED).join(', ')}`;
export const SERVER_CORE = 0;
export const GENERATOR_CORE = 1;

export interface ServerProcess {
  readonly pid: number;
  readonly url: string;
  token(user: string): Promise<string>;
  /** Stops it; resolves to what there is to say about that: nothing when it ended in good order. */
  stop(): Promise<string[]>;
  /** Ends it at once if it still runs: for the way out after a failure. */
  kill(): void;
}

const END_WITH_PARENT = new URL('end-with-parent.js', import.meta.url).href;
const START_MS = 30_000;
const POLL_MS = 20;

export async function startServer(
  options: Pick<SuiteOptions, 'pin' | 'server' | 'profileDir'>,
  databaseUrl: string,
  env: Readonly<Record<string, string>> = {},
  nodeFlags: readonly string[] = [],
): Promise<ServerProcess> {
  const dataDir = await mkdtemp(join(tmpdir(), 'octavo-bench-server-'));
  const secret = env['JWT_SECRET'] ?? randomBytes(32).toString('hex');
  const flags = ['--import', END_WITH_PARENT, ...nodeFlags];
  if (options.profileDir !== null) {
    await mkdir(options.profileDir, { recursive: true });
    flags.push('--cpu-prof', `--cpu-prof-dir=${options.profileDir}`);
  }
  const child = spawn(process.execPath, [...flags, options.server, 'start'], {
    stdio: ['pipe', 'ignore', 'inherit'],
    env: {
      ...process.env,
      ...RAISED,
      SYNC_PORT: '0',
      DATA_DIR: dataDir,
      DATABASE_URL: databaseUrl,
      JWT_SECRET: secret,
      LOG_LEVEL: process.env['LOG_LEVEL'] ?? 'error',
      DRAIN_MS: '0',
      ...env,
    },
  });
  const url = await listening(child, dataDir);
  if (options.pin) pinTo(SERVER_CORE, child.pid!);
  return {
    pid: child.pid!,
    url,
    token: (user) => mint(secret, user),
    async stop() {
      const code = await ended(child);
      await rm(dataDir, { recursive: true, force: true });
      return code === 0 ? [] : [`the server did not stop in good order: exit code ${code}`];
    },
    kill() {
      if (child.exitCode !== null) return;
      child.kill('SIGKILL');
      rmSync(dataDir, { recursive: true, force: true });
    },
  };
}

async function listening(child: ChildProcess, dataDir: string): Promise<string> {
  const until = performance.now() + START_MS;
  while (performance.now() < until && child.exitCode === null) {
    const found = await findServer(dataDir);
    if (found && found !== 'stale' && found.pid === child.pid) return found.url;
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
  child.kill('SIGKILL');
  throw new BenchError(`the server did not start (exit code ${child.exitCode}); is it built?`);
}

async function ended(child: ChildProcess): Promise<number | null> {
  if (child.exitCode !== null) return child.exitCode;
  const exit = new Promise<number | null>((resolve) => child.once('exit', resolve));
  child.kill('SIGTERM');
  return exit;
}

function mint(secret: string, user: string): Promise<string> {
  return new SignJWT({ grants: [{ workspace: 'default', role: 'editor' }] })
    .setProtectedHeader({ alg: 'HS256' })
    .setSubject(user)
    .setIssuedAt()
    .setExpirationTime('6h')
    .sign(new TextEncoder().encode(secret));
}
