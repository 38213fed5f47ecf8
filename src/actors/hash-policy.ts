/**
 * When a page tells its hash. Pure. By cost: making it is free and sending it one small frame, so it goes out once in many
 * changes while people write, and once when they rest, so that no page at rest stays unchecked.
 */
import type { Millis } from '../base/time.ts';

export interface HashPolicy {
  readonly changesMin: number;
  readonly restMs: Millis;
}

export const defaultHashPolicy: HashPolicy = { changesMin: 256, restMs: 30_000 };

export interface SinceHash {
  /** Changes since a hash was told. */
  readonly changes: number;
  /** ms since the last change. */
  readonly restMs: Millis;
}

export function hashIsDue({ changes, restMs }: SinceHash, policy: HashPolicy = defaultHashPolicy): boolean {
  return changes >= policy.changesMin || (changes > 0 && restMs >= policy.restMs);
}
