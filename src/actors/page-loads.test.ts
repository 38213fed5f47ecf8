/**
 * Loading from the memory store: snapshots that cannot be read, logs with a hole, many loads at once.
 */
import { beforeEach, describe, expect, test } from 'vitest';
import { entry, title } from '../../test/support/actor-world.ts';
import { FakeClock, settle } from '../../test/support/client-stage.ts';
import { EPOCH, PAGE, replicaId, uuid } from '../../test/support/pages.ts';
import { until } from '../../test/support/wait.ts';
import { silentLog } from '../base/log.ts';
import { BlocksModel } from '../document/blocks-model.ts';
import { MemoryDatabase, MemoryLogStore } from '../persistence/memory-log-store.ts';
import type { PageHead } from '../persistence/log-store.ts';
import { type PageId, seq } from '../protocol/ids.ts';
import { defaultLimits } from '../protocol/limits.ts';
import { threadedCompression } from './compression.ts';
import { PageLoader } from './page-loader.ts';
import { PageState } from './page-state.ts';
import { defaultSnapshotPolicy } from './snapshot-policy.ts';

let database: MemoryDatabase;
let store: MemoryLogStore;
let loader: PageLoader;
let clock: FakeClock;

beforeEach(async () => {
  clock = new FakeClock();
  database = new MemoryDatabase();
  store = new MemoryLogStore(database);
  loader = new PageLoader({
    store,
    limits: defaultLimits,
    log: silentLog,
    clock,
    compression: threadedCompression,
  });
  await store.openPage(PAGE, 'blocks');
});

/** A log of nine changes, with snapshots at 3 and 6. */
async function write(): Promise<void> {
  const model = new BlocksModel(PAGE, defaultLimits);
  const state = new PageState({ kind: 'blocks', epoch: EPOCH, closed: false, model, private: { latestMs: 0, replicas: new Map(), model: new Uint8Array() }, snapshot: null, tail: [] }, 0, defaultSnapshotPolicy);
  for (let at = 1; at <= 9; at++) {
    const change = entry(at, 1, at, [title(`title ${at}`)]);
    await store.append([{ page: PAGE, epoch: EPOCH, known: seq(at - 1), changes: [change] }]);
    state.applyEntry(change, 0);
    if (at === 9 || at % 3 > 0) continue;
    const taken = state.takeSnapshot(0, true)!;
    state.snapshotSaved(await loader.save(PAGE, taken));
  }
} // prettier-ignore

async function loaded() {
  const found = await loader.load(PAGE, null);
  const state = new PageState(found!, 0, defaultSnapshotPolicy);
  const root = (state.model as BlocksModel).table.get(PAGE as never)!;
  const title = root.props.get('title')?.value;
  return {
    from: found!.snapshot?.seq ?? null,
    head: state.head,
    title,
    lastN: state.replica(replicaId(1))?.lastN,
  };
}

const whole = { head: 9, title: 'title 9', lastN: 9 };

describe('a load', () => {
  test('A3 takes the newest snapshot and the log after it', async () => {
    await write();
    expect(await loaded()).toEqual({ from: 6, ...whole });
  });

  test('A3 A15 of damaged snapshots the one before, then none, is the same page with the same replicas', async () => {
    await write();
    database.damageSnapshot(PAGE, seq(6));
    expect(await loaded()).toEqual({ from: 3, ...whole });
    database.damageSnapshot(PAGE, seq(3));
    expect(await loaded()).toEqual({ from: null, ...whole });
  });

  test('A3 a snapshot whose checksum is good and that cannot be read is passed over', async () => {
    await write();
    await store.saveSnapshot(PAGE, EPOCH, { seq: seq(8), modelVersion: 1, body: Uint8Array.of(1, 2, 3), private: new Uint8Array() });
    expect(await loaded()).toEqual({ from: 6, ...whole });
  }); // prettier-ignore

  test('A2 of a log with a hole is refused', async () => {
    await write();
    database.pages.get(PAGE)!.log.splice(7, 1);
    store.openPage = async (): Promise<PageHead> => ({
      kind: 'blocks',
      epoch: EPOCH,
      head: seq(9),
      closed: false,
    });
    await expect(loader.load(PAGE, null)).rejects.toThrow('the log lacks change');
  });

  test('A2 of a page whose log cannot be read fails', async () => {
    await write();
    store.readLog = () => Promise.reject(new Error('frozen'));
    await expect(loader.load(PAGE, null)).rejects.toThrow('frozen');
  });
});

