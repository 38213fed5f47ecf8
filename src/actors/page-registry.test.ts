/**
 * Which pages leave memory, and when. The world answers nothing by itself; time is what the test says.
 */
import { expect, test } from 'vitest';
import { entry } from '../../test/support/actor-world.ts';
import { blockId, EPOCH, replicaId, stampOf, userId, uuid } from '../../test/support/pages.ts';
import { silentLog } from '../base/log.ts';
import { BlocksModel } from '../document/blocks-model.ts';
import { BlockTable } from '../document/blocks.ts';
import { decodeOps, encodeOps, type Op } from '../document/ops.ts';
import { encodeSnapshot } from '../document/snapshot.ts';
import { type BlockId, type PageId, seq } from '../protocol/ids.ts';
import { defaultLimits } from '../protocol/limits.ts';
import { PageRegistry } from './page-registry.ts';
import { defaultSnapshotPolicy } from './snapshot-policy.ts';
import type { ActorWorld } from './world.ts';

const IDLE_MS = 60_000;
const KIB = 1024;
const pageOf = (n: number): PageId => uuid<PageId>(n, 7);

/** A snapshot of about so many KiB. */
function plainOf(page: PageId, kib: number): Uint8Array {
  const table = new BlockTable(page);
  const body = encodeOps([{ op: 'insert', block: blockId(1), parent: table.root, key: 'a0', type: 'paragraph', props: { filler: 'x'.repeat(kib * KIB) }, text: null }]);
  for (const op of decodeOps(body) as Op[]) table.apply(op, stampOf(1));
  return encodeSnapshot(table);
} // prettier-ignore

function stage(bytesMax: number) {
  let time = 0;
  const saved: PageId[] = [];
  const known: Partial<ActorWorld> = {
    clock: { now: () => time, monotonic: () => time, after: () => ({ cancel() {} }) },
    limits: defaultLimits,
    log: silentLog,
    snapshotPolicy: defaultSnapshotPolicy,
    saveSnapshot: (page) => saved.push(page),
  };
  // What else an actor asks for, and counts, is of no account here.
  const nothing = new Proxy(() => {}, { get: () => () => {} });
  const world = new Proxy(known as ActorWorld, { get: (target, name) => Reflect.get(target, name) ?? nothing });
  let evicted = 0;
  const registry = new PageRegistry(world, { idleMs: IDLE_MS, bytesMax }, () => evicted++, (_, step) => step());
  /** A page of about so many KiB, with `changes` that no snapshot holds. */
  const load = (n: number, kib = 0, changes = 0) => {
    const page = pageOf(n);
    const snapshot = { seq: seq(1), body: new Uint8Array(1), plainBytes: kib * KIB };
    const model = new BlocksModel(page, defaultLimits, { snapshot: plainOf(page, kib), private: Uint8Array.of(0x90) });
    const own = { latestMs: 0, replicas: new Map(), model: new Uint8Array() };
    const tail = Array.from({ length: changes }, (_, i) => entry(i + 2, 1, i + 1));
    const actor = registry.open(page);
    actor.receive({ type: 'loaded', page: { kind: 'blocks', epoch: EPOCH, closed: false, model, private: own, snapshot, tail } });
    return actor;
  };
  const subscribe = (n: number) => {
    const subscriber = { connection: n, ch: 1, user: userId('ann'), replica: replicaId(n), role: 'editor' as const };
    registry.open(pageOf(n)).receive({ type: 'subscribe', request: { subscriber, since: null, epoch: null, create: null, at: 0 } });
  };
  const sweepAt = (ms: number): PageId[] => {
    time = ms;
    registry.sweep(ms);
    return [...registry.all()].map(({ page }) => page);
  };
  const at = (ms: number) => (time = ms);
  return { registry, load, subscribe, sweepAt, at, saved, evicted: () => evicted };
} // prettier-ignore

test('A16 a page leaves after its time without subscribers, counted from the last one’s going', () => {
  const { load, subscribe, sweepAt, at, evicted } = stage(1 << 30);
  const used = load(1);
  subscribe(1);
  const actor = load(2);
  expect(sweepAt(IDLE_MS - 1)).toEqual([pageOf(1), pageOf(2)]);
  expect(sweepAt(IDLE_MS)).toEqual([pageOf(1)]);
  expect(actor.isGone).toBe(true);
  at(10 * IDLE_MS);
  used.receive({ type: 'unsubscribe', connection: 1 });
  expect(sweepAt(11 * IDLE_MS - 1)).toEqual([pageOf(1)]);
  expect(sweepAt(11 * IDLE_MS)).toEqual([]);
  expect(evicted()).toBe(2);
});

