/**
 * A shard in a worker thread. Each batch is one transferred buffer. Control messages (metrics, drain) are few and go as
 * plain objects on the same port; see `shard-thread.ts` for the other side.
 */
import { Worker } from 'node:worker_threads';
import { withTimeout } from '../base/time.ts';
import type { MetricList } from './merged-metrics.ts';
import type { ShardConfig, ShardPort, ShardPortEvents } from './port.ts';

export type ToThread =
  | { readonly type: 'metrics'; readonly id: number }
  | { readonly type: 'drain'; readonly deadlineMs: number }
  | { readonly type: 'ping' };
export type FromThread =
  | { readonly type: 'metrics'; readonly id: number; readonly metrics: MetricList }
  | { readonly type: 'drained' }
  | { readonly type: 'pong' };

const METRICS_TIMEOUT_MS = 2000;
const DRAIN_GRACE_MS = 1000;
/** Beats without an answer after which a thread hangs. Beats, not seconds: a process that was stopped has had none. */
const HUNG_BEATS = 10;
/** The first answer takes as long as the start does. */
const START_BEATS = 30;

export function openThreadShard(config: ShardConfig, events: ShardPortEvents): ShardPort {
  const worker = new Worker(new URL('./shard-thread.js', import.meta.url), {
    workerData: config,
    resourceLimits: { maxOldGenerationSizeMb: config.heapMb },
  });
  const waiting = new Map<number, (metrics: MetricList) => void>();
  let nextId = 0;
  let asked = false;
  let ended = false;
  let error = '';
  let drained: () => void = () => {};
  let missedBeats = 0;
  let everAnswered = false;

  worker.on('message', (message: Uint8Array | FromThread) => {
    if (message instanceof Uint8Array) events.onBatch(message);
    else if (message.type === 'metrics') {
      waiting.get(message.id)?.(message.metrics);
      waiting.delete(message.id);
    } else if (message.type === 'pong') {
      missedBeats = 0;
      everAnswered = true;
    } else drained();
  });
  worker.on('error', (cause) => {
    error ||= cause instanceof Error ? (cause.stack ?? cause.message) : String(cause);
  });
  worker.on('exit', (code) => {
    ended = true;
    drained();
    if (!asked) events.onExit(error || `exit code ${code}`);
  });

  return {
    post(batch) {
      if (!ended) worker.postMessage(batch, [batch.buffer as ArrayBuffer]);
    },
    metrics() {
      const id = nextId++;
      const answer = new Promise<MetricList>((resolve) => waiting.set(id, resolve));
      worker.postMessage({ type: 'metrics', id } satisfies ToThread);
      return withTimeout(answer, METRICS_TIMEOUT_MS, () => {
        waiting.delete(id);
        return new Error(`shard ${config.index} did not give its metrics within ${METRICS_TIMEOUT_MS} ms`);
      });
    },
    async drain(deadlineMs) {
      asked = true;
      if (ended) return;
      const answer = new Promise<void>((resolve) => (drained = resolve));
      worker.postMessage({ type: 'drain', deadlineMs } satisfies ToThread);
      await withTimeout(answer, deadlineMs + DRAIN_GRACE_MS, () => new Error('too late')).catch(() => {});
      await worker.terminate();
    },
    beat() {
      if (missedBeats === 0) worker.postMessage({ type: 'ping' } satisfies ToThread);
      return ++missedBeats > (everAnswered ? HUNG_BEATS : START_BEATS);
    },
    async kill(reason) {
      error ||= reason;
      await worker.terminate();
    },
  };
}
