/**
 * When a page is worth a snapshot. Pure. By cost: writing one costs the page's size, so it must be earned by as much
 * log. That keeps the cost of an edit independent of the page (a snapshot every 100 changes would add 200 µs to every
 * edit of a 10,000-block page), and bounds what a load replays to about half the page, or 1,000 changes.
 */

/** What a change costs to replay beyond its bytes, as bytes. */
const CHANGE_COST_BYTES = 64;
const CHANGES_MIN = 1000;
const BYTES_MIN = 256 << 10;
const IDLE_MS = 30_000;
const IDLE_CHANGES_MIN = 100;

export interface SinceSnapshot {
  readonly changes: number;
  readonly bytes: number;
  /** Size of the newest snapshot, unpacked; 0 if there is none. */
  readonly snapshotBytes: number;
  /** ms since the last change. */
  readonly idleMs: number;
}

export const changeCost = (bodyBytes: number): number => bodyBytes + CHANGE_COST_BYTES;

export function snapshotIsDue(since: SinceSnapshot): boolean {
  if (since.changes === 0) return false;
  if (since.idleMs >= IDLE_MS) return since.changes >= IDLE_CHANGES_MIN;
  const enough = since.changes >= CHANGES_MIN || since.bytes >= BYTES_MIN;
  return enough && since.bytes >= since.snapshotBytes / 2;
}
