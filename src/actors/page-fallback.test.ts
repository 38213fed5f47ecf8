/**
 * A load falls back from a snapshot that cannot be used to the one before, and to the log; what the log lacks is damage.
 */
import { beforeEach, expect, test } from 'vitest';
import { entry, title } from '../../test/support/actor-world.ts';
import { EPOCH, PAGE } from '../../test/support/pages.ts';
import type { Log } from '../base/log.ts';
import { systemClock } from '../base/time.ts';
import { MODEL_VERSION } from '../document/snapshot.ts';
import { MemoryDatabase, MemoryLogStore } from '../persistence/memory-log-store.ts';
import { seq } from '../protocol/ids.ts';
import { defaultLimits } from '../protocol/limits.ts';
import { LogCheck } from '../repair/log-check.ts';
import { threadedCompression } from './compression.ts';
import { PageLoader } from './page-loader.ts';
import { PageState } from './page-state.ts';
import { defaultSnapshotPolicy } from './snapshot-policy.ts';

const HEAD = 12;
let database: MemoryDatabase;
let store: MemoryLogStore;
let loader: PageLoader;
let lines: { fields: Record<string, unknown>; message: string }[];

beforeEach(async () => {
  lines = [];
  const error = (fields: object, message: string) => void lines.push({ fields: fields as never, message });
  const log: Log = { debug() {}, info() {}, warn() {}, error };
  database = new MemoryDatabase();
  store = new MemoryLogStore(database, log);
  loader = new PageLoader({
    store,
    limits: defaultLimits,
    log,
    clock: systemClock,
    compression: threadedCompression,
  });
  await store.openPage(PAGE, 'blocks');
  const changes = Array.from({ length: HEAD }, (_, i) => entry(i + 1, 1, i + 1, [title(`t${i + 1}`)]));
  await store.append([{ page: PAGE, epoch: EPOCH, known: seq(0), changes }]);
  for (const at of [4, 8]) await save(at);
});

async function save(at: number, under = at, plain?: Uint8Array): Promise<void> {
  const check = new LogCheck(PAGE, 'blocks', defaultLimits);
  for (const one of database.pages.get(PAGE)!.log.slice(0, at)) check.add(one);
  const body = await threadedCompression.pack(plain ?? check.model.encodeSnapshot());
  await store.saveSnapshot(PAGE, EPOCH, {
    seq: seq(under),
    modelVersion: MODEL_VERSION,
    body,
    private: check.encodePrivate(),
  });
}

/** Loads the page, folds its tail, and tells from which snapshot it came. */
async function loadedFrom(): Promise<number> {
  const loaded = (await loader.load(PAGE, null))!;
  const state = new PageState(loaded, 0, defaultSnapshotPolicy);
  expect(state.head).toBe(HEAD);
  const check = new LogCheck(PAGE, 'blocks', defaultLimits);
  for (const one of database.pages.get(PAGE)!.log) check.add(one);
  expect(state.model.encodeSnapshot()).toEqual(check.model.encodeSnapshot());
  return loaded.snapshot?.seq ?? 0;
}

test('S68 the newest snapshot is taken; a damaged one gives way to the one before, and that one to the log', async () => {
  expect(await loadedFrom()).toBe(8);
  database.damageSnapshot(PAGE, seq(8));
  expect(await loadedFrom()).toBe(4);
  expect(lines[0]!.fields['repair']).toBe(`octavo rebuild ${PAGE}`);
  database.damageSnapshot(PAGE, seq(4));
  expect(await loadedFrom()).toBe(0);
});

test('S68 so does one that has a good checksum and cannot be read', async () => {
  await save(8, 8, Uint8Array.of(0x94, 0x01));
  expect(await loadedFrom()).toBe(4);
  expect(lines.at(-1)!.fields).toMatchObject({ page: PAGE, seq: 8, repair: `octavo rebuild ${PAGE}` });
});

test('S68 one from past the end of the log is of another log, and is not used', async () => {
  await save(8, 40);
  expect(await loadedFrom()).toBe(8);
  expect(lines.at(-1)!.fields).toMatchObject({
    seq: 40,
    error: expect.stringContaining('the log ends at 12'),
  });
});

test('S68 one that another node stored between two looks is used', async () => {
  const open = store.openPage.bind(store);
  let looks = 0;
  store.openPage = async (page, create) => {
    const head = (await open(page, create))!;
    return looks++ === 0 ? { ...head, head: seq(6) } : head;
  };
  expect(await loadedFrom()).toBe(8);
  expect(lines).toEqual([]);
});

test('S69 what the log lacks after the snapshot is damage, with its place; what it lacks before is not asked for', async () => {
  const { log } = database.pages.get(PAGE)!;
  for (const [missing, named] of [
    [10, 10],
    [12, 12],
  ]) {
    store.readLog = async (_page, after) => log.filter((one) => one.seq > after && one.seq !== missing);
    await expect(loader.load(PAGE, null)).rejects.toMatchObject({ name: 'PageDamagedError', seq: named });
  }
  store.readLog = async (_page, after) => log.filter((one) => one.seq > after && one.seq !== 5);
  expect((await loader.load(PAGE, null))!.tail).toHaveLength(4);
});
