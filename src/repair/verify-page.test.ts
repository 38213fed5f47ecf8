/**
 * Verification and rebuilding over the store's twin in memory: every kind of damage is found and named, a good page is
 * found good, and rebuilding heals snapshots and never touches a log.
 */
import { beforeEach, describe, expect, test } from 'vitest';
import { entry, paragraph, title } from '../../test/support/actor-world.ts';
import { blockId, EPOCH, PAGE, replicaId, userId } from '../../test/support/pages.ts';
import { textUpdates } from '../../test/support/raw-page.ts';
import { threadedCompression } from '../actors/compression.ts';
import { encodePrivateState } from '../actors/replicas.ts';
import { silentLog } from '../base/log.ts';
import type { OpDraft } from '../document/ops.ts';
import { decodeSnapshot, encodeSnapshot, readSnapshot, MODEL_VERSION } from '../document/snapshot.ts';
import type { LogEntry } from '../persistence/log-store.ts';
import { MemoryDatabase, MemoryLogStore } from '../persistence/memory-log-store.ts';
import { seq } from '../protocol/ids.ts';
import { defaultLimits } from '../protocol/limits.ts';
import { LogCheck } from './log-check.ts';
import { rebuildPage } from './rebuild-page.ts';
import { verifyPage } from './verify-page.ts';

let database: MemoryDatabase;
let store: MemoryLogStore;
let log: LogEntry[];

const typed = textUpdates(77, ['one ', 'two ', 'three']);

/** Two replicas: a paragraph, titles, typed text. Eleven changes, snapshots at 4 and 9. */
const DRAFTS: [number, OpDraft[]][] = [
  [1, [paragraph(1)]],
  [1, [title('a')]],
  [2, [title('b')]],
  [1, [{ op: 'text', block: blockId(1), update: typed[0]! }]],
  [1, [{ op: 'text', block: blockId(1), update: typed[1]! }]],
  [2, [title('c')]],
  [2, [paragraph(2, blockId(1))]],
  [1, [{ op: 'text', block: blockId(1), update: typed[2]! }]],
  [1, [{ op: 'move', block: blockId(2), parent: PAGE as never, key: 'a1' }]],
  [2, [{ op: 'delete', block: blockId(2) }]],
  [1, [title('d')]],
];

async function save(at: number, edit: (parts: { plain: Uint8Array; own: Uint8Array }) => void = () => {}): Promise<void> {
  const check = new LogCheck(PAGE, 'blocks', defaultLimits);
  for (const one of log.slice(0, at)) check.add(one);
  const parts = { plain: check.model.encodeSnapshot(), own: check.encodePrivate() };
  edit(parts);
  const body = await threadedCompression.pack(parts.plain);
  await store.saveSnapshot(PAGE, EPOCH, { seq: seq(at), modelVersion: MODEL_VERSION, body, private: parts.own });
} // prettier-ignore

beforeEach(async () => {
  database = new MemoryDatabase();
  store = new MemoryLogStore(database);
  await store.openPage(PAGE, 'blocks');
  const lastN = new Map<number, number>();
  const changes = DRAFTS.map(([replica, drafts], i) => {
    const n = (lastN.get(replica) ?? 0) + 1;
    lastN.set(replica, n);
    return entry(i + 1, replica, n, drafts);
  });
  await store.append([{ page: PAGE, epoch: EPOCH, known: seq(0), changes }]);
  log = database.pages.get(PAGE)!.log;
  await save(4);
  await save(9);
});

const verify = async () => (await verifyPage(store, PAGE, defaultLimits)).report;
const edit = (at: number, change: Partial<LogEntry>) => (log[at - 1] = { ...log[at - 1]!, ...change });

test('S66 a good page is good: its log, and both of its snapshots', async () => {
  expect(await verify()).toEqual({
    page: PAGE, verdict: 'good', kind: 'blocks', seq: 11, replicas: 2, blocks: 3, opsWithoutEffect: 0, faults: [], faultCount: 0, notes: [],
    snapshots: [{ seq: 4, verdict: 'good', why: [] }, { seq: 9, verdict: 'good', why: [] }],
  }); // prettier-ignore
});

test('S66 a page that nobody made is absent, an empty one is good', async () => {
  const empty = new MemoryLogStore();
  expect((await verifyPage(empty, PAGE, defaultLimits)).report.verdict).toBe('absent');
  await empty.openPage(PAGE, 'blocks');
  expect((await verifyPage(empty, PAGE, defaultLimits)).report).toMatchObject({ verdict: 'good', seq: 0 });
});

