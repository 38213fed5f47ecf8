/**
 * Time as a parameter. Everything that asks for the time or wants to be called later takes a `Clock`; the one
 * place that touches the system's is here, so that a test or a simulation replays a run from its seed.
 */

export type Millis = number;

export interface Timer {
  cancel(): void;
}

export interface Clock {
  /** Wall clock, ms since 1970. May step back; never use it to measure a duration. */
  now(): Millis;
  /** Monotonic, ms with fractions, from an arbitrary origin, which all threads of a process share. */
  monotonic(): Millis;
  /** Calls `callback` once, after `delayMs`. Does not keep a Node.js process alive. */
  after(delayMs: Millis, callback: () => void): Timer;
}

const hrtime = (globalThis.process as { hrtime?: { bigint?(): bigint } } | undefined)?.hrtime?.bigint;

/**
 * `performance.now()` begins with each thread; a browser, which has none of ours, needs no more than that. The two clocks are read
 * one after the other, and whatever comes in between makes the difference smaller: the largest of some is the true one.
 */
function threadOrigin(): Millis {
  if (!hrtime) return 0;
  let origin = -Infinity;
  for (let i = 0; i < 16; i++) origin = Math.max(origin, Number(hrtime()) / 1e6 - performance.now());
  return origin;
}

const threadOriginMs = threadOrigin();

export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => threadOriginMs + performance.now(),
  after(delayMs, callback) {
    const handle = setTimeout(callback, delayMs) as unknown as { unref?: () => void };
    handle.unref?.();
    return { cancel: () => clearTimeout(handle as never) };
  },
};

/** Resolves after `delayMs`; unlike `Clock.after` it keeps a Node.js process alive. For commands and the edge only. */
export function sleep(delayMs: Millis): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, delayMs));
}

/** Runs `callback` after the current turn's input has been handled: once per loop turn in Node.js. */
export function endOfTurn(callback: () => void): void {
  if (typeof setImmediate === 'function') setImmediate(callback);
  else setTimeout(callback, 0);
}

/** Settles like `promise`, or rejects with `onTimeout()` after `delayMs`. */
export function withTimeout<T>(promise: Promise<T>, delayMs: Millis, onTimeout: () => Error): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    const handle = setTimeout(() => reject(onTimeout()), delayMs);
    promise.then(resolve, reject).finally(() => clearTimeout(handle));
  });
}

/** What to add to this thread's `monotonic` for a time that all threads of a Node.js process share. */
export function threadOffsetMs(): Millis {
  return Number(process.hrtime.bigint()) / 1e6 - performance.now();
}
