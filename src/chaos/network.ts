/**
 * The network between the processes of a run: links that fail when told to, and a load balancer in front of the nodes. All of
 * it runs in a thread of its own (`network-thread.ts`).
 */
import { Worker } from 'node:worker_threads';
import type { LinkState } from './link.ts';
import type { NetworkOrder } from './network-thread.ts';

export class Network {
  readonly #worker = new Worker(new URL('./network-thread.js', import.meta.url));
  readonly #waiting = new Map<number, { answered(answer: unknown): void; failed(error: Error): void }>();
  #nextId = 1;
  #ended: Error | null = null;

  constructor() {
    this.#worker.on('message', ({ id, answer }: { id: number; answer: unknown }) => {
      this.#waiting.get(id)?.answered(answer);
      this.#waiting.delete(id);
    });
    this.#worker.on('error', (error) => this.#end(error));
    this.#worker.on('exit', () => this.#end(new Error('the thread of the network ended')));
  }

  #end(error: Error): void {
    this.#ended ??= error;
    for (const { failed } of this.#waiting.values()) failed(this.#ended);
    this.#waiting.clear();
  }

  #ask(order: NetworkOrder): Promise<unknown> {
    if (this.#ended) return Promise.reject(this.#ended);
    return new Promise((answered, failed) => {
      const id = this.#nextId++;
      this.#waiting.set(id, { answered, failed });
      this.#worker.postMessage({ id, order });
    });
  }

  /** Opens a link to a port, or (null) to whichever node the balancer chooses; resolves with the port to connect to. */
  open(link: string, to: number | null): Promise<number> {
    return this.#ask({ do: 'open', link, to }) as Promise<number>;
  }

  async set(link: string, state: LinkState): Promise<void> {
    await this.#ask({ do: 'set', link, state });
  }

  async heal(link: string): Promise<void> {
    await this.#ask({ do: 'heal', link });
  }

  /** The links that lead to this port now. */
  leadTo(port: number): Promise<string[]> {
    return this.#ask({ do: 'leadTo', port }) as Promise<string[]>;
  }

  /** Tells the balancer where the nodes listen; resolves when it knows which of them are ready. */
  async nodes(ports: readonly number[]): Promise<void> {
    await this.#ask({ do: 'nodes', ports });
  }

  /** Ends the thread, and with it all that it has open: nothing in it has to agree. */
  async close(): Promise<void> {
    await this.#worker.terminate();
  }
}
