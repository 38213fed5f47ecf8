/**
 * The entry point of a shard's worker thread: opens the shard that `workerData` describes and carries batches.
 * It never listens on a socket: a thread that ends with an open uWebSockets.js listener would abort the process.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { assert } from '../base/assert.ts';
import { createLog } from '../process-log.ts';
import { openShard } from './open-shard.ts';
import type { ShardConfig } from './port.ts';
import type { FromThread, ToThread } from './thread-port.ts';

const port = parentPort;
assert(port, 'this file runs in a worker thread');
const config = workerData as ShardConfig;
const log = createLog(config.logLevel, { shard: config.index });

const shard = openShard(config, log, (batch) => port.postMessage(batch, [batch.buffer as ArrayBuffer]));
const answer = (message: FromThread) => port.postMessage(message);

port.on('message', (message: Uint8Array | ToThread) => {
  if (message instanceof Uint8Array) shard.receive(message);
  else if (message.type === 'metrics') {
    void shard.metrics.registry
      .getMetricsAsJSON()
      .then((metrics) => answer({ type: 'answer', id: message.id, answer: metrics }));
  } else if (message.type === 'pages') {
    answer({ type: 'answer', id: message.id, answer: shard.busiest(message.query) });
  } else if (message.type === 'ping') answer({ type: 'pong' });
  else void shard.drain(message.deadlineMs).then(() => answer({ type: 'drained' }));
});
