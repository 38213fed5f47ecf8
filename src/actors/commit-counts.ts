/**
 * What is counted of changes that have just been committed. Called once for each page of an append.
 */
import type { Millis } from '../base/time.ts';
import type { QueuedChange } from './change-queue.ts';
import type { ActorWorld } from './world.ts';

/** `handedAt`: when they were handed to the database; `lostOps`: how many of their ops lost to a newer stamp. */
export function countCommits(
  { clock, counts, telling }: ActorWorld,
  committed: readonly QueuedChange[],
  handedAt: Millis,
  lostOps: number,
): void {
  const committedMs = clock.monotonic() - handedAt;
  let bytes = 0;
  for (const { since, change } of committed) {
    counts.commitMs(handedAt - since, committedMs);
    bytes += change.body.length;
  }
  counts.committed(committed.length, bytes);
  counts.lost(lostOps);
  telling(committed[0]!.since);
}
