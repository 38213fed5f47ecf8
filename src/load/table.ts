/**
 * A result as text: the table at the end of a run. Pure.
 */
import type { LatencySummary } from './latency.ts';
import { isCorrect, type LoadResult } from './result.ts';
import type { Judged } from './thresholds.ts';

/** Three digits that matter, thousands apart. */
export function number(value: number): string {
  if (!Number.isFinite(value)) return '—';
  const digits = value === 0 || Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : Math.abs(value) >= 1 ? 2 : 3; // prettier-ignore
  const [whole, rest] = value.toFixed(Number.isInteger(value) ? 0 : digits).split('.');
  const grouped = whole!.replaceAll(/\B(?=(\d{3})+(?!\d))/g, ',');
  return rest === undefined ? grouped : `${grouped}.${rest}`;
}

const counted = (count: number, what: string): string => `${number(count)} ${what}${count === 1 ? '' : 's'}`;

/** Columns as wide as they must be: the first to the left, the others to the right. */
export function columns(rows: readonly (readonly string[])[], indent = '  '): string[] {
  const count = Math.max(0, ...rows.map((row) => row.length));
  const widths = Array.from({ length: count }, (_, i) => Math.max(0, ...rows.map((row) => (row[i] ?? '').length))); // prettier-ignore
  return rows.map((row) =>
    (indent + row.map((cell, i) => (i === 0 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!))).join('  ')).trimEnd(),
  );
} // prettier-ignore

export const LATENCY_MEANING: Readonly<Record<string, string>> = {
  accepted: 'from the moment it was due until its author was told that it is durable',
  seen: 'until another client of the page had it',
  join: 'from the connect to the last byte of the page',
  presence: 'from the moment a cursor moved until another client had it',
  request: 'of an HTTP request',
};

const latencyRow = (name: string, { count, p50, p90, p99, 'p99.9': p999, max, mean }: LatencySummary) => [
  name,
  ...[p50, p90, p99, p999, max, mean].map(number),
  number(count),
];

const list = (counts: Readonly<Record<string, number>>): string =>
  Object.entries(counts)
    .map(([code, count]) => `${number(count)} × ${code}`)
    .join(', ') || 'none';

/** Rates under the names that people read. */
export const RATE_NAMES: Readonly<Record<string, string>> = {
  made: 'edits made', accepted: 'edits durable', seen: 'edits seen by others', joins: 'joins', presence: 'cursor moves seen', requests: 'requests', bytes: 'bytes',
}; // prettier-ignore

function correctnessLines(result: LoadResult): string[] {
  const { correctness } = result;
  if (!correctness) return [];
  const { lost, doubled, wrong, behind, unsettled, pages, blocks, findings } = correctness;
  const verdict = isCorrect(result)
    ? `  Checked afterwards: all acknowledged edits are there, once, on ${counted(pages, 'page')}, and ${counted(blocks, 'block')} compared: as made.`
    : `  NOT CORRECT: ${lost} lost, ${doubled} doubled, ${wrong} blocks wrong, ${behind} readers behind, ${unsettled} edits without an answer.`;
  return ['', verdict, ...findings.map((finding) => `    ${finding}`)];
} // prettier-ignore

export function resultText(result: LoadResult, judged: readonly Judged[]): string {
  const { latencies, rates, generator, server, counts, load } = result;
  const busiest = generator.threads.reduce((most, { busy }) => Math.max(most, busy), 0);
  const loadText = Object.entries(load)
    .map(([name, value]) => `${name} ${value}`)
    .join(', ');
  const lines = [
    `${result.scenario} against ${result.target}, ${number(result.seconds)} s${result.interrupted ? ' (ended before its time)' : ''}: ${loadText}`,
    '',
    ...columns([
      ['latency, ms', 'p50', 'p90', 'p99', 'p99.9', 'max', 'mean', 'count'],
      ...Object.entries(latencies).map(([name, latency]) => latencyRow(name, latency)),
    ]),
    '',
    ...columns(
      Object.entries(rates)
        .filter(([, rate]) => rate > 0)
        .map(([name, rate]) => [`${RATE_NAMES[name] ?? name} a second`, number(rate)]),
    ),
    '',
    `  refused: ${list(result.refused)}; connections closed: ${list(result.closed)}; reconnects: ${number(counts.reconnects ?? 0)}`,
    ...((counts.volatile ?? 0) > 0 ? [`  told before their commit: ${number(counts.volatile!)} deliveries; withdrawn: ${counts.withdrawn}`] : []),
    ...((counts.leftBehind ?? 0) > 0 ? [`  slow readers were left behind and brought back ${number(counts.leftBehind!)} times`] : []),
    `  generator: ${number(generator.cpu)} cores, busiest thread ${Math.round(100 * busiest)} %${(counts.made ?? 0) > 0 ? `, edits late by ${number(generator.lateP99)} ms (p99)` : ''}`,
    ...(server ? [`  server: ${number(server.cpu)} cores (${number(server.cpuMost)} at most), ${number(server.residentBytesMost / 1e6)} MB, event loop late by ${number(server.loopDelayMs)} ms at most`] : []),
    ...generator.warnings.map((warning) => `  WARNING: ${warning}.`),
    ...correctnessLines(result),
  ];
  if (judged.length > 0) {
    lines.push('', ...judged.map(({ text, value, holds }) => `  ${holds ? 'holds ' : 'FAILED'}  ${text}  (${value === undefined ? 'this run has no such figure' : number(value)})`));
  }
  const { count, prefix, first } = result.pages;
  if (first !== null) {
    lines.push('', `  It made ${counted(count, 'page')}, of the workspace “default”; the first is ${first}. Pages of load tests are found by their ids:`, `    select id, created_at from pages where id::text like '${prefix}-%'`);
  }
  return lines.join('\n');
} // prettier-ignore
