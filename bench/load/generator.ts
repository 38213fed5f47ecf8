/**
 * The load generator: a process of its own, so that its CPU time is not the server's. Takes orders from the measuring
 * process (`orders.ts`), holds the typing clients, and runs closed and open loops with them. A failed check ends it.
 */
import { Worker } from 'node:worker_threads';
import { percentile } from '../lib/figures.ts';
import { must } from '../lib/must.ts';
import { type Hearing, TypingClient } from './load-client.ts';
import type { Answer, LoadMode, LoadPage, Order, RunResult } from './orders.ts';
import type { PacerData } from './pacer.ts';

const CONNECTS_AT_ONCE = 20;
const SETTLE_MS = 30_000;
/** Edits under way past which an open loop is given up. */
const OUTSTANDING_MAX = 100_000;

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

class Run implements Hearing {
  readonly #mode: LoadMode;
  readonly #clients: readonly TypingClient[];
  readonly #latencies = new Samples();
  readonly #late = new Samples();
  #sending = true;
  #windowFrom = Infinity;
  #windowTo = Infinity;
  #accepted = 0;
  #saturated = false;

  constructor(mode: LoadMode, clients: readonly TypingClient[]) {
    this.#mode = mode;
    this.#clients = clients;
  }

  own(client: TypingClient): void {
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
    for (const client of this.#clients)
      sum += Math.max(client.typed - client.echoed, client.typed - client.heard);
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

let pages: TypingClient[][] = [];
let run: Run | undefined;
const hearing: Hearing = {
  own: (client) => run?.own(client),
  fromPrevious: (dueAt) => run?.fromPrevious(dueAt),
};

async function connect(plans: readonly LoadPage[]): Promise<void> {
  pages = plans.map(() => []);
  const all = plans.flatMap(({ page, clients }, i) => clients.map((client, slot) => ({ page, client, slot, slots: clients.length, i })));
  for (let at = 0; at < all.length; at += CONNECTS_AT_ONCE) {
    const some = all.slice(at, at + CONNECTS_AT_ONCE);
    await Promise.all(some.map(({ page, client, slot, slots, i }) => TypingClient.open(page, client, slot, slots, pages[i]!, hearing)));
  }
  // The pages' past may still be under way.
  await sleep(200);
  for (const client of pages.flat()) client.listen();
} // prettier-ignore

async function obey(order: Order): Promise<void> {
  switch (order.type) {
    case 'connect':
      await connect(order.pages);
      return void answer({ type: 'connected' });
    case 'run': {
      // Slot by slot, so that edits due one after another go to different pages.
      const clients = pages[0]!.flatMap((_, slot) => pages.map((page) => page[slot]!));
      run = new Run(order.mode, clients);
      const result = await run.execute(order.warmUpMs, order.measureMs);
      const typed = pages.map((page) => page.map((client) => client.typed));
      return void answer({ type: 'done', result: { ...result, typed } });
    }
    case 'disconnect':
      for (const client of pages.flat()) client.close();
      pages = [];
      return void answer({ type: 'disconnected' });
  }
}

function failed(error: unknown): void {
  answer({ type: 'failed', reason: error instanceof Error ? (error.stack ?? error.message) : String(error) });
  setTimeout(() => process.exit(1), 100);
}

process.on('uncaughtException', failed);
process.on('message', (order: Order) => void obey(order).catch(failed));
process.on('disconnect', () => process.exit(0));
