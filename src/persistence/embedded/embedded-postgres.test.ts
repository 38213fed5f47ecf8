/**
 * The embedded PostgreSQL for real: starts, deaths of every kind, and what the next start finds. Servers that must be
 * killed run as child processes, from a build of this folder made once, in a temporary directory.
 */
import { execFileSync, spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { existsSync } from 'node:fs';
import {
  chmod,
  chown,
  mkdir,
  mkdtemp,
  readFile,
  readdir,
  rm,
  stat,
  symlink,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import pg from 'pg';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { silentLog } from '../../base/log.ts';
import { startEmbeddedPostgres } from './embedded-postgres.ts';
import type { EmbeddedPostgres } from './embedded-postgres.ts';
import { EmbeddedPostgresError } from './errors.ts';
import { readPostmasterFile } from './postmaster-lock.ts';
import { inspectProcess } from './processes.ts';
import { parsePasswd } from './service-user.ts';
import { waitUntil } from './wait-until.ts';

const repository = fileURLToPath(new URL('../../../', import.meta.url));
const isRoot = process.getuid?.() === 0;
let root: string;
let running: EmbeddedPostgres[] = [];
let children: ChildProcess[] = [];

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'octavo-embedded-'));
  await chmod(root, 0o755);
  const entry = join(repository, 'src/persistence/embedded/embedded-postgres.ts');
  const compilerOptions = { rootDir: join(repository, 'src'), outDir: join(root, 'build'), noCheck: true };
  const config = {
    extends: join(repository, 'tsconfig.build.json'),
    compilerOptions,
    files: [entry],
    include: [],
  };
  await writeFile(join(root, 'tsconfig.json'), JSON.stringify(config));
  await symlink(join(repository, 'node_modules'), join(root, 'node_modules'));
  execFileSync(join(repository, 'node_modules/.bin/tsc'), ['-p', join(root, 'tsconfig.json')]);
  await writeFile(join(root, 'package.json'), '{"type":"module"}');
  await writeFile(
    join(root, 'server.js'),
    `import { startEmbeddedPostgres } from './build/persistence/embedded/embedded-postgres.js';
     const log = { debug() {}, warn() {}, error() {}, info: (fields) => console.log(JSON.stringify(fields)) };
     const server = await startEmbeddedPostgres({ dataDir: process.argv[2], log });
     // Before it says that it is ready: who hears that may send the signal at once.
     process.on('SIGTERM', () => server.stop().then(() => process.exit(0)));
     console.log(JSON.stringify({ url: server.url }));
     process.stdin.resume();`,
  );
});

afterEach(async () => {
  await Promise.all(running.map((server) => server.stop()));
  for (const child of children) child.kill('SIGKILL');
  running = [];
  children = [];
});

afterAll(async () => {
  await waitUntil(async () => (await postmastersBelow(root)).length === 0, 10_000, 100);
  expect(await postmastersBelow(root)).toEqual([]);
  await rm(root, { recursive: true, force: true });
});

async function postmastersBelow(path: string): Promise<string[]> {
  if (process.platform !== 'linux') return [];
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name)).map(Number);
  const states = await Promise.all(pids.map(inspectProcess));
  return states.flatMap((s) =>
    s.kind === 'alive' && s.command.includes(`octavo.cluster=${path}`) ? [s.command] : [],
  );
}

async function start(dataDir: string): Promise<EmbeddedPostgres> {
  const server = await startEmbeddedPostgres({ dataDir, log: silentLog });
  running.push(server);
  return server;
}

interface ServerProcess {
  readonly child: ChildProcess;
  readonly url: string;
  readonly postgres: number;
  readonly watchdog: number;
}

async function startServerProcess(
  dataDir: string,
  user?: { uid: number; gid: number },
): Promise<ServerProcess> {
  const child = spawn(process.execPath, [join(root, 'server.js'), dataDir], {
    stdio: ['pipe', 'pipe', 'inherit'],
    cwd: root,
    ...user,
  });
  children.push(child);
  const said: Record<string, unknown> = {};
  for await (const line of createInterface({ input: child.stdout! })) {
    Object.assign(said, JSON.parse(line));
    if (said['url']) break;
  }
  const { url, postgresPid, watchdogPid } = said as { url: string; postgresPid: number; watchdogPid: number };
  return { child, url, postgres: postgresPid, watchdog: watchdogPid };
}

