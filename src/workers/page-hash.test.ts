/**
 * Pages over shards: evenly, always alike, and few of them move when a shard is added.
 */
import { describe, expect, test } from 'vitest';
import { seededRandom } from '../base/random.ts';
import { newId, type PageId } from '../protocol/ids.ts';
import { shardOf } from './page-hash.ts';

// As they are made: 100,000 UUIDv7 within 100 seconds.
const random = seededRandom(1);
const pages = Array.from({ length: 100_000 }, (_, i) => newId<PageId>(1_750_000_000_000 + i, random));

describe('shardOf', () => {
  test('G18 is even within 10% for 1 to 16 shards', () => {
    for (let shards = 1; shards <= 16; shards++) {
      const counts = Array.from({ length: shards }, () => 0);
      for (const page of pages) counts[shardOf(page, shards)]!++;
      const fair = pages.length / shards;
      for (const count of counts) expect(Math.abs(count - fair) / fair).toBeLessThan(0.1);
    }
  });

  test('G18 one shard more moves about its share of the pages, and only to the new shard', () => {
    for (let shards = 1; shards < 16; shards++) {
      let moved = 0;
      for (const page of pages) {
        const [before, after] = [shardOf(page, shards), shardOf(page, shards + 1)];
        if (before === after) continue;
        moved++;
        if (after !== shards) expect.fail(`${page} moved from ${before} to ${after} of ${shards + 1}`);
      }
      const share = pages.length / (shards + 1);
      expect(Math.abs(moved - share) / share).toBeLessThan(0.1);
    }
  });

  test('G18 is the same everywhere and for ever', () => {
    const some = ['00000000-0000-7000-8000-000000000000', '0197a1b2-c3d4-7e5f-8a6b-7c8d9e0f1a2b'] as PageId[];
    expect(some.map((page) => [2, 4, 16].map((shards) => shardOf(page, shards)))).toEqual([
      [0, 2, 2],
      [0, 3, 3],
    ]);
  });
});
