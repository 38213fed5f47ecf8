/**
 * Pure: rows as Markdown. One table a kind of question, the best value of a column in bold, then all figures with their
 * spread, and where a peer is ahead of Octavo, said by the figures themselves.
 */
import type { FigureName, Row } from './rounds.ts';

/** Where each run was, in each row: a file of rows stands for itself. */
export interface ReportRow extends Row {
  readonly about: string;
  readonly durable: string;
  readonly machine: string;
  readonly date: string;
}

const NONE = '–';

export function digits(value: number | null | undefined): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return NONE;
  const size = Math.abs(value);
  if (size >= 100) return Math.round(value).toLocaleString('en-US');
  return value.toFixed(size >= 10 ? 1 : 2);
}

/** As prettier writes it: columns filled up; those headed by `texts` to the left, numbers to the right. */
export function markdownTable(head: readonly string[], rows: readonly (readonly string[])[], texts: readonly string[] = head.slice(0, 1)): string {
  const widths = head.map((cell, i) => Math.max(3, cell.length, ...rows.map((row) => row[i]!.length)));
  const isText = head.map((cell) => texts.includes(cell));
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell, i) => (isText[i] ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!))).join(' | ')} |`;
  const rule = widths.map((width, i) => (isText[i] ? '-'.repeat(width) : `${'-'.repeat(width - 1)}:`));
  return [line(head), `| ${rule.join(' | ')} |`, ...rows.map(line)].join('\n');
} // prettier-ignore

interface Column {
  readonly scenario: string;
  readonly head: string;
  readonly cell: (row: Row) => string;
}

const one = (scenario: string, head: string, name: FigureName): Column => ({
  scenario,
  head,
  cell: (row) => digits(row[name]),
});

const latency = (scenario: string, head: string): Column => ({
  scenario,
  head,
  cell: ({ p50Ms, p99Ms, notes }) =>
    `${digits(p50Ms)} / ${digits(p99Ms)}${notes.includes('the rate was not reached') ? ' †' : ''}`,
});

const SUMMARY: readonly Column[] = [
  one('typing', 'typing: edits/s', 'editsPerSecond'),
  one('typing', 'edits per CPU-second', 'editsPerCpuSecond'),
  one('typing-16', '16 in flight: edits/s', 'editsPerSecond'),
  one('typing-16', 'edits per CPU-second', 'editsPerCpuSecond'),
  latency('rate-2000', '2,000/s: p50 / p99 ms'),
  latency('rate-10000', '10,000/s'),
  latency('rate-20000', '20,000/s'),
  latency('readers-500', '500 readers'),
  one('join', 'join: ms', 'p50Ms'),
  one('join', 'CPU ms', 'cpuMsEach'),
];

const unique = (values: readonly string[]): string[] => [...new Set(values)];

function find(rows: readonly Row[], peer: string, scenario: string): Row | undefined {
  return rows.find((row) => row.peer === peer && row.scenario === scenario);
}

export function summaryTable(rows: readonly Row[]): string {
  const columns = SUMMARY.filter(({ scenario }) => rows.some((row) => row.scenario === scenario));
  const lines = unique(rows.map(({ peer }) => peer)).map((peer) => [
    `\`${peer}\``,
    ...columns.map(({ scenario, cell }) => {
      const row = find(rows, peer, scenario);
      if (!row) return NONE;
      return row.failed === null ? `${cell(row)}${row.contendedRounds > 0 ? ' *' : ''}` : 'failed';
    }),
  ]);
  return markdownTable(['peer', ...columns.map(({ head }) => head)], lines);
}

/** Which figures of a scenario two peers are compared by, and whether more is better. */
const COMPARED: readonly { kind: RegExp; figures: readonly { name: FigureName; what: string; more: boolean }[] }[] = [
  {
    kind: /^typing/,
    figures: [
      { name: 'editsPerSecond', what: 'edits/s', more: true },
      { name: 'editsPerCpuSecond', what: 'edits per CPU-second', more: true },
    ],
  },
  {
    kind: /^(rate|readers)/,
    figures: [
      { name: 'p50Ms', what: 'ms p50', more: false },
      { name: 'p99Ms', what: 'ms p99', more: false },
    ],
  },
  {
    kind: /^join$/,
    figures: [
      { name: 'p50Ms', what: 'ms', more: false },
      { name: 'cpuMsEach', what: 'CPU ms', more: false },
    ],
  },
]; // prettier-ignore

/** One line a figure in which somebody is ahead of `own`, with the figures. */
export function whereOthersAreAhead(rows: readonly Row[], own: string): string[] {
  const lines: string[] = [];
  for (const scenario of unique(rows.map((row) => row.scenario))) {
    const ours = find(rows, own, scenario);
    const figures = COMPARED.find(({ kind }) => kind.test(scenario))?.figures ?? [];
    for (const { name, what, more } of figures) {
      const mine = ours?.[name] ?? null;
      if (mine === null) continue;
      const ahead = rows
        .filter((row) => row.scenario === scenario && row.peer !== own && row[name] !== null)
        .filter((row) => (more ? row[name]! > mine : row[name]! < mine))
        .sort((a, b) => (more ? b[name]! - a[name]! : a[name]! - b[name]!));
      if (ahead.length === 0) continue;
      const list = ahead.map((row) => `\`${row.peer}\` ${digits(row[name])}`).join(', ');
      lines.push(`- ${scenario}, ${what}: ${list}; \`${own}\` ${digits(mine)}`);
    }
  }
  return lines;
} // prettier-ignore

const DETAIL: readonly { readonly name: FigureName; readonly head: string }[] = [
  { name: 'editsPerSecond', head: 'edits/s' },
  { name: 'p50Ms', head: 'p50 ms' },
  { name: 'p99Ms', head: 'p99 ms' },
  { name: 'serverCpuPercent', head: 'server CPU %' },
  { name: 'databaseCpuPercent', head: 'database CPU %' },
  { name: 'generatorCpuPercent', head: 'generator CPU %' },
  { name: 'editsPerCpuSecond', head: 'edits per CPU-second' },
  { name: 'cpuMsEach', head: 'CPU ms each' },
];

function withSpread(row: Row, name: FigureName): string {
  const spread = row.spread[name];
  const value = digits(row[name]);
  return spread ? `${value} (${digits(spread[0])} – ${digits(spread[1])})` : value;
}

/** All figures of one scenario: median, and smallest to largest round. */
export function detailTable(rows: readonly Row[], scenario: string): string {
  const own = rows.filter((row) => row.scenario === scenario);
  const columns = DETAIL.filter(({ name }) => own.some((row) => row[name] !== null));
  const lines = own.map((row) => [
    `\`${row.peer}\``,
    ...columns.map(({ name }) => withSpread(row, name)),
    [
      row.failed === null ? '' : `failed: ${row.failed.split('\n')[0]}`,
      row.contendedRounds > 0 ? `${row.contendedRounds} of ${row.rounds} rounds contended` : '',
      ...row.notes,
    ]
      .filter((note) => note !== '')
      .join('; ')
      .replaceAll('|', '\\|'),
  ]);
  return markdownTable(['peer', ...columns.map(({ head }) => head), 'notes'], lines, ['peer', 'notes']);
}
