/**
 * How long a thread's event loop kept what was due waiting, at /metrics: the gauge that shows a stall before users tell of
 * it. Measured by Node.js itself, without a timer of ours. Each scrape begins anew, so the maximum is that since the last.
 */
import { monitorEventLoopDelay } from 'node:perf_hooks';
import type { Registry } from 'prom-client';
import { gauges } from './gauges.ts';

/** A timer of this many ms is what is measured; the figures are what it was late by, as near as that. */
const RESOLUTION_MS = 10;

/** Adds the gauge for the calling thread. Merged registries add up, so every thread has a name of its own. */
export function measureEventLoopDelay(registry: Registry, thread: string): void {
  const delays = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  delays.enable();
  const late = (nanoseconds: number) => Math.max(0, nanoseconds / 1e9 - RESOLUTION_MS / 1e3);
  gauges(
    registry,
    'octavo_event_loop_delay_seconds',
    'How late the event loop was since the last scrape, by thread: p50, p99 and max',
    () => {
      const found = { p50: delays.percentile(50), p99: delays.percentile(99), max: delays.max };
      delays.reset();
      return Object.entries(found).map(([of, value]) => [{ thread, of }, late(value)] as const);
    },
  );
}