async function query(url: string, text: string): Promise<unknown[]> {
  const client = new pg.Client({ connectionString: url });
  client.on('error', () => undefined);
  await client.connect();
  try {
    return (await client.query({ text, rowMode: 'array' })).rows.flat();
  } finally {
    await client.end();
  }
}

async function isGone(pid: number): Promise<boolean> {
  return (await inspectProcess(pid)).kind !== 'alive';
}

const newDataDir = () => mkdtemp(join(root, 'data-'));
const makeNote = `CREATE TABLE note AS SELECT 'kept'::text AS body`;
const readNote = 'SELECT body FROM note';

async function rewritePid(dataDir: string, pid: number): Promise<void> {
  const path = join(dataDir, 'postgres/postmaster.pid');
  const user = await stat(join(dataDir, 'postgres'));
  await writeFile(
    path,
    [pid, join(dataDir, 'postgres'), 1, 5432, '', '127.0.0.1', '', 'ready', ''].join('\n'),
  );
  await chown(path, user.uid, user.gid);
  await chmod(path, 0o600);
}

describe('starting and stopping', () => {
  test('a first start makes everything, a second one finds the data', async () => {
    const dataDir = join(root, 'made', 'by-us');
    const first = await start(dataDir);
    await query(first.url, makeNote);
    expect(await query(first.url, 'SHOW fsync')).toEqual(['on']);
    expect(await query(first.url, 'SHOW listen_addresses')).toEqual(['127.0.0.1']);
    expect(await query(first.url, `SELECT 'Ä' ILIKE 'ä', 'B' < 'a'`)).toEqual([true, true]);
    expect(new URL(first.url).pathname).toBe('/octavo');
    await first.stop();
    await first.exited;
    expect(existsSync(join(dataDir, 'octavo.lock'))).toBe(false);
    const second = await start(dataDir);
    expect(await query(second.url, readNote)).toEqual(['kept']);
    expect(new URL(second.url).password).toBe(new URL(first.url).password);
  });

  test('what it writes is for its owner only, and a wrong password opens nothing', async () => {
    const dataDir = join(root, 'private');
    const server = await start(dataDir);
    for (const path of ['.', 'postgres', ...(await readdir(dataDir))]) {
      const info = await stat(join(dataDir, path));
      expect([path, info.mode & 0o777]).toEqual([path, info.isDirectory() ? 0o700 : 0o600]);
    }
    expect((await readdir(dataDir)).sort()).toEqual([
      'octavo.lock',
      'postgres',
      'postgres-password',
      'postgres.log',
    ]);
    const url = new URL(server.url);
    url.password = 'guess';
    await expect(query(url.href, 'SELECT 1')).rejects.toThrow('password authentication failed');
  });

  test('a lost password file is replaced', async () => {
    const dataDir = await newDataDir();
    await (await start(dataDir)).stop();
    await rm(join(dataDir, 'postgres-password'));
    expect(await query((await start(dataDir)).url, 'SELECT 1')).toEqual([1]);
  });

  test('what a killed initdb leaves is removed', async () => {
    const dataDir = await newDataDir();
    await mkdir(join(dataDir, 'postgres.init-1/base'), { recursive: true });
    await start(dataDir);
    expect(existsSync(join(dataDir, 'postgres.init-1'))).toBe(false);
  });

  test('data of another major version is refused by name', async () => {
    const dataDir = await newDataDir();
    await mkdir(join(dataDir, 'postgres'));
    await writeFile(join(dataDir, 'postgres/PG_VERSION'), '12\n');
    await expect(start(dataDir)).rejects.toMatchObject({ code: 'version-mismatch' });
    expect(existsSync(join(dataDir, 'octavo.lock'))).toBe(false);
  });

  test('a data directory that cannot be one is refused by name', async () => {
    const path = join(root, 'a-file');
    await writeFile(path, '');
    const failure = await startEmbeddedPostgres({ dataDir: path, log: silentLog }).catch(
      (error: unknown) => error,
    );
    expect(failure).toBeInstanceOf(EmbeddedPostgresError);
    expect(failure).toMatchObject({ code: 'data-dir-unusable' });
  });

  test('of two starts at once one wins, the other names it', async () => {
    const dataDir = await newDataDir();
    const results = await Promise.allSettled([start(dataDir), start(dataDir)]);
    expect(results.map((result) => result.status).sort()).toEqual(['fulfilled', 'rejected']);
    const refused = results.find((result) => result.status === 'rejected')!.reason as EmbeddedPostgresError;
    expect(refused.code).toBe('data-dir-in-use');
    expect(refused.message).toContain(`(pid ${process.pid})`);
    expect(await query(running[0]!.url, 'SELECT 1')).toEqual([1]);
  });
});

