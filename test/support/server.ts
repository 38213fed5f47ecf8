/**
 * A real server for tests: the built one, in a process of its own, on a free port, with a database of its own. It can be
 * killed and started again on the same data and port, as an operator's would be.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SignJWT } from 'jose';
import { sleep } from '../../src/base/time.ts';
import type { ServerFile } from '../../src/local-server.ts';
import { createTestDatabase } from './database.ts';
import { freePort } from './free-port.ts';

export const TEST_SECRET = 'a secret for tests only, 32 bytes and more';
const START_TIMEOUT_MS = 20_000;
const CLI = 'dist/cli/octavo.js';

/** Rates high enough that no test meets them by accident; tests of the limits, and of the stop, set their own. */
const RAISED = {
  USER_CHANGES_PER_SECOND: '1000000',
  USER_CHANGES_BURST: '1000000',
  PAGE_CHANGES_PER_SECOND: '1000000',
  PRESENCE_PER_SECOND: '1000000',
  USER_FRAMES_PER_SECOND: '1000000',
  USER_FRAMES_BURST: '1000000',
  USER_BYTES_PER_SECOND: '1000000000',
  USER_BYTES_BURST: '1000000000',
  // Whether a commit takes long is the machine's doing: a test of what is told before it says so.
  COMMIT_STALL_MS: '60000',
  // A test that stops its server has no other one for its clients to move to.
  DRAIN_MS: '0',
};

export interface TestServer {
  readonly url: string;
  readonly http: string;
  readonly pid: number;
  readonly dataDir: string;
  readonly databaseUrl: string | null;
  /** What the process wrote to stderr so far. */
  log(): string;
  kill(signal: NodeJS.Signals): void;
  /** Resolves with the exit code, null when a signal ended it. */
  readonly exited: Promise<number | null>;
  /** Starts it again after its end, on the same port and data. */
  restart(): Promise<void>;
  /** Ends it and takes its data away. */
  dispose(): Promise<void>;
}

export interface ServerOptions {
  readonly env?: Record<string, string>;
  /** The embedded PostgreSQL instead of a database on a shared server. */
  readonly embedded?: boolean;
  /** A database that the test has made and takes away. */
  readonly databaseUrl?: string;
  /** Another build than that of these sources. */
  readonly cli?: string;
}

export async function startServer({
  env = {},
  embedded = false,
  databaseUrl,
  cli = CLI,
}: ServerOptions = {}): Promise<TestServer> {
  const dataDir = await mkdtemp(join(tmpdir(), 'octavo-test-'));
  const database = embedded || databaseUrl !== undefined ? undefined : await createTestDatabase();
  const url = databaseUrl ?? database?.url;
  const base: Record<string, string> = {
    ...(process.env as Record<string, string>),
    ...RAISED,
    HOST: '127.0.0.1',
    DATA_DIR: dataDir,
    JWT_SECRET: TEST_SECRET,
    LOG_LEVEL: 'info',
    ...(url === undefined ? {} : { DATABASE_URL: url }),
    ...env,
  };
  if (url === undefined) delete base['DATABASE_URL'];
  let run = await launch(cli, base, dataDir, env['SYNC_PORT'] ?? String(await freePort()));
  const port = new URL(run.file.url).port;
  return {
    get url() {
      return run.file.url;
    },
    get http() {
      return run.file.http;
    },
    get pid() {
      return run.child.pid!;
    },
    dataDir,
    databaseUrl: url ?? null,
    log: () => run.log(),
    kill: (signal) => void run.child.kill(signal),
    get exited() {
      return run.exited;
    },
    async restart() {
      await run.exited;
      run = await launch(cli, base, dataDir, port);
    },
    async dispose() {
      run.child.kill('SIGTERM');
      const late = sleep(6000).then(() => run.child.kill('SIGKILL'));
      await Promise.race([run.exited, late]);
      await run.exited;
      await database?.drop();
      await rm(dataDir, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
    },
  };
}

interface Run {
  readonly child: ChildProcess;
  readonly file: ServerFile;
  readonly exited: Promise<number | null>;
  log(): string;
}

/** The port may still be held for a moment by the one that was killed. */
async function launch(cli: string, env: Record<string, string>, dataDir: string, port: string): Promise<Run> {
  for (let attempt = 0; ; attempt++) {
    const run = await launchOnce(cli, { ...env, SYNC_PORT: port }, dataDir);
    if (!(run instanceof Error)) return run;
    if (port === '0' || attempt >= 100) throw run;
    await sleep(100);
  }
}

async function launchOnce(cli: string, env: Record<string, string>, dataDir: string): Promise<Run | Error> {
  const child = spawn(process.execPath, [cli, 'start'], {
    env,
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let log = '';
  child.stderr!.on('data', (chunk: Buffer) => (log = (log + String(chunk)).slice(-1_000_000)));
  let ended = false;
  const exited = new Promise<number | null>((resolve) => {
    child.once('exit', (code) => {
      ended = true;
      resolve(code);
    });
  });
  for (let waited = 0; waited < START_TIMEOUT_MS && !ended; waited += 20) {
    const file = await readServerFile(dataDir);
    if (file && file.pid === child.pid) return { child, file, exited, log: () => log };
    await sleep(20);
  }
  child.kill('SIGKILL');
  return new Error(`the server did not start:\n${log}`);
}

async function readServerFile(dataDir: string): Promise<ServerFile | undefined> {
  try {
    return JSON.parse(await readFile(join(dataDir, 'server.json'), 'utf8')) as ServerFile;
  } catch {
    // Not written yet.
    return undefined;
  }
}

export interface TokenClaims {
  readonly grants?: unknown;
  readonly ttlSeconds?: number;
  /** Default: a minute ago. null: no `iat`. */
  readonly issuedAt?: number | null;
  readonly secret?: string;
}

/** A token of the test secret; by default an editor of the whole workspace, for an hour. */
export function testToken(user: string, { grants, ttlSeconds = 3600, issuedAt, secret = TEST_SECRET }: TokenClaims = {}): Promise<string> {
  const now = Math.floor(Date.now() / 1000);
  const iat = issuedAt === null ? {} : { iat: issuedAt ?? now - 60 };
  return new SignJWT({ name: user, grants: grants ?? [{ workspace: 'default', role: 'editor' }], ...iat })
    .setProtectedHeader({ alg: 'HS256' })
    .setSubject(user)
    .setExpirationTime(now + ttlSeconds)
    .sign(new TextEncoder().encode(secret));
} // prettier-ignore
