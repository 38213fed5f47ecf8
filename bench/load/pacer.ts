/**
 * A thread that wakes the generator when the next edit is due: Node.js timers know whole milliseconds only, and edits
 * that leave in bunches would measure another load. It sleeps in between, so it takes no core away from the server. Due
 * moments are counted on the process-wide monotonic clock; ticks that were not heard yet are not repeated.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { must } from '../lib/must.ts';

export interface PacerData {
  readonly startNs: bigint;
  readonly intervalMs: number;
  /** [0]: a tick is under way; [1]: stop. */
  readonly cells: Int32Array;
}

const { startNs, intervalMs, cells } = workerData as PacerData;
must(parentPort, 'this file runs in a worker thread');

const sinceStart = () => Number(process.hrtime.bigint() - startNs) / 1e6;

for (let next = 1; Atomics.load(cells, 1) === 0;) {
  const now = sinceStart();
  const waitMs = next * intervalMs - now;
  if (waitMs > 0) {
    Atomics.wait(cells, 1, 0, waitMs);
    continue;
  }
  next = Math.floor(now / intervalMs) + 1;
  if (Atomics.compareExchange(cells, 0, 0, 1) === 0) parentPort.postMessage(0);
}
