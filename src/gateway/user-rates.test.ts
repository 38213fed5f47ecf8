/**
 * What one user may send in a second: at the bound and past it, over time, and forgotten without a loss.
 */
import { expect, test } from 'vitest';
import { userId } from '../../test/support/pages.ts';
import { LIMIT_TABLE, type Limits } from '../protocol/limits.ts';
import { UserRates } from './user-rates.ts';

const DEFAULTS = Object.fromEntries(Object.entries(LIMIT_TABLE).map(([name, { value }]) => [name, value]));
const [ANN, BOB] = [userId('ann'), userId('bob')];

const rates = () =>
  new UserRates({ ...DEFAULTS, presencePerSecond: 10, userChangesBurst: 3 } as unknown as Limits);
const times = (count: number, take: () => number) => Array.from({ length: count }, take);

test('G67 presence of a user: ten in a second, the eleventh told when to come, one more each 100 ms', () => {
  const user = rates();
  expect(times(10, () => user.take(ANN, 'presence', 0))).toEqual(times(10, () => 0));
  expect(user.take(ANN, 'presence', 0)).toBe(100);
  expect(user.take(BOB, 'presence', 0)).toBe(0);
  expect(user.take(ANN, 'presence', 98)).toBeGreaterThan(0);
  expect(user.take(ANN, 'presence', 101)).toBe(0);
  expect(user.take(ANN, 'presence', 102)).toBeGreaterThan(0);
});

test('G67 presence and changes do not use each other up, and forgetting those who rest gives nobody more', () => {
  const user = rates();
  times(10, () => user.take(ANN, 'presence', 0));
  expect(times(4, () => user.take(ANN, 'change', 0))).toEqual([0, 0, 0, 10]);
  user.sweep(500);
  expect(times(6, () => user.take(ANN, 'presence', 500)).filter((ms) => ms === 0).length).toBe(5);
  user.sweep(60_000);
  expect(times(11, () => user.take(ANN, 'presence', 60_000)).filter((ms) => ms === 0).length).toBe(10);
});
