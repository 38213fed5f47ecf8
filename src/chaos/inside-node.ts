/**
 * Loaded into every thread of a node by `node --import`, so that a node can be given a wrong clock, and one of its shards be
 * made to die, with nothing for it in the product. Orders come to the process by its channel, and to its threads from there.
 * A node whose starter is gone ends.
 */
import { BroadcastChannel, isMainThread, workerData } from 'node:worker_threads';

export interface Order {
  /** How far its clock is off from now on. */
  readonly skewMs?: number;
  /** The shard that is to die. */
  readonly endShard?: number;
}

let skewMs = 0;
const rightTime = Date.now;
Date.now = () => rightTime() + skewMs;

function obey(order: Order): void {
  if (order.skewMs !== undefined) skewMs = order.skewMs;
  if (order.endShard === undefined || isMainThread) return;
  if ((workerData as { index?: number } | null)?.index !== order.endShard) return;
  queueMicrotask(() => {
    throw new Error('octavo chaos: this shard was told to die');
  });
}

const threads = new BroadcastChannel('octavo-chaos');
threads.onmessage = (event) => obey((event as { data: Order }).data);
threads.unref();

if (isMainThread) {
  process.on('message', (order: Order) => {
    obey(order);
    threads.postMessage(order);
  });
  process.on('disconnect', () => process.kill(process.pid, 'SIGKILL'));
  process.channel?.unref();
}
