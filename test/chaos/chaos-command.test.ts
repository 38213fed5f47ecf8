/**
 * The command `octavo chaos` as an operator runs it: a short run in which a node is killed and a link is cut, with Redis and without; one
 * whose log is damaged on the way, which it must notice; one that is interrupted. Nothing may stay of them.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import pg from 'pg';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { findRedis } from '../../src/chaos/own-redis.ts';
import { drawPlan, type Trouble } from '../../src/chaos/plan.ts';
import type { ChaosResult } from '../../src/chaos/result.ts';
import { octavo } from '../support/command.ts';
import { until } from '../support/wait.ts';

const MINUTES = 0.15;
const RUN_TIMEOUT_MS = 150_000;
const path = process.env['PATH'] ?? '';
const redis = findRedis(path) !== undefined;

let folder: string;
const children: ChildProcess[] = [];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'octavo-test-chaos-'));
});

afterEach(async () => {
  for (const child of children.splice(0)) child.kill('SIGINT');
  await until(async () => (await processesOfRun()).length === 0, () => 'processes of a run stay', 30_000); // prettier-ignore
  await rm(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
}, 60_000);

/** Of what a run starts everything has the run's folder in its command line or as its current directory. */
async function processesOfRun(): Promise<string[]> {
  const found: string[] = [];
  for (const pid of (await readdir('/proc')).filter((name) => /^\d+$/.test(name))) {
    const [command, environment] = await Promise.all(['cmdline', 'environ'].map((file) => readFile(`/proc/${pid}/${file}`, 'utf8').catch(() => ''))); // prettier-ignore
    if (`${command} ${environment}`.includes(`${folder}/octavo-chaos-`))
      found.push(command!.replaceAll('\0', ' '));
  }
  return found;
}

/** The first seed whose short run has a kill of a node and a link that is cut. */
function seedWithKillAndCut(withRedis: boolean): number {
  const only: Trouble[] = ['kill', 'links'];
  for (let seed = 1; ; seed++) {
    const [round] = drawPlan(seed, { nodes: 3, shards: 2, clients: 4, redis: withRedis, runMs: MINUTES * 60_000, only });
    const harms = round!.faults.slice(0, 4).map(({ harm }) => (harm.kind === 'link' ? harm.state.kind : harm.kind));
    if (harms.includes('kill') && harms.includes('cut')) return seed;
  }
} // prettier-ignore

const runArgs = (withRedis: boolean, seed: number) => [
  'chaos', '--json', '--seed', String(seed), '--minutes', String(MINUTES), '--clients', '4', '--pages', '2', '--rate', '60',
  '--only', 'kill,links', ...(withRedis ? [] : ['--no-redis']),
]; // prettier-ignore

test.each([false, ...(redis ? [true] : [])])(
  'a node is killed, a link is cut, and nothing is lost (Redis: %s)',
  async (withRedis) => {
    const seed = seedWithKillAndCut(withRedis);
    const run = await octavo(runArgs(withRedis, seed), { TMPDIR: folder }, RUN_TIMEOUT_MS);
    expect(run.code, run.stderr).toBe(0);
    const lines = run.stdout.trimEnd().split('\n');
    expect(lines.length).toBe(1);
    const result = JSON.parse(lines[0]!) as ChaosResult;
    expect(result).toMatchObject({ seed, lost: 0, doubled: 0, diverged: 0, gaps: 0, seenThenGone: 0, unexpectedEnds: [] }); // prettier-ignore
    expect(result.acknowledged).toBeGreaterThan(60);
    expect(result.logged).toBe(result.acknowledged);
    expect(result.agreeMs).not.toBeNull();
    expect(result.nodeKills).toBeGreaterThan(0);
    expect(result.faults['link cut']).toBeGreaterThan(0);
    expect(run.stderr).toMatch(/kill -9 node \d.*round 1: \d+ acknowledged, nothing lost/s);
    expect(await readdir(folder)).toEqual([]);
  },
  RUN_TIMEOUT_MS,
);

interface Running {
  readonly child: ChildProcess;
  readonly ended: Promise<number | null>;
  out(): string;
  said(): string;
}

