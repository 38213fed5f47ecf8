/**
 * Virtual time: a queue of events, each at its ms, and nothing in between. Events of the same ms happen in the order in
 * which they were planned. Between two events all microtasks run, so that what an event resolved has had its effect
 * before the next one comes: that is what makes a run a function of its seed.
 */
import type { Clock, Millis, Timer } from '../../src/base/time.ts';

interface Planned {
  readonly at: Millis;
  readonly order: number;
  callback: (() => void) | null;
}

/** Wall time at the start of every run. */
export const START_MS = 1_767_225_600_000;
/** How many events are handed to the event loop at once. */
const BATCH = 64;

export class Timeline {
  now: Millis = 0;
  events = 0;
  #order = 0;
  readonly #heap: Planned[] = [];

  at(time: Millis, callback: () => void): Timer {
    const planned: Planned = { at: Math.max(time, this.now), order: this.#order++, callback };
    push(this.#heap, planned);
    return { cancel: () => void (planned.callback = null) };
  }

  after(delayMs: Millis, callback: () => void): Timer {
    return this.at(this.now + Math.max(0, delayMs), callback);
  }

  /** Lets the next event happen; false when there is none. */
  step(): boolean {
    for (;;) {
      const next = pop(this.#heap);
      if (!next) return false;
      const { callback } = next;
      if (!callback) continue;
      this.now = next.at;
      this.events++;
      callback();
      return true;
    }
  }

  /**
   * Lets events happen until `done` says so, or there are none left. The event loop runs all microtasks after each
   * immediate; several at a time spare its other phases, in which nothing of ours waits.
   */
  run(done: () => boolean): Promise<void> {
    return new Promise((resolve, reject) => {
      let over = false;
      const one = () => {
        if (over) return;
        try {
          if (!done() && this.step()) return;
          over = true;
          resolve();
        } catch (error) {
          over = true;
          reject(error as Error);
        }
      };
      const batch = () => {
        if (over) return;
        for (let i = 0; i < BATCH; i++) setImmediate(one);
        setImmediate(batch);
      };
      batch();
    });
  }
}

/** What one process sees of time: its own wall clock, which may be wrong and step; nothing any more when it is dead. */
export class ProcessClock implements Clock {
  readonly #timeline: Timeline;
  readonly #isAlive: () => boolean;
  /** What the wall clock shows beyond the true time. */
  skewMs: Millis;

  constructor(timeline: Timeline, skewMs: Millis, isAlive: () => boolean) {
    this.#timeline = timeline;
    this.skewMs = skewMs;
    this.#isAlive = isAlive;
  }

  now(): Millis {
    return Math.floor(START_MS + this.#timeline.now + this.skewMs);
  }

  monotonic(): Millis {
    return this.#timeline.now;
  }

  after(delayMs: Millis, callback: () => void): Timer {
    return this.#timeline.after(delayMs, () => this.#isAlive() && callback());
  }
}

/** Things that arrive in the order in which they were sent, each after its own delay. */
export class Lane {
  readonly #timeline: Timeline;
  #lastAt: Millis = 0;

  constructor(timeline: Timeline) {
    this.#timeline = timeline;
  }

  send(delayMs: Millis, arrive: () => void): Millis {
    this.#lastAt = Math.max(this.#lastAt, this.#timeline.now + delayMs);
    this.#timeline.at(this.#lastAt, arrive);
    return this.#lastAt;
  }
}

const isBefore = (a: Planned, b: Planned) => a.at < b.at || (a.at === b.at && a.order < b.order);

function push(heap: Planned[], planned: Planned): void {
  let at = heap.length;
  heap.push(planned);
  while (at > 0) {
    const parent = (at - 1) >> 1;
    if (!isBefore(planned, heap[parent]!)) break;
    heap[at] = heap[parent]!;
    at = parent;
  }
  heap[at] = planned;
}

function pop(heap: Planned[]): Planned | undefined {
  const top = heap[0];
  const last = heap.pop();
  if (!last || heap.length === 0) return top;
  let at = 0;
  for (;;) {
    let child = 2 * at + 1;
    if (child >= heap.length) break;
    if (child + 1 < heap.length && isBefore(heap[child + 1]!, heap[child]!)) child++;
    if (!isBefore(heap[child]!, last)) break;
    heap[at] = heap[child]!;
    at = child;
  }
  heap[at] = last;
  return top;
}
