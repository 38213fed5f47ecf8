/**
 * What is told while a run lasts: on a terminal a few lines that are kept up to date, elsewhere a line now and then. Never on stdout,
 * which is for the result.
 */
import { type Millis, systemClock } from '../base/time.ts';
import type { GeneratorUse, Second } from './result.ts';
import { number } from './table.ts';
import type { LatencyName } from './tallies.ts';

export interface ProgressTerminal {
  readonly isTTY?: boolean;
  readonly columns?: number;
  write(text: string): unknown;
}

export interface LineNote {
  readonly ofSeconds: number;
  readonly refused: Readonly<Record<string, number>>;
  readonly busy: GeneratorUse['threads'];
}

const SAID_EVERY_MS: Millis = 5000;
const BAR = 24;

export class LoadProgress {
  readonly #out: ProgressTerminal;
  readonly #main: LatencyName | 'request';
  #stage = '';
  #saidAt = -Infinity;
  #lines = 0;

  constructor(out: ProgressTerminal, main: LatencyName | 'request') {
    this.#out = out;
    this.#main = main;
  }

  /** A part of the run without figures; 0 of 0: it cannot be said how far it is. */
  stage(what: string, done: number, of: number): void {
    const begins = what !== this.#stage;
    this.#stage = what;
    const text = of === 0 ? `${what} …` : `${what}: ${done} of ${of}`;
    if (this.#out.isTTY) this.#show([text]);
    else if (begins || (of > 0 && done === of)) this.#out.write(`${text}\n`);
  }

  line(second: Second, note: LineNote): void {
    if (this.#out.isTTY) return this.#show(this.#block(second, note));
    const now = systemClock.monotonic();
    if (now - this.#saidAt < SAID_EVERY_MS && second.at < note.ofSeconds) return;
    this.#saidAt = now;
    this.#out.write(`${this.#block(second, note).slice(1).join(' · ').replaceAll(/ {2,}/g, ' ')}\n`);
  }

  #block(second: Second, { ofSeconds, refused, busy }: LineNote): string[] {
    const share = Math.min(1, second.at / ofSeconds);
    const filled = Math.round(BAR * share);
    const main = second.latencies[this.#main];
    const ms = (value: Millis | undefined) => (value === undefined ? '—' : `${number(value)} ms`);
    const refusals = Object.values(refused).reduce((sum, one) => sum + one, 0);
    const busiest = Math.max(0, ...busy.map((thread) => thread.busy));
    const { server } = second;
    const rates = [
      second.latencies.request ? `${number(second.made)} requests/s` : second.made > 0 || second.accepted > 0 ? `${number(second.made)} edits/s made, ${number(second.accepted)} durable, ${number(second.seen)} seen` : '',
      second.joins > 0 ? `${number(second.joins)} joins/s` : '',
    ].filter(Boolean);
    return [
      `[${'█'.repeat(filled)}${'·'.repeat(BAR - filled)}] ${second.at.toFixed(0)} of ${number(ofSeconds)} s`,
      `${second.at.toFixed(0)} s  ${rates.join(' · ') || `${number(second.live)} clients`}`,
      `${this.#main}  p50 ${ms(main?.p50)}  p99 ${ms(main?.p99)}  max ${ms(main?.max)}`,
      `${second.live} live, ${second.pending} pending, ${refusals} refused`,
      `generator ${busy.length === 0 ? `${second.generatorCpu.toFixed(2)} cores` : `${Math.round(100 * busiest)} % busy`}${server ? `, server ${server.cpu.toFixed(2)} cores, ${Math.round(server.residentBytes / 1e6)} MB` : ''}`,
    ];
  } // prettier-ignore

  #show(lines: readonly string[]): void {
    const width = (this.#out.columns || 80) - 1;
    const up = this.#lines > 0 ? `\x1b[${this.#lines}A` : '';
    this.#out.write(`${up}\r\x1b[J${lines.map((line) => line.slice(0, width)).join('\n')}\n`);
    this.#lines = lines.length;
  }

  /** Takes away what was kept up to date. */
  end(): void {
    if (this.#out.isTTY && this.#lines > 0) this.#out.write(`\x1b[${this.#lines}A\r\x1b[J`);
    this.#lines = 0;
  }
}