test('A16 past its memory a shard lets go of those that have rested longest, of no more than it must, and of none in use', () => {
  const { load, subscribe, sweepAt, at } = stage(100 * KIB);
  load(1, 40);
  subscribe(1);
  for (const n of [3, 2, 4]) {
    at(n);
    load(n, 40);
  }
  // 160 KiB and a little for each: two have to go.
  expect(sweepAt(10)).toEqual([pageOf(1), pageOf(4)]);
  expect(sweepAt(11)).toEqual([pageOf(1), pageOf(4)]);
});

test('A12 a page with news is stored on its way out, one without is not', () => {
  const { load, sweepAt, saved } = stage(1 << 30);
  load(1, 1, 3);
  load(2, 1);
  expect(sweepAt(IDLE_MS)).toEqual([]);
  expect(saved).toEqual([pageOf(1)]);
});

/** A page in use. */
function used({ load, subscribe }: ReturnType<typeof stage>, n: number, kib: number) {
  const actor = load(n, kib);
  subscribe(n);
  return actor;
}

test('A75 pages in use are put to rest, the largest first, when letting go of idle ones is not enough', () => {
  const stand = stage(100 * KIB);
  const [small, large] = [used(stand, 1, 40), used(stand, 2, 70)];
  const idle = stand.load(3, 20);
  stand.sweepAt(10);
  expect([idle.isGone, large.isAtRest, small.isAtRest]).toEqual([true, true, false]);
  expect(stand.registry.totals()).toMatchObject({ pages: 2, atRest: 1 });
});

test('A75 one that has something queued, or nothing to rest from, is left as it is', () => {
  const stand = stage(10 * KIB);
  const actor = used(stand, 1, 40);
  const ops = encodeOps([{ op: 'update', block: pageOf(1) as string as BlockId, props: { a: 1 }, type: null }]);
  actor.receive({ type: 'change', connection: 1, n: 1, hlc: { ms: 1, counter: 0 }, ops, replica: null, userWaitMs: 0 });
  stand.sweepAt(10);
  expect([actor.queueLength, actor.isAtRest]).toEqual([1, false]);
}); // prettier-ignore

test('A76 there is room while idle pages can go or used ones can rest; then none, and again when a page is left', () => {
  const stand = stage(100 * KIB);
  const { registry } = stand;
  const load = (n: number, kib: number, inUse: boolean) => {
    const actor = inUse ? used(stand, n, kib) : stand.load(n, kib);
    registry.loaded(actor);
    return actor;
  };
  stand.at(1);
  load(1, 60, false);
  expect(registry.hasRoom(2)).toBe(true);
  load(2, 60, false);
  // The idle one makes room at once, between two sweeps.
  expect(registry.hasRoom(3)).toBe(true);
  expect(registry.totals().pages).toBe(1);
  const resting = load(3, 60, true);
  expect(registry.hasRoom(4)).toBe(true);
  expect(resting.isAtRest).toBe(false);
  const crowd = Array.from({ length: 60 }, (_, i) => load(10 + i, 0, true));
  expect(registry.hasRoom(5)).toBe(false);
  expect([resting.isAtRest, crowd[0]!.isGone]).toEqual([true, false]);
  for (const actor of crowd) actor.receive({ type: 'unsubscribe', connection: Number.parseInt(actor.page.slice(-12), 16) });
  // Looked at again after a second, not for each that asks.
  expect(registry.hasRoom(1004)).toBe(false);
  expect(registry.hasRoom(1006)).toBe(true);
}); // prettier-ignore

test('A75 of pages with news only half of the memory leaves at once: they are held until they are stored', () => {
  const stand = stage(100 * KIB);
  for (let n = 0; n < 4; n++) stand.load(n, 15, 1);
  expect(stand.sweepAt(IDLE_MS)).toHaveLength(1);
  expect(stand.sweepAt(IDLE_MS + 1000)).toHaveLength(0);
  expect(stand.saved).toHaveLength(4);
});
