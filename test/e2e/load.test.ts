/**
 * `octavo load` against a real server: every scenario for a moment with a few clients, in this process; and the command itself, as it
 * is typed. Nothing is said about speed here.
 */
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { LoadGiven } from '../../src/cli/load-options.ts';
import type { LoadResult } from '../../src/load/result.ts';
import type { ScenarioName } from '../../src/load/scenarios.ts';
import { startServer, TEST_SECRET, testToken, type TestServer } from '../support/server.ts';

/** The built ones: their threads are files beside them. */
const built = (file: string): Promise<unknown> => import(pathToFileURL(resolve('dist', file)).href);
type RunModule = typeof import('../../src/load/run.ts');
type ProgressModule = typeof import('../../src/load/progress.ts');
type OptionsModule = typeof import('../../src/cli/load-options.ts');
type LoadCommandModule = typeof import('../../src/cli/load.ts');
type HttpModule = typeof import('../../src/load/http.ts');

let server: TestServer;
let dir: string;

beforeAll(async () => {
  server = await startServer();
  dir = await mkdtemp(join(tmpdir(), 'octavo-load-'));
});

afterAll(async () => {
  await server?.dispose();
  await rm(dir, { recursive: true, force: true });
});

const GIVEN: LoadGiven = {
  slowBytes: 1024,
  path: [],
  duration: 400,
  warmUp: 0,
  threads: 1,
  metrics: undefined,
  verify: true,
  assert: [],
};
const quiet = { write: () => true };

async function play(scenario: ScenarioName, given: Partial<LoadGiven>, target?: { url: string; token: string }): Promise<LoadResult> {
  const { LoadRun } = (await built('load/run.js')) as RunModule;
  const { LoadProgress } = (await built('load/progress.js')) as ProgressModule;
  const { planLoad } = (await built('cli/load-options.js')) as OptionsModule;
  const all = { ...GIVEN, ...given };
  const run = new LoadRun(
    {
      ...planLoad(scenario, all),
      scenario,
      url: new URL(target?.url ?? server.url),
      token: async (user) => target?.token ?? (await testToken(user)),
      metrics: [`${server.http}/metrics`],
      isLocal: true,
      threads: all.threads,
      durationMs: all.duration,
      warmUpMs: all.warmUp,
      verify: true,
      command: 'a test',
      version: '0',
    },
    new LoadProgress(quiet, 'seen'),
  );
  return run.play();
} // prettier-ignore

const RIGHT = { lost: 0, doubled: 0, wrong: 0, behind: 0, unsettled: 0, findings: [] };

test.each<[ScenarioName, Partial<LoadGiven>]>([
  ['typing', { pages: 2, writers: 2, rate: 100 }],
  ['typing', { pages: 1, writers: 2, inFlight: 3 }],
  ['blocks', { pages: 1, writers: 2, rate: 100 }],
  ['hot-page', { readers: 6, rate: 60, threads: 2 }],
  ['many-pages', { pages: 12, rate: 100 }],
  ['reconnect-storm', { pages: 1, writers: 3, rate: 60, every: 150 }],
  ['slow-reader', { pages: 1, writers: 1, readers: 1, slowReaders: 2, rate: 50 }],
  ['mixed', { pages: 1, writers: 5, readers: 1, blocks: 20, rate: 100, every: 100, presence: 20 }],
])('load %s %o: what was acknowledged is there, once, as it was made', async (scenario, given) => {
  const result = await play(scenario, given);
  expect(result.correctness).toMatchObject(RIGHT);
  expect(result.correctness!.blocks).toBeGreaterThan(0);
  expect(result.counts.made).toBeGreaterThan(0);
  expect(result.counts.accepted).toBe(result.counts.made);
  expect(result.latencies.accepted!.count).toBe(result.counts.accepted);
  expect(result.refused).toEqual({});
  expect(result.pages.first).toMatch(/^10ad7e57-/);
  expect(result.timeline.length).toBeGreaterThan(0);
  const { writers = 4, readers = 0 } = given;
  // Each edit, by everybody else of the page; who comes or goes meanwhile apart.
  if (scenario === 'typing' || scenario === 'hot-page') expect(result.counts.seen).toBe(result.counts.made! * ((scenario === 'hot-page' ? 1 : writers) + readers - 1));
  if (scenario === 'reconnect-storm') expect(result.latencies.join!.count).toBeGreaterThan(0);
}); // prettier-ignore

test('load join-storm, presence: joins and moves are timed', async () => {
  const storm = await play('join-storm', { blocks: 60, readers: 4, every: 150 });
  expect(storm.latencies.join!.count).toBe(storm.counts.joins);
  expect(storm.counts.joins).toBeGreaterThanOrEqual(4);
  const one = await play('join-storm', { blocks: 0, readers: 2, rate: 40 });
  expect(one.counts.joins).toBeGreaterThan(0);
  const presence = await play('presence', { pages: 1, readers: 3, presence: 30 });
  expect(presence.latencies.presence!.count).toBe(presence.counts.presenceSeen);
  expect(presence.counts.presenceSeen).toBeGreaterThan(0);
  expect(presence.correctness).toBeNull();
});

