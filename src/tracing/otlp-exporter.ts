/**
 * Sends spans to a collector, by OTLP over HTTP with JSON, in the background and as far as it takes them. Nothing waits for
 * it: the queue is bounded, one request is under way at a time and has a timeout, and what cannot be sent is dropped and counted.
 *
 *      add ──▶ queue ──when there are many, or after a while──▶ request ──taken──▶ exported
 *               └─full: dropped                                   │ └──refused for good──▶ dropped
 *                                              back-off, jitter ◀─┘ no answer, 429, 502, 503, 504; not for ever: dropped
 */
import type { Log } from '../base/log.ts';
import { backoffMs, type Random } from '../base/random.ts';
import type { Clock, Millis, Timer } from '../base/time.ts';
import type { DatedSpan } from './otlp-json.ts';

/** Why spans are not exported: no room, the collector does not take them, does not answer, or the server stops. */
export const DROPPED = ['full', 'refused', 'unreachable', 'stopped'] as const;

/** For the metrics. */
export interface SpanCounts {
  exported(spans: number): void;
  dropped(spans: number, why: (typeof DROPPED)[number]): void;
}

export interface OtlpExporterOptions {
  /** Of traces: ends in /v1/traces. */
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly encode: (spans: readonly DatedSpan[]) => string;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly counts: SpanCounts;
}

const QUEUE_MAX = 4096;
const BATCH_MAX = 512;
const WAIT_MS: Millis = 1000;
const TIMEOUT_MS: Millis = 10_000;
const ATTEMPTS_MAX = 5;
const RETRY_MS = { first: 1000, max: 30_000 };
const RETRYABLE = new Set([408, 429, 502, 503, 504]);

type Outcome = 'taken' | 'refused' | 'later';

export class OtlpExporter {
  readonly #options: OtlpExporterOptions;
  #queue: DatedSpan[] = [];
  /** Being sent, or waiting to be sent again. */
  #batch: DatedSpan[] = [];
  #attempt = 0;
  #timer: Timer | undefined;
  #request: AbortController | undefined;
  #isAway = false;
  #closing = false;
  #drained: () => void = () => {};

  constructor(options: OtlpExporterOptions) {
    this.#options = options;
  }

  add(spans: readonly DatedSpan[]): void {
    const room = this.#closing ? 0 : QUEUE_MAX - this.#queue.length;
    const taken = spans.slice(0, room);
    this.#queue.push(...taken);
    if (taken.length < spans.length)
      this.#options.counts.dropped(spans.length - taken.length, this.#closing ? 'stopped' : 'full');
    if (this.#batch.length > 0 || this.#queue.length === 0) return;
    if (this.#queue.length >= BATCH_MAX) this.#next();
    else this.#timer ??= this.#options.clock.after(WAIT_MS, () => this.#next());
  }

  /** Sends what there is, as far as the collector takes it within `withinMs`; then no more. */
  async close(withinMs: Millis): Promise<void> {
    this.#closing = true;
    let timer: Timer | undefined;
    const late = new Promise<void>((resolve) => (timer = this.#options.clock.after(withinMs, resolve)));
    const drained = new Promise<void>((resolve) => (this.#drained = resolve));
    if (this.#request === undefined) this.#next();
    await Promise.race([drained, late]);
    timer?.cancel();
    this.#timer?.cancel();
    this.#request?.abort();
    const left = this.#queue.length + this.#batch.length;
    if (left > 0) this.#options.counts.dropped(left, 'stopped');
    this.#queue = [];
    this.#batch = [];
  }

  #next(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    if (this.#batch.length === 0) this.#batch = this.#queue.splice(0, BATCH_MAX);
    if (this.#batch.length === 0) return this.#drained();
    void this.#send(this.#batch);
  }

  async #send(batch: DatedSpan[]): Promise<void> {
    const { clock, random, counts } = this.#options;
    const { outcome, rejected, retryAfterMs } = await this.#post(batch);
    // Closed meanwhile, and counted.
    if (this.#batch !== batch) return;
    if (outcome === 'later' && ++this.#attempt < ATTEMPTS_MAX && !this.#closing) {
      const delayMs = retryAfterMs ?? backoffMs(random, this.#attempt - 1, RETRY_MS.first, RETRY_MS.max);
      this.#timer = clock.after(delayMs, () => this.#next());
      return;
    }
    if (outcome === 'taken') counts.exported(batch.length - rejected);
    if (outcome !== 'later' && rejected > 0) counts.dropped(rejected, 'refused');
    if (outcome === 'later') counts.dropped(batch.length, 'unreachable');
    this.#attempt = 0;
    this.#batch = [];
    if (outcome === 'later' && this.#closing) return this.#drained();
    if (this.#closing || this.#queue.length >= BATCH_MAX) this.#next();
    else if (this.#queue.length > 0) this.#timer = clock.after(WAIT_MS, () => this.#next());
  }

  /** `rejected`: of the spans that were answered for, how many were not taken. */
  async #post(batch: readonly DatedSpan[]): Promise<{ outcome: Outcome; rejected: number; retryAfterMs?: Millis }> {
    const { url, headers, encode, clock } = this.#options;
    const request = new AbortController();
    this.#request = request;
    const timer = clock.after(TIMEOUT_MS, () => request.abort());
    try {
      const response = await fetch(url, {
        method: 'POST',
        headers: { ...headers, 'content-type': 'application/json' },
        body: encode(batch),
        signal: request.signal,
        redirect: 'error',
      });
      const text = await response.text();
      if (response.ok) {
        this.#back();
        return { outcome: 'taken', rejected: Math.min(batch.length, rejectedIn(text)) };
      }
      this.#away(`the collector answers ${response.status}`);
      if (!RETRYABLE.has(response.status)) return { outcome: 'refused', rejected: batch.length };
      const seconds = Number(response.headers.get('retry-after'));
      return { outcome: 'later', rejected: 0, ...(seconds > 0 && { retryAfterMs: Math.min(seconds * 1000, RETRY_MS.max) }) };
    } catch (error) {
      // The outside world: nobody there, or no answer in time.
      this.#away(request.signal.aborted ? 'no answer in time' : reasonOf(error));
      return { outcome: 'later', rejected: 0 };
    } finally {
      timer.cancel();
      this.#request = undefined;
    }
  } // prettier-ignore

  /** Once an outage. */
  #away(reason: string): void {
    if (this.#isAway || this.#closing) return;
    this.#isAway = true;
    this.#options.log.warn({ reason }, 'traces cannot be exported: they are dropped until they can');
  }

  #back(): void {
    if (this.#isAway) this.#options.log.info({}, 'traces are exported again');
    this.#isAway = false;
  }
}

/** The address may hold a password, and an error its address: the code alone. */
function reasonOf(error: unknown): string {
  const { code, name } = ((error as Error).cause ?? error) as { code?: unknown; name?: unknown };
  return String(code ?? name ?? 'the request failed');
}

/** OTLP's partial success. */
function rejectedIn(text: string): number {
  try {
    const { partialSuccess } = JSON.parse(text) as { partialSuccess?: { rejectedSpans?: unknown } };
    return Math.max(0, Number(partialSuccess?.rejectedSpans ?? 0)) || 0;
  } catch {
    // Not JSON, or nothing: taken as a whole.
    return 0;
  }
}
