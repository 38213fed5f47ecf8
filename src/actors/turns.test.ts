/**
 * How long the winner of a race leaves the page to others.
 */
import { describe, expect, test } from 'vitest';
import { uuid } from '../../test/support/pages.ts';
import type { PageId } from '../protocol/ids.ts';
import { Turns } from './turns.ts';

const page = uuid<PageId>(1);
const READ_MS = 3;

describe('C101 turns', () => {
  test('nobody else: none', () => {
    const turns = new Turns();
    expect([turns.won(page, false, false, READ_MS), turns.won(page, false, false, READ_MS)]).toEqual([0, 0]);
  });

  test('others write: as long as reading a log takes, within bounds', () => {
    const turns = new Turns();
    expect([0, 3, 900].map((readMs) => turns.won(page, false, true, readMs))).toEqual([1, 3, 50]);
  });

  test('others are too late again and again: longer and longer; in time: shorter', () => {
    const turns = new Turns();
    const won = (isWanted: boolean) => turns.won(page, isWanted, true, READ_MS);
    expect([true, true, true, true, true, true].map(won)).toEqual([3, 6, 12, 24, 48, 50]);
    expect([false, false, false, false, false].map(won)).toEqual([25, 12.5, 6.25, 3.125, 3]);
  });

  test('a mark of its own is nobody’s', () => {
    const turns = new Turns();
    turns.lost(page);
    expect([turns.reads(page), turns.reads(page)]).toEqual([true, false]);
    expect(turns.won(page, true, false, READ_MS)).toBe(0);
    expect(turns.won(page, true, false, READ_MS)).toBe(READ_MS);
  });

  test('so many pages are remembered and no more', () => {
    const turns = new Turns();
    for (let n = 0; n < 10_001; n++) turns.lost(uuid<PageId>(n));
    expect([turns.reads(uuid<PageId>(0)), turns.reads(uuid<PageId>(1))]).toEqual([false, true]);
  });
});
