/**
 * A rolling restart on virtual time, where a wait is a property of the code and not of the machine: three nodes, a network as it
 * is between cities, eight people who type, and one node after the other stopped and started again.
 */
import { expect, test } from 'vitest';
import { defaultLimits } from '../../src/protocol/limits.ts';
import { drawPlan, fairWeather, type Plan } from './plan.ts';
import { World } from './world.ts';

const SEEDS = process.env['OCTAVO_TEST_LONG'] ? 100 : 2;
const PEOPLE = 8;
const WAIT_MAX_MS = 2000;

function rolling(seed: number): Plan {
  const person = { skewMs: 0, everyMs: 400, burst: 6, typingMs: 80, reopenEveryMs: 0, restartEveryMs: 0, clockStepEveryMs: 0 };
  return {
    ...drawPlan(seed),
    nodes: 3,
    pages: 2,
    clients: Array.from({ length: PEOPLE }, () => person),
    edits: 500,
    nodeSkewMs: [],
    limits: defaultLimits,
    bus: seed % 2 === 0,
    headPollMs: 500,
    commitStallMs: 100,
    tokenMs: 0,
    trashEveryMs: 0,
    naive: false,
    weather: {
      ...fairWeather,
      net: { ...fairWeather.net, delayMs: [20, 60] },
      store: { ...fairWeather.store, delayMs: [1, 5] },
    },
  };
} // prettier-ignore

test('G108 K100 nobody waits longer than two seconds for an acknowledgement while nodes are restarted in turn', async () => {
  const worst: number[] = [];
  for (let seed = 1; seed <= SEEDS; seed++) {
    const world = new World(rolling(seed));
    world.roll(1500);
    const { failure } = await world.run();
    expect([seed, failure]).toEqual([seed, null]);
    expect(world.journal.waits.length).toBeGreaterThan(200);
    worst.push(Math.round(Math.max(...world.journal.waits)));
  }
  console.log(`the longest waits, ms, with and without a bus in turn: ${worst.join(', ')}`);
  expect(Math.max(...worst)).toBeLessThan(WAIT_MAX_MS);
}, 600_000);
