/**
 * The threads that hold the clients, from the main thread's side: shares the clients out, gives orders to all at once, and takes in
 * what they report.
 */
import { MessageChannel, Worker } from 'node:worker_threads';
import { systemRandom } from '../base/random.ts';
import type { Millis } from '../base/time.ts';
import { LoadError } from './load-error.ts';
import type {
  Answer,
  Behaviour,
  ClientPlan,
  LoadPagePlan,
  Order,
  PaceCells,
  Report,
  ThreadPlan,
  WriterEnd,
} from './orders.ts';
import { makeMoments } from './shared.ts';

export interface CrewPlan {
  readonly threads: number;
  readonly url: string;
  readonly run: string;
  readonly pages: readonly LoadPagePlan[];
  readonly clients: readonly ClientPlan[];
  readonly behaviour: Behaviour;
}

/** Clients of one page stay together as long as pages are no fewer than threads; else a page is spread over all. */
export function shareOut(clients: readonly ClientPlan[], pages: number, threads: number): ClientPlan[][] {
  const shares: ClientPlan[][] = Array.from({ length: threads }, () => []);
  for (const [i, client] of clients.entries()) shares[(pages < threads ? i : client.page) % threads]!.push(client);
  return shares.filter((share) => share.length > 0);
} // prettier-ignore

interface Thread {
  readonly worker: Worker;
  readonly clients: number;
  hear(answer: Answer): void;
}

export class Crew {
  readonly #threads: Thread[] = [];
  readonly #pacer: Worker;
  readonly #pace: PaceCells;
  readonly #connected: number[] = [];
  #failure: Error | null = null;
  #fail: (error: Error) => void = () => {};
  #onReport: (thread: number, report: Report) => void;

  constructor(plan: CrewPlan, onReport: (thread: number, report: Report) => void) {
    this.#onReport = onReport;
    const writers = plan.clients.filter(({ kind }) => kind === 'writer').length;
    const moments = makeMoments(writers, plan.clients.length);
    const shares = shareOut(plan.clients, plan.pages.length, plan.threads);
    this.#pace = {
      nextDue: new SharedArrayBuffer(8 * shares.length),
      cells: new SharedArrayBuffer(4 * (2 + shares.length)),
    };
    new Float64Array(this.#pace.nextDue).fill(Infinity);
    const ports = shares.map((clients, thread) => {
      const { port1, port2 } = new MessageChannel();
      const { url, run, pages, behaviour } = plan;
      const share = behaviour.joinRate === null ? null : behaviour.joinRate / shares.length;
      const own: ThreadPlan = { thread, url, run, seed: systemRandom.uint32(), pages, clients, behaviour: { ...behaviour, joinRate: share }, moments, pace: this.#pace };
      const worker = new Worker(new URL('./swarm-thread.js', import.meta.url), { workerData: { plan: own, ticks: port2 }, transferList: [port2] });
      this.#add(thread, worker, clients.length);
      return port1;
    });
    this.#pacer = new Worker(new URL('./pacer-thread.js', import.meta.url), { workerData: { ...this.#pace, ports }, transferList: ports });
    this.#pacer.on('error', (error) => this.#failed(error));
  } // prettier-ignore

  #add(index: number, worker: Worker, clients: number): void {
    const thread: Thread = { worker, clients, hear: () => {} };
    this.#threads.push(thread);
    worker.on('message', (answer: Answer) => {
      if (answer.say === 'report') this.#onReport(index, answer);
      else if (answer.say === 'progress') this.#connected[index] = answer.connected;
      else if (answer.say === 'failed') {
        this.#failed(answer.isExpected ? new LoadError(answer.message) : new Error(answer.message));
      } else thread.hear(answer);
    });
    worker.on('error', (error) => this.#failed(error));
    worker.on('exit', () => this.#failed(new Error('a thread of the load generator ended')));
  }

  #failed(error: unknown): void {
    this.#failure ??= error instanceof Error ? error : new Error(String(error));
    this.#fail(this.#failure);
  }

  get connected(): number {
    return this.#connected.reduce((sum, one) => sum + one, 0);
  }

  get clientsByThread(): number[] {
    return this.#threads.map(({ clients }) => clients);
  }

  /** Tells all threads; resolves with their answers. */
  #tell<Say extends Answer['say']>(order: Order, say: Say): Promise<Extract<Answer, { say: Say }>[]> {
    if (this.#failure) return Promise.reject(this.#failure);
    return new Promise((resolve, reject) => {
      this.#fail = reject;
      const answers: Extract<Answer, { say: Say }>[] = [];
      for (const thread of this.#threads) {
        thread.hear = (answer) => {
          if (answer.say !== say) return;
          answers.push(answer as Extract<Answer, { say: Say }>);
          if (answers.length === this.#threads.length) resolve(answers);
        };
        thread.worker.postMessage(order);
      }
    });
  }

  async connect(): Promise<void> {
    await this.#tell({ do: 'connect' }, 'connected');
  }

  /** Rejects when a thread fails while edits are made. */
  start(measureFrom: Millis, measureTo: Millis): Promise<never> {
    for (const { worker } of this.#threads) worker.postMessage({ do: 'start', measureFrom, measureTo } satisfies Order);
    return new Promise((_, reject) => (this.#fail = reject));
  } // prettier-ignore

  async stop(patienceMs: Millis): Promise<{ writers: WriterEnd[]; joining: number }> {
    const answers = await this.#tell({ do: 'stop', patienceMs }, 'settled');
    const joining = answers.reduce((sum, answer) => sum + answer.joining, 0);
    return {
      writers: answers.flatMap(({ writers }) => writers).sort((a, b) => a.number - b.number),
      joining,
    };
  }

  async look(heads: readonly number[], patienceMs: Millis): Promise<{ behind: number; findings: string[] }> {
    const answers = await this.#tell({ do: 'look', heads, patienceMs }, 'looked');
    return {
      behind: answers.reduce((sum, { behind }) => sum + behind, 0),
      findings: answers.flatMap(({ findings }) => findings),
    };
  }

  async end(): Promise<void> {
    this.#fail = () => {};
    this.#onReport = () => {};
    const cells = new Int32Array(this.#pace.cells);
    Atomics.store(cells, 1, 1);
    Atomics.add(cells, 0, 1);
    Atomics.notify(cells, 0);
    await Promise.all([...this.#threads.map(({ worker }) => worker), this.#pacer].map((worker) => worker.terminate())); // prettier-ignore
  }
}
