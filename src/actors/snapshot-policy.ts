/**
 * When a page is worth a snapshot, and when it may give up its decoded document. Pure. By cost: writing one costs the page's size, so it must be earned by as much
 * log. That keeps the cost of an edit independent of the page (a snapshot every 100 changes would add 200 µs to every
 * edit of a 10,000-block page), and bounds what a load replays to about half the page, or 1,000 changes.
 */

/** What a change costs to replay beyond its bytes, as bytes. */
const CHANGE_COST_BYTES = 64;

export interface SnapshotPolicy {
  readonly changesMin: number;
  readonly bytesMin: number;
  readonly idleMs: number;
  readonly idleChangesMin: number;
}

export const defaultSnapshotPolicy: SnapshotPolicy = {
  changesMin: 1000,
  bytesMin: 256 << 10,
  idleMs: 30_000,
  idleChangesMin: 100,
};

export interface SinceSnapshot {
  readonly changes: number;
  readonly bytes: number;
  /** Size of the newest snapshot, unpacked; 0 if there is none. */
  readonly snapshotBytes: number;
  /** ms since the last change. */
  readonly idleMs: number;
}

export const changeCost = (bodyBytes: number): number => bodyBytes + CHANGE_COST_BYTES;

export function snapshotIsDue(since: SinceSnapshot, policy: SnapshotPolicy = defaultSnapshotPolicy): boolean {
  if (since.changes === 0) return false;
  if (since.idleMs >= policy.idleMs) return since.changes >= policy.idleChangesMin;
  const enough = since.changes >= policy.changesMin || since.bytes >= policy.bytesMin;
  return enough && since.bytes >= since.snapshotBytes / 2;
}

const REST_MS = 10_000;
/** A larger page takes so long to decode (10 ms and more) that it is put to rest only when memory is short. */
const REST_PLAIN_BYTES_MAX = 1 << 20;
/** How much of the log a page at rest keeps: to decode it again, and for those who have been away for a moment. */
export const REST_TAIL_BYTES = 64 << 10;

/** Whether a page that was not written to for so long, of this size when it is encoded, is to be put to rest. */
export function restIsDue(unusedMs: number, plainBytes: number): boolean {
  return unusedMs >= REST_MS && plainBytes <= REST_PLAIN_BYTES_MAX;
}
