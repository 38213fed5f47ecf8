/**
 * The watch for stalls: it says when one begins and when it is over, once, and sleeps while nothing waits.
 */
import { expect, test } from 'vitest';
import { FakeClock } from '../../test/support/client-stage.ts';
import { PAGE, uuid } from '../../test/support/pages.ts';
import { type Log, silentLog } from '../base/log.ts';
import type { PageId } from '../protocol/ids.ts';
import { StallWatch } from './stall-watch.ts';

const OTHER = uuid<PageId>(77);

function start(stallMs: number) {
  const clock = new FakeClock();
  const said: string[] = [];
  const log: Log = { ...silentLog, warn: (fields, message) => void said.push(`${Object.values(fields)} ${message.slice(0, 13)}`) }; // prettier-ignore
  const since = new Map<PageId, number>();
  const rounds = { count: 0 };
  const check = (page: PageId, now: number) => (since.has(page) ? now - since.get(page)! : null);
  const watch = new StallWatch({ clock, log, stallMs, check, checked: () => void rounds.count++ });
  const queue = (page: PageId) => {
    since.set(page, clock.time);
    watch.watch(page);
  };
  return { clock, said, since, queue, rounds };
}

test('C73 a stall is said once when it begins, for all pages, and once when it is over', async () => {
  const { clock, said, since, queue } = start(100);
  queue(PAGE);
  queue(OTHER);
  await clock.advance(900);
  expect(said).toEqual([]);
  await clock.advance(4000);
  expect(said).toEqual(['1000,2 the database ']);
  // One page's changes are committed, the other's still wait.
  since.delete(PAGE);
  await clock.advance(1000);
  expect(said.length).toBe(1);
  since.delete(OTHER);
  await clock.advance(100);
  expect(said.slice(1)).toEqual(['5950 the stall is ']);
});

test('C73 short waits are not said, with COMMIT_STALL_MS=0 neither', async () => {
  for (const stallMs of [0, 100]) {
    const { clock, said, since, queue } = start(stallMs);
    for (let i = 0; i < 20; i++) {
      queue(PAGE);
      await clock.advance(500);
      since.delete(PAGE);
      await clock.advance(100);
    }
    expect(said).toEqual([]);
  }
});

test('C73 nothing is looked at while nothing waits', async () => {
  const { clock, since, queue, rounds } = start(100);
  queue(PAGE);
  await clock.advance(200);
  since.delete(PAGE);
  await clock.advance(100);
  const { count } = rounds;
  await clock.advance(10_000);
  expect(rounds.count).toBe(count);
});