test('A3 so many loads run at once and no more, whenever they are asked for; all come to their end, in order', async () => {
  let running = 0;
  let most = 0;
  const ended: PageId[] = [];
  const open: (() => void)[] = [];
  store.openPage = async () => {
    most = Math.max(most, ++running);
    await new Promise<void>((resolve) => open.push(resolve));
    running--;
    return undefined;
  };
  const load = (n: number) => loader.load(uuid<PageId>(n), null).then(() => ended.push(uuid<PageId>(n)));
  const loads = Array.from({ length: 20 }, (_, n) => load(n));
  for (let n = 20; ended.length < 60; n++) {
    open.shift()?.();
    // One more is asked for at every moment around the one when a place becomes free.
    for (let i = 0; i < 20; i++) {
      if (n < 60 && i === n % 20) loads.push(load(n));
      await Promise.resolve();
    }
  }
  await Promise.all(loads);
  expect(most).toBe(8);
  expect(ended).toEqual(Array.from({ length: 60 }, (_, n) => uuid<PageId>(n)));
}); // prettier-ignore

describe('C72 a store that says nothing', () => {
  const pass = (ms: number) => clock.advance(ms);

  test('is told of every 2.5 s, and the load goes on', async () => {
    await write();
    const { readLog } = store;
    let answer: (() => void) | undefined;
    store.readLog = async (...args) => {
      await new Promise<void>((resolve) => (answer = resolve));
      return readLog.apply(store, args);
    };
    let told = 0;
    const loading = loader.load(PAGE, null, () => told++);
    await until(
      () => answer !== undefined,
      () => 'the log is read',
    );
    await pass(2400);
    expect(told).toBe(0);
    await pass(200);
    expect(told).toBe(1);
    await pass(2500);
    expect(told).toBe(2);
    answer!();
    expect((await loading)?.tail.at(-1)?.seq).toBe(9);
    await pass(10_000);
    expect(told).toBe(2);
  });

  test('is not one that takes long and gets on: not for the page that loads, not for those in line', async () => {
    const opened: (() => void)[] = [];
    store.openPage = () => new Promise((resolve) => opened.push(() => resolve(undefined)));
    let told = 0;
    const loads = Array.from({ length: 12 }, (_, n) => loader.load(uuid<PageId>(n), null, () => told++));
    await settle();
    for (let n = 0; n < 12; n++) {
      await pass(2000);
      opened[n]!();
      await settle();
    }
    expect(await Promise.all(loads)).toEqual(Array.from({ length: 12 }, () => undefined));
    expect(told).toBe(0);
  });

  test('sends those away who wait in line; their places are nobody’s', async () => {
    const opened: (() => void)[] = [];
    store.openPage = () => new Promise((resolve) => opened.push(() => resolve(undefined)));
    const first = Array.from({ length: 8 }, (_, n) => loader.load(uuid<PageId>(n), null));
    const last = loader.load(uuid<PageId>(8), null).catch((error: unknown) => error);
    await settle();
    await pass(2500);
    expect(await last).toMatchObject({ name: 'NoAnswerError' });
    for (const open of opened) open();
    await Promise.all(first);
    expect(opened.length).toBe(8);
    const again = loader.load(uuid<PageId>(9), null);
    await settle();
    opened[8]!();
    expect(await again).toBe(undefined);
  });
});
