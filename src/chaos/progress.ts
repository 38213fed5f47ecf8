/**
 * What is told while a run lasts: on a terminal a line that is kept up to date, with what goes wrong now; elsewhere a line for
 * each event, and one every few seconds. Never on stdout, which is for the result.
 */
import { type Millis, systemClock, type Timer } from '../base/time.ts';
import { describeFault, type Fault } from './plan.ts';

export interface ProgressState {
  readonly round: number;
  readonly rounds: number;
  readonly made: number;
  readonly acknowledged: number;
  readonly pending: number;
  readonly active: Iterable<Fault>;
}

export interface Terminal {
  readonly isTTY?: boolean;
  readonly columns?: number;
  write(text: string): unknown;
}

const SHOWN_EVERY_MS: Millis = 200;
const SAID_EVERY_MS: Millis = 5000;

export class Progress {
  readonly #out: Terminal;
  readonly #startedAt = systemClock.monotonic();
  #state: (() => ProgressState) | null = null;
  #timer: Timer | null = null;
  #before: { readonly at: Millis; readonly made: number } = { at: 0, made: 0 };

  constructor(out: Terminal) {
    this.#out = out;
  }

  /** A line that stays. */
  say(what: string): void {
    const at = ((systemClock.monotonic() - this.#startedAt) / 1000).toFixed(1).padStart(7);
    this.#out.write(`${this.#out.isTTY ? '\r\x1b[2K' : ''}${at} s  ${what}\n`);
  }

  began(fault: Fault): void {
    if (!this.#out.isTTY) this.say(describeFault(fault));
  }

  /** Shows from now on what `state` says. */
  follow(state: () => ProgressState): void {
    this.#state = state;
    this.#timer?.cancel();
    this.#tick();
  }

  #tick(): void {
    const everyMs = this.#out.isTTY ? SHOWN_EVERY_MS : SAID_EVERY_MS;
    this.#timer = systemClock.after(everyMs, () => this.#tick());
    if (!this.#state) return;
    const { round, rounds, made, acknowledged, pending, active } = this.#state();
    const now = systemClock.monotonic();
    const perSecond = Math.round(((made - this.#before.made) / Math.max(1, now - this.#before.at)) * 1000);
    // Over a second at least, or the number flickers.
    if (now - this.#before.at >= 1000) this.#before = { at: now, made };
    const wrong = [...active].map(describeFault).join(' · ') || 'calm';
    const line = `round ${round}/${rounds}  ${perSecond} edits/s  ${acknowledged} acknowledged  ${pending} pending  ${wrong}`;
    if (!this.#out.isTTY) return this.say(line);
    this.#out.write(`\r\x1b[2K${line.slice(0, (this.#out.columns ?? 80) - 1)}`);
  } // prettier-ignore

  end(): void {
    this.#timer?.cancel();
    if (this.#out.isTTY) this.#out.write('\r\x1b[2K');
  }
}
