/**
 * Which snapshot a page is loaded from: the newest that is of this version and reads as what was written, else the one
 * before, else none; the state is that of the log each time.
 */
import { expect, test } from 'vitest';
import { ActorBench } from '../../test/support/actor-world.ts';
import { blockId, EPOCH, PAGE, replicaId, ROOT, userId } from '../../test/support/pages.ts';
import { type Log, silentLog } from '../base/log.ts';
import { systemClock } from '../base/time.ts';
import { encodeOps } from '../document/ops.ts';
import { MODEL_VERSION } from '../document/snapshot.ts';
import type { StoredChange } from '../persistence/log-store.ts';
import { MemoryDatabase, MemoryLogStore } from '../persistence/memory-log-store.ts';
import { seq } from '../protocol/ids.ts';
import { defaultLimits as limits } from '../protocol/limits.ts';
import { threadedCompression } from './compression.ts';
import { PageLoader } from './page-loader.ts';
import { PageState } from './page-state.ts';
import { defaultSnapshotPolicy } from './snapshot-policy.ts';

const CHANGES = 6;

/** A page of six changes with snapshots at 2 and 4, the newest first written as `newest` has it. */
async function start(newest: (plain: Uint8Array) => { modelVersion: number; plain: Uint8Array }) {
  const database = new MemoryDatabase();
  const store = new MemoryLogStore(database);
  const said: { level: string; seq: unknown; message: string }[] = [];
  const note = (level: string) => (fields: object, message: string) =>
    void said.push({ level, seq: (fields as { seq?: unknown }).seq, message });
  const log: Log = { ...silentLog, info: note('info'), error: note('error') };
  const loader = new PageLoader({ store, limits, log, clock: systemClock, compression: threadedCompression });
  await store.openPage(PAGE, 'blocks');
  const changes = Array.from({ length: CHANGES }, (_, i): StoredChange => {
    const block = blockId(i + 1);
    const body = encodeOps([{ op: 'insert', block, parent: ROOT, key: 'a0', type: 'quote', props: { i }, text: null }]);
    return { replica: replicaId(1), n: i + 1, hlcMs: 10 + i, hlcCounter: 0, author: userId('ann'), at: 10, body };
  }); // prettier-ignore
  await store.append([{ page: PAGE, epoch: EPOCH, known: seq(0), changes }]);
  const whole = new PageState((await loader.load(PAGE, null))!, 20, defaultSnapshotPolicy);
  for (const at of [2, 4]) {
    const part = (await loader.load(PAGE, null))!;
    const state = new PageState(
      { ...part, tail: part.tail.slice(0, at - (part.snapshot?.seq ?? 0)) },
      20,
      defaultSnapshotPolicy,
    );
    const taken = state.takeSnapshot(20, true)!;
    const { modelVersion, plain } =
      at === 4 ? newest(taken.plain) : { modelVersion: MODEL_VERSION, plain: taken.plain };
    await loader.save(PAGE, { ...taken, modelVersion, plain });
  }
  said.length = 0;
  const loaded = (await loader.load(PAGE, null))!;
  const found = new PageState(loaded, 20, defaultSnapshotPolicy);
  expect(found.model.stateHash()).toEqual(whole.model.stateHash());
  expect(found.head).toBe(CHANGES);
  return { from: loaded.snapshot?.seq ?? null, said };
}

test('A3 the newest snapshot is used when nothing is wrong with it', async () => {
  const { from, said } = await start((plain) => ({ modelVersion: MODEL_VERSION, plain }));
  expect([from, said]).toEqual([4, []]);
});

test('D69 one of another model version is not used, and that is no error', async () => {
  for (const modelVersion of [MODEL_VERSION - 1, MODEL_VERSION + 1]) {
    const { from, said } = await start((plain) => ({ modelVersion, plain }));
    expect([from, said.map(({ level, seq }) => [level, seq])]).toEqual([2, [['info', 4]]]);
  }
});

test('D68 A3 one that reads as another state than was written is an error; the one before is used', async () => {
  const { from, said } = await start((plain) => {
    const wrong = plain.slice();
    // The value of the first block's prop: 0 becomes 1. All else of it is sound.
    const at = Buffer.from(wrong).indexOf(Buffer.from([0xa1, 0x69, 0x00])) + 2;
    expect(at).toBeGreaterThan(2);
    wrong[at] = 1;
    return { modelVersion: MODEL_VERSION, plain: wrong };
  });
  expect([from, said.map(({ level, seq }) => [level, seq])]).toEqual([2, [['error', 4]]]);
});

