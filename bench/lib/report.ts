/**
 * Prints suites as tables, writes them as JSON with the machine beside them, and compares with a file written before.
 */
import { readFile, writeFile } from 'node:fs/promises';
import type { Figure, SuiteResult } from './figures.ts';
import type { Machine } from './machine.ts';

export interface Report {
  readonly machine: Machine;
  readonly suites: SuiteResult[];
}

function text(value: number): string {
  if (!Number.isFinite(value)) return 'n/a';
  const size = Math.abs(value);
  if (size >= 1000) return Math.round(value).toLocaleString('en-US');
  return value.toFixed(size >= 100 ? 0 : size >= 10 ? 1 : 2);
}

function table(rows: readonly (readonly string[])[]): string {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  const line = (row: readonly string[]) =>
    row.map((cell, i) => (i === 0 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!))).join('  ');
  return rows.map((row) => `  ${line(row)}`.trimEnd()).join('\n');
}

export function printMachine({ cpu, cores, memoryGiB, node, platform, postgres }: Machine): void {
  process.stdout.write(
    `${cpu}, ${cores} cores, ${memoryGiB} GiB, ${platform}, Node.js ${node}, PostgreSQL ${postgres ?? 'not used'}\n`,
  );
}

export function printSuite({ suite, settings, figures, notes }: SuiteResult): void {
  const rows = figures.map(({ name, unit, min, median, max }) => [
    name,
    text(min),
    text(median),
    text(max),
    unit,
  ]);
  const out = [`\n${suite}`];
  for (const [name, value] of Object.entries(settings)) out.push(`  · ${name}: ${value}`);
  if (rows.length > 0) out.push(table([['', 'min', 'median', 'max', 'unit'], ...rows]));
  for (const note of notes) out.push(`  ! ${note}`);
  process.stdout.write(`${out.join('\n')}\n`);
}

export async function writeReport(path: string, report: Report): Promise<void> {
  await writeFile(path, `${JSON.stringify(report, null, 2)}\n`);
}

/** Medians beside those of `path`: +10 % is 10 % better, whichever direction is better for the figure. */
export async function printComparison(path: string, now: Report): Promise<void> {
  const before = JSON.parse(await readFile(path, 'utf8')) as Report;
  process.stdout.write(`\nCompared with ${path}\n  then: `);
  printMachine(before.machine);
  process.stdout.write('  now:  ');
  printMachine(now.machine);
  const rows = [['', 'then', 'now', 'better by']];
  for (const suite of now.suites) {
    const old = before.suites.find((one) => one.suite === suite.suite);
    for (const figure of suite.figures) {
      const match = old?.figures.find((one) => one.name === figure.name && one.unit === figure.unit);
      if (match) rows.push([`${suite.suite}: ${figure.name}`, text(match.median), text(figure.median), gain(match, figure)]);
    }
  }
  process.stdout.write(`${table(rows)}\n`);
} // prettier-ignore

function gain(then: Figure, now: Figure): string {
  const ratio = now.better === 'higher' ? now.median / then.median : then.median / now.median;
  const percent = Math.round((ratio - 1) * 100);
  return `${percent >= 0 ? '+' : ''}${percent} %`;
}
