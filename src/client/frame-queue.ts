/**
 * What is to be sent on the connection of now: leaves in one go at the end of the turn, as far as the socket takes it and
 * the rates of the server allow; the rest a little later. Without a connection it is dropped: pages say everything again on
 * a new one.
 */
import type { Clock, Millis } from '../base/time.ts';
import { encodeClientMessage } from '../protocol/encode.ts';
import { defaultLimits, type Limits } from '../protocol/limits.ts';
import type { ClientMessage } from '../protocol/messages.ts';
import type { Dial } from './dial.ts';
import { Pace } from './pace.ts';

/** Above this, pages hold back what they have. */
const CONGESTED_BYTES = 1 << 20;
const DRAIN_POLL_MS = 20;

export class FrameQueue {
  readonly #clock: Clock;
  /** Where to; null: nowhere just now. */
  readonly #dial: () => Dial | null;
  /** There is room to send again. */
  readonly #drained: () => void;
  #pace: Pace;
  #frames: Uint8Array[] = [];
  #bytes = 0;
  #flushing = false;

  constructor(clock: Clock, dial: () => Dial | null, drained: () => void) {
    [this.#clock, this.#dial, this.#drained] = [clock, dial, drained];
    this.#pace = new Pace(defaultLimits, clock.monotonic());
  }

  /** A new connection, with these rates. */
  setLimits(limits: Limits): void {
    this.#pace = new Pace(limits, this.#clock.monotonic());
  }

  /** 0: a change may be sent now, and is counted; else the ms until one may. */
  takeChange(): Millis {
    return this.#pace.takeChange(this.#clock.monotonic());
  }

  get congested(): boolean {
    return this.#bytes + (this.#dial()?.bufferedAmount ?? 0) > CONGESTED_BYTES;
  }

  clear(): void {
    this.#frames = [];
    this.#bytes = 0;
  }

  add(message: ClientMessage): void {
    if (!this.#dial()) return;
    const bytes = encodeClientMessage(message);
    this.#frames.push(bytes);
    this.#bytes += bytes.length;
    if (this.#flushing) return;
    this.#flushing = true;
    queueMicrotask(() => this.flush());
  }

  flush(): void {
    const dial = this.#dial();
    if (!dial) {
      this.#flushing = false;
      return;
    }
    let sent = 0;
    let waitMs = 0;
    while (sent < this.#frames.length && dial.bufferedAmount <= 4 * CONGESTED_BYTES) {
      const bytes = this.#frames[sent]!;
      waitMs = this.#pace.takeFrame(bytes.length, this.#clock.monotonic());
      if (waitMs > 0) break;
      sent++;
      this.#bytes -= bytes.length;
      dial.send(bytes);
    }
    if (sent === this.#frames.length) this.#frames = [];
    else this.#frames.splice(0, sent);
    this.#flushing = this.#frames.length > 0 || this.congested;
    if (this.#flushing) {
      this.#clock.after(Math.max(DRAIN_POLL_MS, waitMs), () => {
        this.flush();
        if (!this.congested) this.#drained();
      });
    }
  }
}