test('A135 a page that ends at its snapshot is not decoded to be served; one that then turns out wrong is not used again', async () => {
  const { loader, store } = await pageWithSnapshot();
  const sound = new PageState((await loader.load(PAGE, null))!, 20, defaultSnapshotPolicy);
  expect([sound.isAtRest, sound.head]).toEqual([true, 1]);
  const told = sound.stateHash();
  expect(sound.isAtRest).toBe(true);
  expect(sound.model.stateHash()).toEqual(told);

  const [good] = await store.readSnapshots(PAGE);
  const wrong = await threadedCompression.unpack(good!.body, 1 << 20);
  wrong[wrong.length - 1]! ^= 1;
  await store.saveSnapshot(PAGE, EPOCH, { ...good!, body: await threadedCompression.pack(wrong) });
  const broken = new PageState((await loader.load(PAGE, null))!, 20, defaultSnapshotPolicy);
  expect(() => broken.model).toThrow('reads as one with');
  const mended = (await loader.load(PAGE, null))!;
  expect(mended.snapshot).toBeNull();
  expect(new PageState(mended, 20, defaultSnapshotPolicy).stateHash()).toEqual(told);

  // Replaced by one that is sound: looked at once, and used.
  await store.saveSnapshot(PAGE, EPOCH, good!);
  expect((await loader.load(PAGE, null))!.snapshot?.seq).toBe(1);
  expect(new PageState((await loader.load(PAGE, null))!, 20, defaultSnapshotPolicy).isAtRest).toBe(true);
}); // prettier-ignore

/** A page of one change that was put away with a snapshot. */
async function pageWithSnapshot() {
  const store = new MemoryLogStore();
  await store.openPage(PAGE, 'blocks');
  const body = encodeOps([{ op: 'insert', block: blockId(1), parent: ROOT, key: 'a0', type: 'quote', props: {}, text: null }]);
  const change = { replica: replicaId(1), n: 1, hlcMs: 10, hlcCounter: 0, author: userId('ann'), at: 10, body };
  await store.append([{ page: PAGE, epoch: EPOCH, known: seq(0), changes: [change] }]);
  const loader = new PageLoader({ store, limits, log: silentLog, clock: systemClock, compression: threadedCompression });
  const state = new PageState((await loader.load(PAGE, null))!, 20, defaultSnapshotPolicy);
  await loader.save(PAGE, state.takeSnapshot(20, true)!);
  return { loader, store };
} // prettier-ignore

test('A135 a page that nobody changes is decoded soon, too: a snapshot that is none is not served for long', () => {
  const bench = new ActorBench();
  const restore = () => {
    throw new Error('not what was written');
  };
  bench.load([], { model: { restore, private: new Uint8Array(), hash: null } });
  bench.subscribe(1);
  expect(() => bench.tell({ type: 'tick' })).toThrow('not what was written');
});

test('D67 a page with an op of a newer version is served, and no snapshot is made of it', async () => {
  const store = new MemoryLogStore();
  await store.openPage(PAGE, 'blocks');
  const change = { replica: replicaId(1), hlcMs: 10, hlcCounter: 0, author: userId('ann'), at: 10 };
  const insert = (n: number) =>
    encodeOps([
      { op: 'insert', block: blockId(n), parent: ROOT, key: 'a0', type: 'quote', props: {}, text: null },
    ]);
  // [[99, nil]]
  const unknown = Uint8Array.of(0x91, 0x92, 99, 0xc0);
  const changes = [insert(1), unknown, insert(2)].map((body, i) => ({ ...change, n: i + 1, body }));
  await store.append([{ page: PAGE, epoch: EPOCH, known: seq(0), changes }]);
  const loader = new PageLoader({
    store,
    limits,
    log: silentLog,
    clock: systemClock,
    compression: threadedCompression,
  });
  const state = new PageState((await loader.load(PAGE, null))!, 20, defaultSnapshotPolicy);
  expect([state.head, state.model.stateHash()]).toEqual([3, null]);
  expect([state.takeSnapshot(20, true), state.hasNews]).toEqual([undefined, false]);
  expect(state.catchUp(null).entries).toHaveLength(3);
});
