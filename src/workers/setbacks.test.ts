/**
 * How long a page that fails again and again is left alone.
 */
import { expect, test } from 'vitest';
import { PAGE, uuid } from '../../test/support/pages.ts';
import type { PageId } from '../protocol/ids.ts';
import { Setbacks } from './setbacks.ts';

const OTHER = uuid<PageId>(5);

test('A67 the wait doubles up to its maximum, is each page’s own, and is forgotten after a quiet time', () => {
  const setbacks = new Setbacks({ free: 0, firstMs: 100, maxMs: 1000, forgetMs: 5000 });
  let now = 0;
  const waits = Array.from({ length: 6 }, () => {
    const wait = setbacks.note(PAGE, now);
    expect(setbacks.waitMs(PAGE, now)).toBe(wait);
    expect(setbacks.waitMs(PAGE, now + wait - 1)).toBe(1);
    expect(setbacks.waitMs(PAGE, now + wait)).toBe(0);
    now += wait;
    return wait;
  });
  expect(waits).toEqual([100, 200, 400, 800, 1000, 1000]);
  expect(setbacks.waitMs(OTHER, now)).toBe(0);
  expect(setbacks.note(OTHER, now)).toBe(100);
  expect(setbacks.note(PAGE, now + 5000)).toBe(100);
});

test('A67 the first few may cost nothing', () => {
  const setbacks = new Setbacks({ free: 2, firstMs: 100, maxMs: 1000, forgetMs: 5000 });
  expect([1, 2, 3, 4].map((at) => setbacks.note(PAGE, at))).toEqual([0, 0, 100, 200]);
});

test('A67 what is remembered is bounded', () => {
  const setbacks = new Setbacks({ free: 0, firstMs: 100, maxMs: 1000, forgetMs: 5000 });
  setbacks.note(PAGE, 0);
  for (let i = 1; i <= 10_000; i++) setbacks.note(uuid<PageId>(i), 0);
  expect([setbacks.waitMs(PAGE, 0), setbacks.waitMs(OTHER, 0)]).toEqual([0, 100]);
});
