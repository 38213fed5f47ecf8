/**
 * The short form of `npm run sim`: some hundred seeds of a simulated cluster under faults, each seed the same run every
 * time. Seeds that once found a bug are run by name (`regressions.ts`).
 */
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { misplaced } from './plants.ts';
import { regressions } from './regressions.ts';
import { type Outcome, runSeed } from './world.ts';

const SEEDS = process.env['OCTAVO_TEST_LONG'] ? 5000 : 25;
const TWICE = 10;

const replay = ({ seed, failure }: Outcome) => `${failure?.detail}: npm run sim -- --seed ${seed} --trace`;

describe('a cluster under faults', () => {
  test('D1 C1 C3 C5 K2 K19 H5 loses, doubles and forgets nothing, and comes to rest', async () => {
    const failures: string[] = [];
    for (let seed = 1; seed <= SEEDS; seed++) {
      const outcome = await runSeed(seed);
      if (outcome.failure) failures.push(replay(outcome));
    }
    expect(failures).toEqual([]);
  }, 600_000);

  test('D1 is a function of its seed', async () => {
    for (let seed = 1; seed <= TWICE; seed++) {
      const [first, second] = [await runSeed(seed), await runSeed(seed)];
      expect([second.hash, second.events, second.virtualMs]).toEqual([
        first.hash,
        first.events,
        first.virtualMs,
      ]);
    }
  });

  test('D1 the bugs that are planted to try it still have their places', () => {
    const faults = misplaced((file) => readFileSync(file, 'utf8'));
    expect(faults, 'the source has moved on: correct the edits in test/sim/plants.ts').toEqual([]);
  });

  test.each(regressions)('K2 seed $seed: $found', async ({ seed }) => {
    const outcome = await runSeed(seed);
    expect(outcome.failure && replay(outcome)).toBeNull();
  });
});