function start(args: readonly string[]): Running {
  const child = spawn(process.execPath, ['dist/cli/octavo.js', ...args], {
    env: { PATH: path, TMPDIR: folder },
  });
  children.push(child);
  let [out, said] = ['', ''];
  child.stdout.on('data', (chunk: Buffer) => (out += String(chunk)));
  child.stderr.on('data', (chunk: Buffer) => (said += String(chunk)));
  const ended = new Promise<number | null>((resolve) => child.once('close', resolve));
  return { child, ended, out: () => out, said: () => said };
}

const hasBegun = (run: Running) => until(() => run.said().includes('round 1/1'), run.said, 60_000);

test('a row that vanishes from the log is noticed, and the evidence is kept', async () => {
  const run = start([...runArgs(false, seedWithKillAndCut(false)), '--patience', '5']);
  await hasBegun(run);
  const dataDir = join(folder, (await readdir(folder))[0]!, 'postgres');
  const [, , , port] = (await readFile(join(dataDir, 'postgres', 'postmaster.pid'), 'utf8')).split('\n');
  const password = (await readFile(join(dataDir, 'postgres-password'), 'utf8')).trim();
  const client = new pg.Client(`postgres://octavo:${password}@127.0.0.1:${port}/octavo`);
  await client.connect();
  const remove = 'delete from changes where (page_id, seq) in (select page_id, 3 from page_heads where seq > 10 limit 1)';
  await until(async () => (await client.query(remove)).rowCount === 1, () => 'no page has changes');
  await client.end();
  expect(await run.ended).toBe(1);
  const result = JSON.parse(run.out()) as ChaosResult;
  // In seq, and in the n of its replica.
  expect(result.gaps).toBe(2);
  expect(result.lost).toBeGreaterThan(0);
  expect(result.findings.join('\n')).toContain('seq 4 follows seq 2');
  expect(dirname(dataDir)).toBe(result.evidence);
  expect(await readdir(result.evidence!)).toEqual(expect.arrayContaining(['node-1.log', 'plan.txt', 'postgres', 'result.json']));
  const page = /gaps: page (\S+): seq 4 follows seq 2/.exec(result.findings.join('\n'))![1]!;
  const verified = await octavo(['verify', page], { DATA_DIR: dataDir }, 60_000);
  expect([verified.code, verified.stdout]).toEqual([1, expect.stringContaining('damaged')]);
}, RUN_TIMEOUT_MS); // prettier-ignore

test('Ctrl-C ends everything and leaves nothing', async () => {
  const run = start(runArgs(false, 1));
  await hasBegun(run);
  expect((await processesOfRun()).length).toBeGreaterThan(3);
  run.child.kill('SIGINT');
  expect(await run.ended).toBe(1);
  expect(run.out()).toBe('');
  expect(run.said()).toContain('interrupted');
  expect(await readdir(folder)).toEqual([]);
  expect(await processesOfRun()).toEqual([]);
}, RUN_TIMEOUT_MS); // prettier-ignore

test(
  'killed with -9 it takes what it started with it',
  async () => {
    const run = start(runArgs(redis, 1));
    await hasBegun(run);
    run.child.kill('SIGKILL');
    await run.ended;
    await until(
      async () => (await processesOfRun()).length === 0,
      () => 'processes of a run stay',
      60_000,
    );
  },
  RUN_TIMEOUT_MS,
);

test('wrong usage is exit code 2, Redis that is not there too; the plan is printed without starting anything', async () => {
  for (const args of [['--minutes', 'x'], ['--only', 'rain'], ['--nodes', '0'], ['--only', 'redis', '--no-redis'], ['--set', 'DATABASE_URL=x']]) {
    expect((await octavo(['chaos', ...args])).code).toBe(2);
  }
  const without = await octavo(['chaos'], { PATH: '/nonexistent' });
  expect([without.code, without.stderr]).toEqual([2, expect.stringMatching(/redis-server.*--no-redis/s)]);
  const [one, same] = await Promise.all([0, 1].map(() => octavo(['chaos', '--plan', '--seed', '7'])));
  expect([one!.code, one!.stdout]).toEqual([0, same!.stdout]);
  expect(one!.stdout).toMatch(/round 1 .*\n.*Seed 7\./s);
}); // prettier-ignore
