/**
 * One run of the load: typists of any protocol type in a closed or an open loop; what reaches the listeners is counted
 * and timed. An edit counts when a listener hears it; its latency runs from the moment at which it was due.
 */
import { Worker } from 'node:worker_threads';
import { percentile } from '../lib/figures.ts';
import { must } from '../lib/must.ts';
import type { Answer, LoadMode, RunResult } from './orders.ts';
import type { PacerData } from './pacer.ts';

const SETTLE_MS = 60_000;
/** Edits under way past which an open loop is given up. */
const OUTSTANDING_MAX = 100_000;

/** A client of a page: one that types, one that only listens, mostly both. */
export interface Typist {
  /** Characters typed since it connected. */
  readonly typed: number;
  /** Of what it typed and of what it listens to: how much has not reached it. */
  readonly outstanding: number;
  /** Types one character that was due at `dueAt`; it leaves with `flush`. */
  type(dueAt: number, wallMs: number): void;
  flush(): void;
  /** From now on what arrives is what is typed: the page's past is over. */
  listen(): void;
  /** After a run: that what it was sent adds up to the right text, as far as it kept it. */
  verify?(): void;
  close(): void;
}

export interface Hearing {
  /** An edit came back to the client that typed it. */
  own(client: Typist): void;
  /** An edit, due at `dueAt`, reached a listener. */
  fromPrevious(dueAt: number): void;
}

const answer = (message: Answer) => process.send!(message);
const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

class Samples {
  #values = new Float64Array(1 << 16);
  #count = 0;

  add(value: number): void {
    if (this.#count === this.#values.length) {
      const larger = new Float64Array(2 * this.#count);
      larger.set(this.#values);
      this.#values = larger;
    }
    this.#values[this.#count++] = value;
  }

  sorted(): Float64Array {
    return this.#values.slice(0, this.#count).sort();
  }
}

export class Run implements Hearing {
  readonly #mode: LoadMode;
  readonly #clients: readonly Typist[];
  readonly #all: readonly Typist[];
  readonly #latencies = new Samples();
  readonly #late = new Samples();
  #sending = true;
  #windowFrom = Infinity;
  #windowTo = Infinity;
  #accepted = 0;
  #saturated = false;

  /** `clients` type in turn; `all` are waited for. */
  constructor(mode: LoadMode, clients: readonly Typist[], all: readonly Typist[]) {
    this.#mode = mode;
    this.#clients = clients;
    this.#all = all;
  }

  own(client: Typist): void {
    if (this.#sending && this.#mode.kind === 'closed') client.type(performance.now(), Date.now());
  }

  fromPrevious(dueAt: number): void {
    const now = performance.now();
    if (now >= this.#windowFrom && now < this.#windowTo) this.#accepted++;
    if (dueAt >= this.#windowFrom && dueAt < this.#windowTo) this.#latencies.add(now - dueAt);
  }

  async execute(warmUpMs: number, measureMs: number): Promise<Omit<RunResult, 'typed'>> {
    const stop = this.#mode.kind === 'closed' ? this.#startClosed(this.#mode.inFlight) : this.#startOpen(this.#mode.perSecond);
    await sleep(warmUpMs);
    this.#windowFrom = performance.now();
    answer({ type: 'measuring' });
    await sleep(measureMs);
    this.#windowTo = performance.now();
    answer({ type: 'measured' });
    this.#sending = false;
    await stop();
    await this.#settle();
    const latencies = this.#latencies.sorted();
    return {
      accepted: this.#accepted,
      seconds: (this.#windowTo - this.#windowFrom) / 1000,
      p50: percentile(latencies, 0.5),
      p99: percentile(latencies, 0.99),
      max: latencies.at(-1) ?? NaN,
      lateP99: percentile(this.#late.sorted(), 0.99),
      saturated: this.#saturated,
    };
  } // prettier-ignore

  #startClosed(inFlight: number): () => Promise<void> {
    for (const client of this.#clients) {
      for (let i = 0; i < inFlight; i++) client.type(performance.now(), Date.now());
      client.flush();
    }
    return async () => {};
  }

  #startOpen(perSecond: number): () => Promise<void> {
    const intervalMs = 1000 / perSecond;
    const cells = new Int32Array(new SharedArrayBuffer(8));
    const start = performance.now();
    const workerData: PacerData = { startNs: process.hrtime.bigint(), intervalMs, cells };
    const pacer = new Worker(new URL('./pacer.js', import.meta.url), { workerData });
    let next = 1;
    let outstandingChecked = 0;
    pacer.on('message', () => {
      Atomics.store(cells, 0, 0);
      if (!this.#sending) return;
      const wallMs = Date.now();
      for (let now = performance.now(); start + next * intervalMs <= now; next++) {
        const dueAt = start + next * intervalMs;
        const client = this.#clients[next % this.#clients.length]!;
        client.type(dueAt, wallMs);
        client.flush();
        now = performance.now();
        if (dueAt >= this.#windowFrom) this.#late.add(now - dueAt);
      }
      if (next - outstandingChecked < 10_000) return;
      outstandingChecked = next;
      if (this.#outstanding() > OUTSTANDING_MAX) {
        this.#saturated = true;
        this.#sending = false;
      }
    });
    return async () => {
      Atomics.store(cells, 1, 1);
      Atomics.notify(cells, 1);
      await new Promise((resolve) => pacer.once('exit', resolve));
    };
  }

  #outstanding(): number {
    let sum = 0;
    for (const { outstanding } of this.#all) sum += outstanding;
    return sum;
  }

  async #settle(): Promise<void> {
    for (const until = performance.now() + SETTLE_MS; this.#outstanding() > 0;) {
      must(
        performance.now() < until,
        `all edits arrive within ${SETTLE_MS} ms; ${this.#outstanding()} did not`,
      );
      await sleep(5);
    }
  }
}
