/**
 * How long a thread's event loop kept what was due waiting, at /metrics: the gauge that shows a stall before users tell of
 * it. Measured by Node.js itself, without a timer of ours. Each scrape begins anew, so the maximum is that since the last.
 */
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { Gauge, type Registry } from 'prom-client';

/** A timer of this many ms is what is measured; the figures are what it was late by, as near as that. */
const RESOLUTION_MS = 10;

/** Adds the gauge for the calling thread. Merged registries add up, so every thread has a name of its own. */
export function measureEventLoopDelay(registry: Registry, thread: string): void {
  const delays = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  delays.enable();
  new Gauge({
    name: 'octavo_event_loop_delay_ms',
    help: 'How late the event loop was since the last scrape, by thread: p50, p99 and max',
    labelNames: ['thread', 'of'],
    registers: [registry],
    collect() {
      const late = (nanoseconds: number) => Math.max(0, nanoseconds / 1e6 - RESOLUTION_MS);
      this.set({ thread, of: 'p50' }, late(delays.percentile(50)));
      this.set({ thread, of: 'p99' }, late(delays.percentile(99)));
      this.set({ thread, of: 'max' }, late(delays.max));
      delays.reset();
    },
  });
}
