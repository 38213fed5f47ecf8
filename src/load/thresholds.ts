/**
 * `--assert`: a figure of the result, a comparison, a number. `p99<50` is about the main latency of the scenario;
 * `join.p99<200` about another one. All figures have a name in `FIGURES`, or are a quantile of a latency. Pure.
 */
import { QUANTILES, type QuantileName } from './latency.ts';
import type { LoadResult } from './result.ts';
import { mainLatency } from './scenarios.ts';
import { LATENCIES, type LatencyName } from './tallies.ts';

const COMPARE = {
  '<': (a: number, b: number) => a < b,
  '<=': (a: number, b: number) => a <= b,
  '>': (a: number, b: number) => a > b,
  '>=': (a: number, b: number) => a >= b,
  '=': (a: number, b: number) => a === b,
} as const;

export interface Threshold {
  readonly text: string;
  readonly figure: string;
  readonly by: keyof typeof COMPARE;
  readonly bound: number;
}

const total = (counts: Readonly<Record<string, number>>) => Object.values(counts).reduce((sum, one) => sum + one, 0); // prettier-ignore

/** Figures by name, with what they mean; undefined where a run has none. */
export const FIGURES: Readonly<Record<string, { readonly about: string; of(result: LoadResult): number | undefined }>> = {
  rate: { about: 'edits that became durable a second (of join-storm: joins; presence: states seen; http: requests)', of: (result) => result.rates[rateOf(result)] },
  refused: { about: 'refusals, of all codes', of: ({ refused }) => total(refused) },
  reconnects: { about: 'connections made anew', of: ({ counts }) => counts.reconnects ?? 0 },
  unsent: { about: 'edits that were due and could not be made', of: ({ counts }) => counts.unsent ?? 0 },
  lost: { about: 'acknowledged, and not in the log', of: ({ correctness }) => correctness?.lost },
  doubled: { about: 'in the log more than once', of: ({ correctness }) => correctness?.doubled },
  wrong: { about: 'blocks that are not what was made of them', of: ({ correctness }) => correctness?.wrong },
  unsettled: { about: 'edits without an answer at the end', of: ({ correctness }) => correctness?.unsettled },
  errors: { about: 'HTTP answers other than 2xx, errors and timeouts', of: ({ counts }) => counts['errors'] },
  'server.cpu': { about: 'cores that the server used, on average', of: ({ server }) => server?.cpu },
  'server.mb': { about: 'MB that the server took at most', of: ({ server }) => server && server.residentBytesMost / 1e6 || undefined },
  warnings: { about: 'reasons to doubt the figures', of: ({ generator }) => generator.warnings.length },
}; // prettier-ignore

function rateOf({ scenario }: LoadResult): string {
  const main = mainLatency(scenario);
  return main === 'join' && scenario === 'join-storm' ? 'joins' : main === 'presence' ? 'presence' : main === 'request' ? 'requests' : 'accepted'; // prettier-ignore
}

const STATISTICS = [...Object.keys(QUANTILES), 'max', 'mean'];
const LATENCY = new RegExp(`^(?:(${LATENCIES.join('|')})\\.)?(${STATISTICS.join('|').replace('.', '\\.')})$`);

/** A threshold as typed, or why it is none. */
export function parseThreshold(text: string): Threshold | { readonly wrong: string } {
  const match = /^\s*([\w.-]+)\s*(<=|>=|<|>|==?)\s*(\d+(?:\.\d+)?)\s*$/.exec(text);
  if (!match) return { wrong: `“${text}” is no threshold; write it like p99<50 or refused=0` };
  const [, figure, by, bound] = match as unknown as [string, string, string, string];
  if (!LATENCY.test(figure) && !Object.hasOwn(FIGURES, figure)) {
    return { wrong: `there is no figure “${figure}”; there are ${STATISTICS.join(', ')} (also as ${LATENCIES.map((name) => `${name}.p99`).join(', ')}), ${Object.keys(FIGURES).join(', ')}` }; // prettier-ignore
  }
  return {
    text: text.trim(),
    figure,
    by: (by === '==' ? '=' : by) as keyof typeof COMPARE,
    bound: Number(bound),
  };
}

/** The value of a figure; undefined: this run has none. */
export function figureOf(result: LoadResult, figure: string): number | undefined {
  const match = LATENCY.exec(figure);
  if (!match) return FIGURES[figure]?.of(result);
  const latency = result.latencies[(match[1] as LatencyName | undefined) ?? mainLatency(result.scenario)];
  return latency?.[match[2] as QuantileName | 'max' | 'mean'];
}

export interface Judged {
  readonly text: string;
  readonly value: number | undefined;
  readonly holds: boolean;
}

/** A figure that a run does not have fails: a threshold that is never looked at would hold for ever. */
export function judgeThresholds(result: LoadResult, thresholds: readonly Threshold[]): Judged[] {
  return thresholds.map(({ text, figure, by, bound }) => {
    const value = figureOf(result, figure);
    return { text, value, holds: value !== undefined && COMPARE[by](value, bound) };
  });
}
