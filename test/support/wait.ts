/**
 * Waiting for a condition, with a limit: what tests do instead of sleeping.
 */
import { sleep } from '../../src/base/time.ts';

/** Resolves when `condition` holds; rejects with `what` (asked then) after `timeoutMs`. */
export async function until(
  condition: () => boolean | Promise<boolean>,
  what: () => string,
  timeoutMs = 20_000,
): Promise<void> {
  const started = performance.now();
  while (!(await condition())) {
    if (performance.now() - started > timeoutMs) throw new Error(`waited ${timeoutMs} ms in vain: ${what()}`);
    await sleep(5);
  }
}
