/**
 * Polling with an end. PostgreSQL tells of its progress in files, and an orphan that is not our child tells of its
 * death not at all, so both are looked at every few milliseconds: a `stat` or a read of 100 bytes each.
 * Called by all waits of this folder; there is no wait without a time-out.
 */
import { sleep, systemClock } from '../../base/time.ts';
import type { Millis } from '../../base/time.ts';

/** True as soon as `probe` is; false once `timeoutMs` have passed. */
export async function waitUntil(
  probe: () => boolean | Promise<boolean>,
  timeoutMs: Millis,
  intervalMs: Millis = 10,
): Promise<boolean> {
  const end = systemClock.monotonic() + timeoutMs;
  for (;;) {
    if (await probe()) return true;
    if (systemClock.monotonic() >= end) return false;
    await sleep(intervalMs);
  }
}
