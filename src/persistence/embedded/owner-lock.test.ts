/**
 * The owner lock against live, dead and foreign owners. "Another realm" is another container on the same volume: its
 * process ids mean nothing here, and a changing file time is the only sign of life.
 */
import { spawn } from 'node:child_process';
import { mkdtemp, readFile, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { silentLog } from '../../base/log.ts';
import { sleep } from '../../base/time.ts';
import { acquireOwnerLock } from './owner-lock.ts';
import { inspectProcess, processRealm } from './processes.ts';

let dataDir: string;
let path: string;

beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'octavo-lock-'));
  path = join(dataDir, 'octavo.lock');
});
afterEach(() => rm(dataDir, { recursive: true, force: true }));

const acquire = () => acquireOwnerLock(dataDir, silentLog, () => undefined);
const leave = (owner: object) => writeFile(path, JSON.stringify(owner));

test('it is for one, until it is released', async () => {
  const lock = await acquire();
  expect((await stat(path)).mode & 0o777).toBe(0o600);
  await expect(acquire()).rejects.toMatchObject({ code: 'data-dir-in-use' });
  await lock.release();
  await (await acquire()).release();
});

test('a live owner of this realm is named', async () => {
  const owner = spawn('sleep', ['60']);
  try {
    const state = await inspectProcess(owner.pid!);
    if (state.kind !== 'alive') throw new Error('sleep is not alive');
    await leave({ pid: owner.pid, startedAt: state.startedAt, realm: await processRealm() });
    await expect(acquire()).rejects.toThrow(`another octavo runs on this DATA_DIR (pid ${owner.pid})`);
  } finally {
    owner.kill('SIGKILL');
  }
});

test('an owner whose process id belongs to a later process is dead', async () => {
  await leave({ pid: process.pid, startedAt: 'before', realm: await processRealm() });
  const lock = await acquire();
  expect(JSON.parse(await readFile(path, 'utf8'))).toMatchObject({ pid: process.pid });
  await lock.release();
});

test('half a file is a leftover', async () => {
  await writeFile(path, '{"pid":');
  await (await acquire()).release();
});

test('of many that find a leftover one wins', async () => {
  for (let round = 0; round < 50; round++) await race();
});

test('a claim on a leftover is not forever either', async () => {
  const dead = { pid: 4_000_000, startedAt: '1', realm: await processRealm() };
  await leave(dead);
  await writeFile(`${path}.claim`, JSON.stringify(dead));
  await (await acquire()).release();
});

async function race(): Promise<void> {
  await leave({ pid: 4_000_000, startedAt: '1', realm: await processRealm() });
  const results = await Promise.allSettled(Array.from({ length: 8 }, acquire));
  const won = results.filter((result) => result.status === 'fulfilled');
  expect(won).toHaveLength(1);
  await won[0]!.value.release();
}

test('an owner in another realm is alive as long as it touches its file', async () => {
  await leave({ pid: 1, startedAt: '1', realm: 'another container' });
  let alive = true;
  const beating = (async () => {
    for (let second = 1; alive; second++) {
      await sleep(300);
      await utimes(path, second, second);
    }
  })();
  await expect(acquire()).rejects.toMatchObject({ code: 'data-dir-in-use' });
  alive = false;
  await beating;
  await (await acquire()).release();
});

test('the owner touches its file', async () => {
  const lock = await acquire();
  const before = (await stat(path)).mtimeMs;
  await sleep(1_500);
  expect((await stat(path)).mtimeMs).toBeGreaterThan(before);
  await lock.release();
});
