/**
 * Wakes the threads that hold the clients when their next edit is due: timers of Node.js know whole milliseconds only, and edits
 * that leave in bunches are another load. It sleeps in between, so it takes no core away from anybody. A thread that has a tick on
 * its way gets no other one.
 */
import { type MessagePort, workerData } from 'node:worker_threads';
import { systemClock, threadOffsetMs } from '../base/time.ts';
import type { PaceCells } from './orders.ts';

export interface PacerData extends PaceCells {
  readonly ports: MessagePort[];
}

const IDLE_MS = 1000;
const { nextDue: dueBuffer, cells: cellBuffer, ports } = workerData as PacerData;
const nextDue = new Float64Array(dueBuffer);
const cells = new Int32Array(cellBuffer);
const offset = threadOffsetMs();

while (Atomics.load(cells, 1) === 0) {
  const changes = Atomics.load(cells, 0);
  const now = systemClock.monotonic() + offset;
  let next = now + IDLE_MS;
  for (const [thread, port] of ports.entries()) {
    if (Atomics.load(cells, 2 + thread) === 1) continue;
    const due = nextDue[thread]!;
    if (due <= now) {
      Atomics.store(cells, 2 + thread, 1);
      port.postMessage(0);
    } else if (due < next) next = due;
  }
  Atomics.wait(cells, 0, changes, next - now);
}
for (const port of ports) port.close();
