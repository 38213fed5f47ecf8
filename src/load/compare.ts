/**
 * Two results side by side, with ratios. What differs in the load or in the machine is said first: figures of different loads are not
 * to be compared. Pure.
 */
import { QUANTILES } from './latency.ts';
import { isCorrect, type LoadResult } from './result.ts';
import { columns, number, RATE_NAMES } from './table.ts';

/** A difference below this share is noise, as runs on shared machines go. */
const NOISE = 0.1;

interface ComparedFigure {
  readonly name: string;
  readonly a: number | undefined;
  readonly b: number | undefined;
  readonly better: 'higher' | 'lower';
}

export function comparedFigures(a: LoadResult, b: LoadResult): ComparedFigure[] {
  const figures: ComparedFigure[] = [];
  for (const name of ['accepted', 'seen', 'join', 'presence', 'request'] as const) {
    const [one, other] = [a.latencies[name], b.latencies[name]];
    if (!one && !other) continue;
    for (const at of [...(Object.keys(QUANTILES) as (keyof typeof QUANTILES)[]).filter((key) => key !== 'p75' && key !== 'p95'), 'max' as const]) {
      figures.push({ name: `${name} ${at}, ms`, a: one?.[at], b: other?.[at], better: 'lower' });
    }
  }
  for (const name of Object.keys(RATE_NAMES)) {
    const [one, other] = [a.rates[name] ?? 0, b.rates[name] ?? 0];
    if (one > 0 || other > 0) figures.push({ name: `${RATE_NAMES[name]} a second`, a: one, b: other, better: 'higher' });
  }
  figures.push({ name: 'server, cores', a: a.server?.cpu, b: b.server?.cpu, better: 'lower' });
  figures.push({ name: 'server, MB', a: a.server ? a.server.residentBytesMost / 1e6 : undefined, b: b.server ? b.server.residentBytesMost / 1e6 : undefined, better: 'lower' });
  figures.push({ name: 'generator, cores', a: a.generator.cpu, b: b.generator.cpu, better: 'lower' });
  return figures.filter((figure) => figure.a !== undefined || figure.b !== undefined);
} // prettier-ignore

function ratioOf({ a, b, better }: ComparedFigure): string[] {
  if (a === undefined || b === undefined || a === 0) return ['—', ''];
  const ratio = b / a;
  const isNoise = Math.abs(ratio - 1) <= NOISE;
  const isBetter = better === 'higher' ? ratio > 1 : ratio < 1;
  return [`${ratio.toFixed(2)} ×`, isNoise ? '' : isBetter ? 'better' : 'worse'];
}

function differences(a: LoadResult, b: LoadResult): string[] {
  const found: string[] = [];
  const differ = (what: string, one: unknown, other: unknown) => one !== other && found.push(`${what}: ${String(one ?? 'none')} and ${String(other ?? 'none')}`);
  differ('scenario', a.scenario, b.scenario);
  for (const key of new Set([...Object.keys(a.load), ...Object.keys(b.load)])) differ(key, a.load[key], b.load[key]);
  differ('version', a.octavo, b.octavo);
  for (const key of ['cpu', 'cores', 'node'] as const) differ(`generator’s ${key}`, a.machine[key], b.machine[key]);
  return found;
} // prettier-ignore

export function comparisonText(a: LoadResult, b: LoadResult, names: readonly [string, string]): string {
  const differing = differences(a, b);
  const cell = (value: number | undefined) => (value === undefined ? '—' : number(value));
  const rows = comparedFigures(a, b).map((figure) => [figure.name, cell(figure.a), cell(figure.b), ...ratioOf(figure)]);
  const notes = [a, b].flatMap((result, i) => [
    ...result.generator.warnings.map((warning) => `${names[i]}: WARNING: ${warning}`),
    ...(isCorrect(result) ? [] : [`${names[i]}: NOT CORRECT: something was lost, doubled or wrong`]),
    ...(result.interrupted ? [`${names[i]}: ended before its time, after ${number(result.seconds)} s`] : []),
  ]);
  return [
    `${a.scenario}: A ${names[0]} (${a.startedAt}), B ${names[1]} (${b.startedAt})`,
    ...(differing.length > 0 ? ['They differ in:', ...differing.map((what) => `  ${what}`)] : []),
    '',
    ...columns([['', 'A', 'B', 'B / A', ''], ...rows]),
    '',
    `A difference of less than ${NOISE * 100} % is not marked: repeated runs differ by as much.`,
    ...notes,
  ].join('\n');
} // prettier-ignore
