/**
 * What is due next, of all that the clients of a thread do: a heap of moments, worked off when the pacer says so. What is late
 * is done at once, and keeps the moment when it was due: latency counts from there, whatever held it up.
 */
import type { MessagePort } from 'node:worker_threads';
import type { Millis } from '../base/time.ts';
import type { PaceCells } from './orders.ts';

/** Does what was due at `dueAt`, and tells when it is due again; Infinity: never. */
export type Doing = (dueAt: Millis) => Millis;

/** Done in one go at most: sockets have to be read too. */
const BATCH = 64;

export class Schedule {
  readonly #heap: { due: Millis; readonly doing: Doing }[] = [];
  readonly #now: () => Millis;
  readonly #nextDue: Float64Array;
  readonly #cells: Int32Array;
  readonly #thread: number;
  #stopped = false;

  constructor({ nextDue, cells }: PaceCells, thread: number, ticks: MessagePort, now: () => Millis) {
    this.#nextDue = new Float64Array(nextDue);
    this.#cells = new Int32Array(cells);
    this.#thread = thread;
    this.#now = now;
    ticks.on('message', () => this.#tick());
  }

  /** Does it first at `due`. Call `begin` when all that begins now has been added. */
  add(due: Millis, doing: Doing): void {
    const heap = this.#heap;
    let at = heap.push({ due, doing }) - 1;
    for (let up = (at - 1) >> 1; at > 0 && heap[up]!.due > heap[at]!.due; at = up, up = (at - 1) >> 1) {
      [heap[at], heap[up]] = [heap[up]!, heap[at]!];
    }
  }

  begin(): void {
    this.#stopped = false;
    this.#wait();
  }

  stop(): void {
    this.#stopped = true;
    this.#heap.length = 0;
    this.#wait();
  }

  #tick(): void {
    const heap = this.#heap;
    for (let left = BATCH; left > 0 && heap.length > 0 && heap[0]!.due <= this.#now(); left--) {
      const top = heap[0]!;
      const again = top.doing(top.due);
      // What it did may have ended all.
      if (this.#stopped) break;
      top.due = again;
      this.#sink();
      while (heap.length > 0 && heap[0]!.due === Infinity) this.#dropTop();
    }
    this.#wait();
  }

  #dropTop(): void {
    const last = this.#heap.pop()!;
    if (this.#heap.length === 0) return;
    this.#heap[0] = last;
    this.#sink();
  }

  #sink(): void {
    const heap = this.#heap;
    for (let at = 0; ;) {
      const left = 2 * at + 1;
      if (left >= heap.length) return;
      const least = left + 1 < heap.length && heap[left + 1]!.due < heap[left]!.due ? left + 1 : left;
      if (heap[at]!.due <= heap[least]!.due) return;
      [heap[at], heap[least]] = [heap[least]!, heap[at]!];
      at = least;
    }
  }

  /** Tells the pacer when to come again. */
  #wait(): void {
    this.#nextDue[this.#thread] = this.#heap[0]?.due ?? Infinity;
    Atomics.store(this.#cells, 2 + this.#thread, 0);
    Atomics.add(this.#cells, 0, 1);
    Atomics.notify(this.#cells, 0);
  }
}
