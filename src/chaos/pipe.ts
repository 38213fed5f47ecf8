/**
 * One direction of a proxied connection: takes bytes from one socket and gives them to the other, in order, later if the
 * link is slow, never if the link loses them. Used by `link.ts`.
 */
import type { Socket } from 'node:net';
import type { Clock, Millis, Timer } from '../base/time.ts';

/** Up: from who connects to whom it connects to. */
export type Direction = 'up' | 'down';

export interface Slowness {
  readonly delayMs: Millis;
  readonly bytesPerSecond: number;
}

export interface PipeWays {
  slowness(): Slowness | null;
  /** Asked for each piece, the end of the stream too. */
  isLost(): boolean;
}

/** As much as this is on its way in a slow link; then who sends has to wait. */
const HELD_BYTES_MAX = 256 << 10;

export class Pipe {
  readonly #from: Socket;
  readonly #to: Socket;
  readonly #clock: Clock;
  readonly #ways: PipeWays;
  #held: { readonly bytes: Buffer; readonly due: Millis }[] = [];
  #heldBytes = 0;
  #lastDue: Millis = 0;
  #timer: Timer | null = null;
  #ended = false;

  constructor(from: Socket, to: Socket, clock: Clock, ways: PipeWays) {
    this.#from = from;
    this.#to = to;
    this.#clock = clock;
    this.#ways = ways;
    from.on('data', (bytes: Buffer) => this.#take(bytes));
    from.once('end', () => this.#end());
    from.once('close', (failed: boolean) => this.#closed(failed));
    to.on('drain', () => from.resume());
    to.once('close', () => this.#drop());
    from.resume();
  }

  #take(bytes: Buffer): void {
    if (this.#ways.isLost()) return;
    const slowness = this.#ways.slowness();
    if (!slowness && this.#held.length === 0) return this.#write(bytes);
    const { delayMs, bytesPerSecond } = slowness ?? { delayMs: 0, bytesPerSecond: Infinity };
    const now = this.#clock.monotonic();
    const due = Math.max(now + delayMs, this.#lastDue) + (bytes.length / bytesPerSecond) * 1000;
    this.#lastDue = due;
    this.#held.push({ bytes, due });
    this.#heldBytes += bytes.length;
    if (this.#heldBytes > HELD_BYTES_MAX) this.#from.pause();
    this.#timer ??= this.#clock.after(due - now, () => this.#flush());
  }

  #flush(): void {
    this.#timer = null;
    const now = this.#clock.monotonic();
    while (this.#held[0] && this.#held[0].due <= now) {
      const { bytes } = this.#held.shift()!;
      this.#heldBytes -= bytes.length;
      this.#write(bytes);
    }
    if (this.#held[0]) this.#timer = this.#clock.after(this.#held[0].due - now, () => this.#flush());
    else if (this.#ended) this.#to.end();
    if (this.#heldBytes <= HELD_BYTES_MAX && !this.#to.writableNeedDrain) this.#from.resume();
  }

  /** What is on its way arrives now. */
  release(): void {
    this.#held = this.#held.map(({ bytes }) => ({ bytes, due: 0 }));
    this.#lastDue = 0;
    this.#timer?.cancel();
    this.#flush();
  }

  #write(bytes: Buffer): void {
    if (!this.#to.destroyed && !this.#to.write(bytes)) this.#from.pause();
  }

  #end(): void {
    if (this.#ways.isLost()) return;
    this.#ended = true;
    if (this.#held.length === 0) this.#to.end();
  }

  /** A reset is handed on as one; where nothing passes nobody hears of it. */
  #closed(failed: boolean): void {
    if (this.#to.destroyed || this.#ways.isLost()) return;
    if (failed) this.#to.resetAndDestroy();
    else this.#end();
  }

  #drop(): void {
    this.#timer?.cancel();
    this.#held = [];
    this.#heldBytes = 0;
    if (!this.#ways.isLost()) this.#from.destroy();
  }
}
