/**
 * How long the winner of a race leaves the page to others.
 */
import { describe, expect, test } from 'vitest';
import { uuid } from '../../test/support/pages.ts';
import type { PageId } from '../protocol/ids.ts';
import { Turns } from './turns.ts';

const page = uuid<PageId>(1);
const READ_MS = 3;

/** Others write the page. */
function shared(): Turns {
  const turns = new Turns();
  turns.heard(page, 0);
  return turns;
}

describe('C101 turns', () => {
  test('nobody else: none', () => {
    const turns = new Turns();
    expect([turns.won(page, false, READ_MS, 0), turns.won(page, false, READ_MS, 0)]).toEqual([0, 0]);
  });

  test('others write: as long as reading a log takes, within bounds', () => {
    const turns = shared();
    expect([0, 3, 900].map((readMs) => turns.won(page, false, readMs, 0))).toEqual([1, 3, 50]);
  });

  test('others are too late again and again: longer and longer; in time: shorter', () => {
    const turns = shared();
    const won = (isWanted: boolean) => turns.won(page, isWanted, READ_MS, 0);
    expect([true, true, true, true, true, true].map(won)).toEqual([3, 6, 12, 24, 48, 50]);
    expect([false, false, false, false, false].map(won)).toEqual([25, 12.5, 6.25, 3.125, 3]);
  });

  test('a mark of its own is nobody’s', () => {
    const turns = new Turns();
    turns.lost(page, 0);
    expect([turns.reads(page), turns.reads(page)]).toEqual([true, false]);
    expect(turns.won(page, true, READ_MS, 0)).toBe(0);
    expect(turns.won(page, true, READ_MS, 0)).toBe(READ_MS);
  });

  test('C125 the next turn is twice as long as the last one took, and as one that was cut short', () => {
    const turns = new Turns();
    const won = (now: number) => turns.won(page, false, READ_MS, now);
    turns.heard(page, 999);
    expect(won(1000)).toBe(READ_MS);
    expect([turns.heard(page, 1006), turns.heard(page, 1007)]).toEqual([true, false]);
    expect(won(1010)).toBe(12);
    turns.lost(page, 1025);
    expect(won(1030)).toBe(24);
    // Another time, another race.
    turns.lost(page, 1900);
    expect(won(1910)).toBe(12);
    // Nobody else for a second: it is ours alone.
    expect(won(2007)).toBe(0);
  });

  test('C125 a turn for one who was too late twice in a row is not ended by what is heard', () => {
    const turns = new Turns();
    const ended = [true, true, true, false].map((isWanted) => {
      turns.won(page, isWanted, READ_MS, 0);
      return turns.heard(page, 1);
    });
    expect(ended).toEqual([true, false, false, true]);
  });

  test('so many pages are remembered and no more', () => {
    const turns = new Turns();
    for (let n = 0; n < 10_001; n++) turns.lost(uuid<PageId>(n), 0);
    expect([turns.reads(uuid<PageId>(0)), turns.reads(uuid<PageId>(1))]).toEqual([false, true]);
  });
});