describe('deaths', () => {
  test('a server killed with -9 takes PostgreSQL with it, and the next start finds the data', async () => {
    const dataDir = await newDataDir();
    const server = await startServerProcess(dataDir);
    await query(server.url, makeNote);
    server.child.kill('SIGKILL');
    expect(await waitUntil(() => isGone(server.postgres), 10_000)).toBe(true);
    expect(await waitUntil(() => isGone(server.watchdog), 10_000)).toBe(true);
    expect(await query((await start(dataDir)).url, readNote)).toEqual(['kept']);
  });

  test('a server killed with -9 while it makes the cluster leaves nothing half', async () => {
    const dataDir = await newDataDir();
    const child = spawn(process.execPath, [join(root, 'server.js'), dataDir], { stdio: 'ignore', cwd: root });
    const initializing = async () =>
      (await readdir(dataDir)).some((name) => name.startsWith('postgres.init-'));
    expect(await waitUntil(initializing, 10_000, 5)).toBe(true);
    child.kill('SIGKILL');
    await new Promise((resolve) => child.once('exit', resolve));
    expect(await query((await start(dataDir)).url, 'SELECT 1')).toEqual([1]);
  });

  test('a start right after the kill does not wait for the watchdog to be done', async () => {
    const dataDir = await newDataDir();
    const server = await startServerProcess(dataDir);
    await query(server.url, makeNote);
    server.child.kill('SIGKILL');
    await new Promise((resolve) => server.child.once('exit', resolve));
    expect(await query((await start(dataDir)).url, readNote)).toEqual(['kept']);
  });

  test('an orphan, its watchdog dead too, is stopped by the next start', async () => {
    const dataDir = await newDataDir();
    const server = await startServerProcess(dataDir);
    await query(server.url, makeNote);
    process.kill(server.watchdog, 'SIGKILL');
    server.child.kill('SIGKILL');
    await new Promise((resolve) => server.child.once('exit', resolve));
    expect(await isGone(server.postgres)).toBe(false);
    const next = await start(dataDir);
    expect(await isGone(server.postgres)).toBe(true);
    expect(await query(next.url, readNote)).toEqual(['kept']);
  });

  test('a postmaster killed with -9 is reported, and the next start recovers', async () => {
    const dataDir = await newDataDir();
    const server = await start(dataDir);
    await query(server.url, makeNote);
    process.kill((await readPostmasterFile(join(dataDir, 'postgres')))!.pid, 'SIGKILL');
    await server.exited;
    await server.stop();
    expect(await query((await start(dataDir)).url, readNote)).toEqual(['kept']);
  });

  test('Ctrl-C and SIGTERM to the server leave PostgreSQL to the server', async () => {
    const server = await startServerProcess(await newDataDir());
    const sessionOf = async (pid: number) =>
      (await readFile(`/proc/${pid}/stat`, 'utf8')).split(') ')[1]!.split(' ')[3];
    if (process.platform === 'linux') {
      expect(await sessionOf(server.postgres)).not.toBe(await sessionOf(server.child.pid!));
      expect(await sessionOf(server.watchdog)).not.toBe(await sessionOf(server.child.pid!));
    }
    server.child.kill('SIGTERM');
    expect(await new Promise((resolve) => server.child.once('exit', resolve))).toBe(0);
    expect(await isGone(server.postgres)).toBe(true);
    expect(await waitUntil(() => isGone(server.watchdog), 5_000)).toBe(true);
  });
});

