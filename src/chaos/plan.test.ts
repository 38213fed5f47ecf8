/**
 * The plan of `octavo chaos`: a pure function of its seed, within its time, with every kind of trouble in it.
 */
import { expect, test } from 'vitest';
import { allLinks, describeFault, drawPlan, type Shape, type Trouble, TROUBLES } from './plan.ts';

const ALL = Object.keys(TROUBLES) as Trouble[];
const SHAPE: Shape = { nodes: 3, shards: 2, clients: 4, redis: true, runMs: 120_000, only: ALL };

test('the same seed gives the same plan, another another', () => {
  expect(drawPlan(1, SHAPE)).toEqual(drawPlan(1, SHAPE));
  expect(drawPlan(1, SHAPE)).not.toEqual(drawPlan(2, SHAPE));
  expect(drawPlan(1, SHAPE)[0]).not.toEqual(drawPlan(1, SHAPE)[1]);
});

test('every fault begins and ends within its round, and no target is harmed twice at once', () => {
  for (let seed = 0; seed < 50; seed++) {
    for (const { faults, lengthMs } of drawPlan(seed, SHAPE)) {
      const until = new Map<string, number>();
      expect(faults.length).toBeGreaterThan(2);
      for (const { atMs, forMs, target } of faults) {
        expect(forMs).toBeGreaterThanOrEqual(0);
        expect(atMs + forMs).toBeLessThanOrEqual(lengthMs - 999);
        expect(atMs).toBeGreaterThanOrEqual(until.get(target) ?? 0);
        until.set(target, atMs + forMs);
      }
    }
  }
});

test('every kind of trouble comes, on every target, and only what was asked for', () => {
  const plans = Array.from({ length: 50 }, (_, seed) => drawPlan(seed, SHAPE)).flat();
  const faults = plans.flatMap(({ faults: each }) => each);
  expect(new Set(faults.map(({ trouble }) => trouble))).toEqual(new Set(ALL));
  const processes = ['node 1', 'node 2', 'node 3', 'postgres', 'redis'];
  expect(new Set(faults.map(({ target }) => target))).toEqual(new Set([...processes, ...allLinks(SHAPE)]));
  const kills = drawPlan(1, { ...SHAPE, only: ['kill'] }).flatMap((round) => round.faults);
  expect(new Set(kills.map((fault) => describeFault(fault).slice(0, 12)))).toEqual(new Set(['kill -9 node']));
  const without = Array.from({ length: 50 }, (_, seed) => drawPlan(seed, { ...SHAPE, redis: false })).flat();
  const targets = without.flatMap(({ faults: each }) => each.map(({ target }) => target));
  expect(targets.filter((target) => target.includes('redis'))).toEqual([]);
});
