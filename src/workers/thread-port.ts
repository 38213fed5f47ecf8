/**
 * A shard in a worker thread. Each batch is one transferred buffer. Control messages (metrics, drain) are few and go as
 * plain objects on the same port; see `shard-thread.ts` for the other side.
 */
import { Worker } from 'node:worker_threads';
import { withTimeout } from '../base/time.ts';
import type { PageFigures } from '../actors/page-figures.ts';
import type { MetricList } from './merged-metrics.ts';
import type { PagesQuery, ShardConfig, ShardPort, ShardPortEvents } from './port.ts';

export type ToThread =
  | { readonly type: 'metrics'; readonly id: number }
  | { readonly type: 'pages'; readonly id: number; readonly query: PagesQuery }
  | { readonly type: 'drain'; readonly deadlineMs: number }
  | { readonly type: 'ping' };
export type FromThread =
  | { readonly type: 'answer'; readonly id: number; readonly answer: unknown }
  | { readonly type: 'drained' }
  | { readonly type: 'pong' };

const ANSWER_TIMEOUT_MS = 2000;
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
  const waiting = new Map<number, (answer: unknown) => void>();
  let nextId = 0;
  let asked = false;
  let ended = false;
  let error = '';
  let drained: () => void = () => {};
  let missedBeats = 0;
  let everAnswered = false;

  worker.on('message', (message: Uint8Array | FromThread) => {
    if (message instanceof Uint8Array) events.onBatch(message);
    else if (message.type === 'answer') {
      waiting.get(message.id)?.(message.answer);
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

  /** What the thread answers, which is of the type that its side has for it. */
  function ask<Answer>(question: (id: number) => ToThread): Promise<Answer> {
    const id = nextId++;
    const answer = new Promise<unknown>((resolve) => waiting.set(id, resolve));
    worker.postMessage(question(id));
    return withTimeout(answer as Promise<Answer>, ANSWER_TIMEOUT_MS, () => {
      waiting.delete(id);
      return new Error(`shard ${config.index} did not answer within ${ANSWER_TIMEOUT_MS} ms`);
    });
  }

  return {
    post(batch) {
      if (!ended) worker.postMessage(batch, [batch.buffer as ArrayBuffer]);
    },
    metrics: () => ask<MetricList>((id) => ({ type: 'metrics', id })),
    pages: (query) => ask<PageFigures[]>((id) => ({ type: 'pages', id, query })),
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