describe('leftover postmaster.pid', () => {
  test('its id belongs to an unrelated process now, which is left alone', async () => {
    const dataDir = await newDataDir();
    await (await start(dataDir)).stop();
    // Of the service user, or PostgreSQL itself would know that it is another's.
    const { uid, gid } = await stat(join(dataDir, 'postgres'));
    const other = spawn('sleep', ['60'], isRoot ? { uid, gid } : {});
    children.push(other);
    await rewritePid(dataDir, other.pid!);
    expect(await query((await start(dataDir)).url, 'SELECT 1')).toEqual([1]);
    expect(await isGone(other.pid!)).toBe(false);
  });

  test('its id is that of a zombie', async () => {
    const dataDir = await newDataDir();
    await (await start(dataDir)).stop();
    const { uid, gid } = await stat(join(dataDir, 'postgres'));
    // `exec` replaces the shell by a program that never asks for its child's exit code.
    const parent = spawn('sh', ['-c', 'sleep 0.05 & echo $!; exec sleep 60'], isRoot ? { uid, gid } : {});
    children.push(parent);
    const zombie = Number(await new Promise((resolve) => parent.stdout.once('data', resolve)));
    await waitUntil(async () => (await inspectProcess(zombie)).kind === 'zombie', 5_000);
    expect((await inspectProcess(zombie)).kind).toBe('zombie');
    await rewritePid(dataDir, zombie);
    expect(await query((await start(dataDir)).url, 'SELECT 1')).toEqual([1]);
  });

  test('its id belongs to nobody', async () => {
    const dataDir = await newDataDir();
    await (await start(dataDir)).stop();
    await rewritePid(dataDir, 4_000_000);
    expect(await query((await start(dataDir)).url, 'SELECT 1')).toEqual([1]);
  });
});

describe.runIf(isRoot)('users', () => {
  test('as root below a directory with mode 0700 the data stays where it was asked for', async () => {
    const home = join(root, 'home-0700');
    await mkdir(home, { mode: 0o700 });
    const dataDir = join(home, 'octavo/data');
    const server = await start(dataDir);
    await query(server.url, makeNote);
    expect((await stat(join(dataDir, 'postgres'))).uid).not.toBe(0);
    expect((await stat(join(dataDir, 'postgres'))).mode & 0o777).toBe(0o700);
    expect((await stat(home)).mode & 0o777).toBe(0o700);
    await server.stop();
    expect(await query((await start(dataDir)).url, readNote)).toEqual(['kept']);
  });

  test('a cluster that root copied here is given to the service user', async () => {
    const dataDir = await newDataDir();
    const server = await start(dataDir);
    await query(server.url, makeNote);
    await server.stop();
    execFileSync('chown', ['-R', '0:0', dataDir]);
    expect(await query((await start(dataDir)).url, readNote)).toEqual(['kept']);
  });

  test('an unprivileged server runs PostgreSQL as itself, and root later keeps to that user', async () => {
    const nobody = parsePasswd(await readFile('/etc/passwd', 'utf8')).find((user) => user.name === 'nobody')!;
    const dataDir = await newDataDir();
    await chown(dataDir, nobody.uid, nobody.gid);
    const server = await startServerProcess(dataDir, { uid: nobody.uid, gid: nobody.gid });
    await query(server.url, makeNote);
    expect((await stat(join(dataDir, 'postgres'))).uid).toBe(nobody.uid);
    server.child.kill('SIGTERM');
    await new Promise((resolve) => server.child.once('exit', resolve));
    expect(await query((await start(dataDir)).url, readNote)).toEqual(['kept']);
    expect(dirname((await postmastersBelow(dataDir))[0]!.split(' ')[0]!)).toMatch(/bin$/);
  });
});
