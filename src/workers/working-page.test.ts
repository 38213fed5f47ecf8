/**
 * The page that a shard is at work on, as the pool reads it from the memory that both share.
 */
import { expect, test } from 'vitest';
import { PAGE, uuid } from '../../test/support/pages.ts';
import type { PageId } from '../protocol/ids.ts';
import { WorkingPage } from './working-page.ts';

test('A64 the pool sees whom the shard is at work on, and nobody between two steps', () => {
  const memory = WorkingPage.allocate();
  const [shard, pool] = [new WorkingPage(memory), new WorkingPage(memory)];
  expect(pool.page).toBeUndefined();
  for (const page of [PAGE, uuid<PageId>(5), uuid<PageId>(5), PAGE]) {
    shard.enter(page);
    expect(pool.page).toBe(page);
    shard.leave();
    expect(pool.page).toBeUndefined();
  }
});
