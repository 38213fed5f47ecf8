/**
 * When a snapshot is due: earned by log, bounded for loads, and taken when a page rests.
 */
import { expect, test } from 'vitest';
import { changeCost, type SinceSnapshot, snapshotIsDue } from './snapshot-policy.ts';

const due = (since: Partial<SinceSnapshot>) =>
  snapshotIsDue({ changes: 1, bytes: 100, snapshotBytes: 0, idleMs: 0, ...since });

test('A12 never without changes', () => {
  expect(due({ changes: 0, idleMs: 1e9, bytes: 1e9 })).toBe(false);
});

test('A12 after 1,000 changes or 256 KB, of a small page', () => {
  expect([due({ changes: 999 }), due({ changes: 1000 })]).toEqual([false, true]);
  expect([due({ bytes: (256 << 10) - 1 }), due({ bytes: 256 << 10 })]).toEqual([false, true]);
});

test('A12 a large page earns it by half its size', () => {
  const snapshotBytes = 10 << 20;
  expect(due({ changes: 5000, bytes: 5 << 20, snapshotBytes })).toBe(true);
  expect(due({ changes: 5000, bytes: (5 << 20) - 1, snapshotBytes })).toBe(false);
});

test('A12 at rest 100 changes are enough, whatever the size', () => {
  const resting = { idleMs: 30_000, snapshotBytes: 10 << 20 };
  expect([due({ ...resting, changes: 99 }), due({ ...resting, changes: 100 })]).toEqual([false, true]);
  expect(due({ ...resting, changes: 100, idleMs: 29_999 })).toBe(false);
});

test('A12 a change costs more than its bytes', () => {
  expect(changeCost(0)).toBeGreaterThan(0);
  expect(changeCost(1000) - changeCost(0)).toBe(1000);
});
