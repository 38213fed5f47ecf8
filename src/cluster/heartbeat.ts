/**
 * Whether messages come through: what is sent on each probe channel must come back. Counted in beats, not in time: a thread
 * that was held up for seconds has had no beat meanwhile, and reads what has arrived before the next one.
 *
 *      every BEAT_MS a beat; an answer to one of the last SILENT_BEATS on each channel: up
 *      none: not up, but it may come back (a frozen server, a slow one)        none for DEAD_BEATS: given up
 */
import type { Clock, Millis, Timer } from '../base/time.ts';

export interface HeartbeatOptions {
  readonly clock: Clock;
  /** One for each server. */
  readonly channels: readonly string[];
  send(channel: string, beat: number): void;
  /** It is up, or not any more. */
  changed(isUp: boolean): void;
  dead(): void;
}

const BEAT_MS: Millis = 250;
const SILENT_BEATS = 3;
const DEAD_BEATS = 20;

export class Heartbeat {
  readonly #options: HeartbeatOptions;
  /** The newest beat that has come back, by channel. */
  readonly #answered = new Map<string, number>();
  #beat = 0;
  #isUp = false;
  #timer: Timer | undefined;

  constructor(options: HeartbeatOptions) {
    this.#options = options;
    for (const channel of options.channels) this.#answered.set(channel, -SILENT_BEATS);
  }

  start(): void {
    const behind = this.#behind();
    if (behind >= DEAD_BEATS) return this.#options.dead();
    if (behind >= SILENT_BEATS) this.#set(false);
    this.#beat++;
    for (const channel of this.#options.channels) this.#options.send(channel, this.#beat);
    this.#timer = this.#options.clock.after(BEAT_MS, () => this.start());
  }

  /** How far the slowest server is behind. */
  #behind(): number {
    return this.#beat - Math.min(...this.#answered.values());
  }

  answered(channel: string, beat: number): void {
    if (!this.#answered.has(channel)) return;
    this.#answered.set(channel, beat);
    if (this.#behind() < SILENT_BEATS) this.#set(true);
  }

  #set(isUp: boolean): void {
    if (isUp === this.#isUp) return;
    this.#isUp = isUp;
    this.#options.changed(isUp);
  }

  stop(): void {
    this.#timer?.cancel();
  }
}
