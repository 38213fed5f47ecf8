/**
 * The changes of one writer that have no answer yet, as frames, so that they can be sent again as they were. Numbers are those of
 * the protocol: n from 1, without holes; a refusal of n refuses all that were sent behind it.
 */
import type { Millis } from '../base/time.ts';
import { changeFrame } from './wire.ts';

export class WriterOutbox {
  readonly #frames: (Buffer | undefined)[] = [];
  /** Index of the first frame without an answer; those before it are let go of now and then. */
  #from = 0;
  #stampMs: Millis = 0;
  #stampCounter = 0;
  /** The newest number that was given. */
  made = 0;
  /** All up to here are durable. */
  acknowledged = 0;
  /** All up to here have been written to the present socket. */
  sent = 0;

  get pending(): number {
    return this.made - this.acknowledged;
  }

  /** Gives the ops the next number and, if they were made at this server's time, their stamp. */
  add(ops: Uint8Array, serverNow: Millis): number {
    const ms = Math.floor(serverNow);
    if (ms > this.#stampMs) {
      this.#stampMs = ms;
      this.#stampCounter = 0;
    } else if (++this.#stampCounter > 0xffff) {
      this.#stampMs++;
      this.#stampCounter = 0;
    }
    this.#frames.push(changeFrame(++this.made, this.#stampMs, this.#stampCounter, ops));
    return this.made;
  }

  /** All up to `n` are in the log; calls `each` for those of which that was not known. */
  acknowledge(n: number, each: (n: number) => void): void {
    const to = Math.min(n, this.made);
    while (this.acknowledged < to) {
      this.#frames[this.#from++] = undefined;
      each(++this.acknowledged);
    }
    if (this.sent < this.acknowledged) this.sent = this.acknowledged;
    if (this.#from > 512 && this.#from * 2 > this.#frames.length) {
      this.#frames.splice(0, this.#from);
      this.#from = 0;
    }
  }

  /** The frames that are to be written to the present socket, in order, so that at most `window` are without an answer. */
  takeUnsent(window = Infinity): Buffer[] {
    const first = this.#from + this.sent - this.acknowledged;
    const count = Math.max(0, Math.min(this.made, this.acknowledged + window) - this.sent);
    const frames = this.#frames.slice(first, first + count) as Buffer[];
    this.sent += count;
    return frames;
  }

  /** `n` and all behind it have to be sent again. */
  rewind(n: number): void {
    this.sent = Math.max(this.acknowledged, Math.min(this.sent, n - 1));
  }
}