describe('damage of the log is named, with its place', () => {
  const garbage = Uint8Array.of(0x91, 0x92, 0xc1);
  const cases: [string, () => void, string][] = [
    ['a body that cannot be read', () => edit(5, { body: garbage }), '5: the body cannot be read'],
    ['a missing change', () => void log.splice(4, 1), '5: the log lacks change 5'],
    ['missing changes', () => void log.splice(4, 3), '5: the log lacks changes 5 to 7'],
    ['a missing end', () => void log.splice(9, 2), '10: the log ends at 9, but the head says 11'],
    ['a seq that is too small', () => edit(1, { seq: seq(0) }), '0: seq 0 comes after 0'],
    ['an n that skips', () => edit(6, { n: 9 }), '6: n is 9, but 2 is the next of replica'],
    ['an n that comes twice', () => edit(5, { n: 3 }), '5: n is 3, but 4 is the next of replica'],
    ['another owner', () => edit(6, { author: userId('eve') }), '6: replica 00000002-0000-7000-8000-000000000002 belongs to "user2", not to "eve"'],
    ['a stamp that is none', () => edit(3, { hlcMs: 2 ** 48 }), '3: the stamp'],
    ['a counter that is none', () => edit(3, { hlcCounter: 65_536 }), '3: the stamp'],
  ];
  test.each(cases)('S66 %s', async (_, damage, named) => {
    const head = 11;
    damage();
    store.openPage = async () => ({ kind: 'blocks', epoch: EPOCH, head: seq(head), closed: false });
    // The twin finds entries by their place; rows are found by their seq.
    store.readLog = async (_page, after) => log.filter((one) => one.seq > after).sort((a, b) => a.seq - b.seq);
    const report = await verify();
    expect(report.verdict).toBe('damaged');
    expect(report.faults.map(({ seq: at, what }) => `${at}: ${what}`)[0]).toContain(named);
    // What lies behind the damage cannot be judged; what lies before it can.
    const behind = report.snapshots.filter(({ seq: at }) => at >= report.faults[0]!.seq!);
    for (const { verdict } of behind) expect(verdict).toBe('unchecked');
    const rebuilt = await rebuildPage(store, PAGE, defaultLimits, silentLog);
    expect(rebuilt).toMatchObject({ done: false, why: expect.stringContaining('Nothing was changed') });
    expect(await store.snapshotSeqs(PAGE)).toEqual([4, 9]);
  });

  test('S66 changes past the head', async () => {
    log.push(entry(12, 1, 8));
    store.openPage = async () => ({ kind: 'blocks', epoch: EPOCH, head: seq(11), closed: false });
    expect(await verify()).toMatchObject({ verdict: 'damaged', faults: [{ seq: 12, what: 'the log goes on to 12, but the head says 11' }] });
  }); // prettier-ignore

  test('S66 a log whose page is gone', async () => {
    store.openPage = async () => undefined;
    expect(await verify()).toMatchObject({ verdict: 'damaged', kind: null, faults: [{ seq: null }] });
  });

  test('S66 a hundred faults are kept, all are counted', async () => {
    const check = new LogCheck(PAGE, 'blocks', defaultLimits);
    for (let i = 1; i <= 500; i++) check.add({ ...entry(i, 1, i), body: garbage });
    expect([check.faults.length, check.faultCount]).toEqual([100, 500]);
  });
}); // prettier-ignore