test('load http: by autocannon, errors counted', async () => {
  const { runHttp } = (await built('load/http.js')) as HttpModule;
  const { LoadProgress } = (await built('load/progress.js')) as ProgressModule;
  const common = { origin: server.http, connections: 2, durationMs: 300, metrics: [], isLocal: true, command: '', version: '0', stop: new AbortController().signal, progress: new LoadProgress(quiet, 'request') };
  const result = await runHttp({ ...common, paths: ['/healthz', '/nowhere'], rate: 200 });
  expect(result.latencies.request!.count).toBeGreaterThan(0);
  expect(Object.keys(result.refused)).toEqual(['HTTP 404']);
  expect(result.counts['errors']).toBe(result.refused['HTTP 404']);
  expect(result.counts['errors']).toBeLessThan(result.counts['requests']!);
}); // prettier-ignore

test('load: what is in its way is told before anything is measured', async () => {
  const viewer = await testToken('viewer', { grants: [{ workspace: 'default', role: 'viewer' }] });
  const elsewhere = server.url.replace('/v1/sync', '/elsewhere');
  for (const [target, why] of [
    [{ url: 'ws://127.0.0.1:1/v1/sync', token: 'x' }, /ECONNREFUSED/],
    [{ url: server.url, token: 'x' }, /unauthorized/],
    [{ url: server.url, token: viewer }, /unknown_page/],
    [{ url: elsewhere, token: 'x' }, /HTTP 404.*\/v1\/sync/],
  ] as const) {
    await expect(play('typing', { pages: 1, writers: 1 }, target)).rejects.toThrow(why);
  }
});

test('load: wrong usage is told, with the names that there are', async () => {
  const { loadCommand } = (await built('cli/load.js')) as LoadCommandModule;
  const trace = join(dir, 'no-trace.json');
  await writeFile(trace, '{}');
  for (const [args, exitCode, why] of [
    [['dancing'], 2, /there is no scenario “dancing”; there are typing, /],
    [[], 2, /name a scenario/],
    [['typing', '--assert', 'p98<5'], undefined, /there is no figure “p98”; there are p50, /],
    [['typing', '--rate', '5', '--in-flight', '2'], 2, /--rate and --in-flight/],
    [['presence', '--trace', trace], 2, /--trace is for typing/],
    [['typing', '--trace', trace], undefined, /is no trace/],
    [['typing', '--duration', '5x'], undefined, /expected a time like/],
    [['join-storm', '--readers', '0'], 2, /needs readers/],
    [['--compare', trace], 2, /two files/],
    [['--compare', trace, trace], undefined, /is no result of octavo load --json/],
    [['typing', '--url', 'http://127.0.0.1', '--token', 'x'], undefined, /expected ws/],
    [['typing', '--url', server.url], undefined, /--url needs --token, or JWT_SECRET/],
  ] as const) {
    const command = loadCommand()
      .exitOverride()
      .configureOutput({ writeErr: () => {} });
    const failure = await command.parseAsync([...args], { from: 'user' }).then(() => null, (error: Error & { exitCode?: number }) => error); // prettier-ignore
    expect(failure?.message, args.join(' ')).toMatch(why);
    if (exitCode !== undefined) expect(failure!.exitCode, args.join(' ')).toBe(exitCode);
  }
});

test('the command: a recording, table, files, thresholds; Ctrl-C ends it with what was measured until then', async () => {
  const [json, html, trace] = [join(dir, 'a.json'), join(dir, 'a.html'), join(dir, 'trace.json')];
  await writeFile(trace, JSON.stringify({ startContent: '', endContent: 'ac', txns: [{ patches: [[0, 0, 'abc']] }, { patches: [[1, 1, '']] }] }));
  const args = ['load', 'typing', '--pages', '1', '--writers', '2', '--warm-up', '0s', '--duration', '60s', '--rate', '60', '--trace', trace];
  const wishes = ['--json', json, '--html', html, '--assert', 'lost=0', '--assert', 'p99<0'];
  const env = { PATH: process.env['PATH'] ?? '', DATA_DIR: server.dataDir, JWT_SECRET: TEST_SECRET };
  const child = spawn(process.execPath, ['dist/cli/octavo.js', ...args, ...wishes], { env, stdio: ['ignore', 'pipe', 'pipe'] });
  let [said, table, interrupted] = ['', '', false];
  child.stdout.on('data', (chunk: Buffer) => (table += String(chunk)));
  child.stderr.on('data', (chunk: Buffer) => {
    said += String(chunk);
    // The first line with figures; a second signal would end it without a result.
    if (interrupted || !/durable/.test(said)) return;
    interrupted = child.kill('SIGINT');
  });
  // A threshold that failed.
  expect(await new Promise((done) => child.once('close', done)), said).toBe(1);
  for (const part of [/seen +\d/, /holds +lost=0/, /FAILED +p99<0/, /all acknowledged edits are there/, /ended before its time/]) expect(table).toMatch(part);
  expect(readFileSync(html, 'utf8')).toMatch(/^<!doctype html>[\s\S]*<\/html>\n$/);
  const result = JSON.parse(readFileSync(json, 'utf8')) as LoadResult;
  expect(result).toMatchObject({ interrupted: true, correctness: RIGHT });
  expect(result.seconds).toBeLessThan(60);
  expect(result.command).toContain('octavo load typing');
}); // prettier-ignore
