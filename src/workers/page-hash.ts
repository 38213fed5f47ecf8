/**
 * Page → shard by jump consistent hash (Lamping and Veach, 2014): even, needs no table, and a change of the number of
 * shards moves only the pages it must. The key is FNV-1a of the id (ids begin with a time, so they are mixed first).
 */
import type { PageId, ShardIndex } from '../protocol/ids.ts';

function mix(page: PageId): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < page.length; i++) hash = Math.imul(hash ^ page.charCodeAt(i), 0x01000193);
  // FNV's high bits move little for inputs that differ at the end: murmur3's finaliser spreads them.
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}

export function shardOf(page: PageId, shards: number): ShardIndex {
  let state = mix(page);
  let bucket = -1;
  for (let next = 0; next < shards;) {
    bucket = next;
    state = (Math.imul(state, 0x41c64e6d) + 0x3039) >>> 0;
    // The high bits of a linear congruential generator are the good ones.
    next = Math.floor((bucket + 1) * (0x8000_0000 / ((state >>> 1) + 1)));
  }
  return bucket as ShardIndex;
}