describe('a snapshot that is not what the log says is found, and rebuilt', () => {
  const cases: [string, 'damaged' | 'wrong', () => Promise<void>, string][] = [
    ['its checksum', 'damaged', async () => database.damageSnapshot(PAGE, seq(9)), 'the checksum does not fit'],
    ['its shape', 'damaged', () => save(9, (parts) => (parts.plain = Uint8Array.of(0x94, 1))), 'it cannot be read'],
    ['its private part', 'damaged', () => save(9, (parts) => (parts.own = Uint8Array.of(0x93, 1))), 'it cannot be read'],
    ['another state', 'wrong', () => save(9, (parts) => (parts.plain = foldOf(8).model.encodeSnapshot())), `the place of block ${blockId(2)} differs`],
    ['a text that lacks a piece', 'wrong', () => save(9, (parts) => (parts.plain = foldOf(9, [8]).model.encodeSnapshot())), `the text of block ${blockId(1)} differs`],
    ['another last n', 'wrong', () => save(9, (parts) => (parts.own = foldOf(8).encodePrivate())), `replica ${replicaId(1)} is at n 5, seq 8, not at n 6, seq 9`],
    ['a replica too few', 'wrong', () => save(9, (parts) => (parts.own = foldOf(2).encodePrivate())), `replica ${replicaId(2)} is missing`],
    ['an owner of a Yjs client id', 'wrong', () => save(9, (parts) => (parts.own = withoutOwners())), 'the owners of Yjs client ids differ'],
    ['a seq past the log', 'wrong', async () => store.saveSnapshot(PAGE, EPOCH, { ...(await store.findSnapshot(PAGE, seq(9)))!, seq: seq(40) }), 'it is of seq 40, but the log ends at 11'],
  ];
  /** The fold of the log up to `at`, without some of it. */
  function foldOf(at: number, without: number[] = []): LogCheck {
    const check = new LogCheck(PAGE, 'blocks', defaultLimits);
    for (const one of log.slice(0, at)) if (!without.includes(one.seq)) check.add(one);
    return check;
  }

  function withoutOwners(): Uint8Array {
    const { replicas, latestMs } = foldOf(9);
    return encodePrivateState({ replicas, latestMs, model: foldOf(0).model.encodePrivate() });
  }

  test.each(cases)('S66 S67 %s', async (_, verdict, damage, why) => {
    await damage();
    const report = await verify();
    expect(report).toMatchObject({ verdict: 'damaged', faultCount: 0 });
    const found = report.snapshots.find((one) => one.verdict !== 'good')!;
    expect(found.verdict).toBe(verdict);
    expect(found.why.join('; ')).toContain(why);
    const logBefore = structuredClone(log);
    const rebuilt = await rebuildPage(store, PAGE, defaultLimits, silentLog);
    expect(rebuilt).toMatchObject({ done: true, removed: [found.seq], stored: 11 });
    expect(log).toEqual(logBefore);
    expect(await verify()).toMatchObject({ verdict: 'good' });
    expect((await store.snapshotSeqs(PAGE)).at(-1)).toBe(11);
  });

  test('S66 one of another version of the model is left alone and judged by nobody', async () => {
    await store.saveSnapshot(PAGE, EPOCH, { ...(await store.findSnapshot(PAGE, seq(9)))!, modelVersion: 99 });
    expect(await verify()).toMatchObject({ verdict: 'good', snapshots: [{ verdict: 'good' }, { verdict: 'other_version' }] });
  });

  test('S67 a good one that took the place of the bad one meanwhile is kept', async () => {
    database.damageSnapshot(PAGE, seq(9));
    const find = store.findSnapshot.bind(store);
    store.findSnapshot = async (page, at) => {
      const found = await find(page, at);
      if (at === 9 && found && !found.checksumGood) await save(9);
      return found;
    };
    expect(await rebuildPage(store, PAGE, defaultLimits, silentLog)).toMatchObject({ done: true, removed: [] });
    expect(await store.snapshotSeqs(PAGE)).toEqual([9, 11]);
  });
}); // prettier-ignore

test('S66 what is appended while a page is verified is no fault', async () => {
  const read = store.readLog.bind(store);
  let next = 12;
  store.readLog = async (page, after, limit, bytes) => {
    const portion = await read(page, after, 3, bytes);
    await store.append([
      { page, epoch: EPOCH, known: seq(log.length), changes: [entry(next, 3, next - 11)] },
    ]);
    next++;
    void limit;
    return portion;
  };
  expect(await verify()).toMatchObject({ verdict: 'good', faultCount: 0 });
});

test('S66 an op of a newer version makes a page that cannot be judged, and is not rebuilt', async () => {
  await store.append([{ page: PAGE, epoch: EPOCH, known: seq(11), changes: [{ ...entry(12, 1, 8), body: Uint8Array.of(0x91, 0x92, 0x63, 0xc0) }] }]);
  expect(await verify()).toMatchObject({ verdict: 'unknown', notes: [expect.stringContaining('change 12')] });
  expect(await rebuildPage(store, PAGE, defaultLimits, silentLog)).toMatchObject({ done: false });
}); // prettier-ignore

test('S66 a snapshot whose text chain is not that of the log is wrong, though all that it shows is right', async () => {
  await save(9, (parts) => {
    const table = decodeSnapshot(PAGE, parts.plain);
    table.get(blockId(1))!.text!.chainA ^= 1;
    // Written with the hash of before; read again without a look at that, and written with its own.
    parts.plain = encodeSnapshot(readSnapshot(PAGE, encodeSnapshot(table)).table);
  });
  const { verdict, snapshots } = await verify();
  expect([verdict, snapshots[1]]).toMatchObject(['damaged', { seq: 9, verdict: 'wrong' }]);
  expect(snapshots[1]!.why).toEqual([expect.stringMatching(/^the hash of the state is \w{16}, not \w{16}/)]);
});
