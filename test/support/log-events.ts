/**
 * The events of the log as docs/operations.md names them, and what a line must be to be one of them.
 */
import { readFileSync } from 'node:fs';

export interface LogEvent {
  readonly levels: readonly string[];
  readonly fields: ReadonlySet<string>;
}

export type LogLine = { readonly [field: string]: unknown } & { readonly msg: string };

const LEVELS: Record<number, string> = { 20: 'debug', 30: 'info', 40: 'warn', 50: 'error' };
const IN_EVERY_LINE = ['time', 'level', 'pid', 'msg'];
/** Which thread, and how many like it were not written. */
const IN_ANY_LINE = ['shard', 'suppressed'];

/** By their sentence: the rows of the table of the part "The log". */
export function documentedEvents(): Map<string, LogEvent> {
  const [, part = ''] = /^## The log\n([\s\S]*?)^## /m.exec(readFileSync('docs/operations.md', 'utf8')) ?? [];
  const rows = [...part.matchAll(/^\| (?!event |-)(.+?) +\| (.+?) +\| (.*?) *\|$/gm)];
  return new Map(
    rows.map(([, event, levels, fields]) => {
      const names = [...fields!.split(/[:;]/)[0]!.matchAll(/`(\w+)`/g)].map(([, name]) => name!);
      return [event!, { levels: levels!.split(', '), fields: new Set(names) }];
    }),
  );
}

/** Lines that are whole: what was cut off at either end of `text` is left out. */
export function logLines(text: string): LogLine[] {
  return text
    .slice(0, text.lastIndexOf('\n'))
    .split('\n')
    .map((line) => JSON.parse(line) as LogLine);
}

/** What is wrong with a line; nothing if it is one of the documented events, with their fields. */
export function faultsOf(line: LogLine, events: ReadonlyMap<string, LogEvent>): string[] {
  const event = events.get(line.msg);
  if (!event) return [`“${line.msg}” is not in docs/operations.md`];
  const level = LEVELS[line['level'] as number] ?? 'none';
  const faults = event.levels.includes(level) ? [] : [`“${line.msg}” at ${level}`];
  const missing = IN_EVERY_LINE.filter((name) => line[name] === undefined);
  const others = Object.keys(line).filter(
    (name) => ![...IN_EVERY_LINE, ...IN_ANY_LINE].includes(name) && !event.fields.has(name),
  );
  const deep = Object.keys(line).filter((name) => typeof line[name] === 'object');
  return [...faults, ...[...missing, ...others, ...deep].map((name) => `“${line.msg}”: ${name}`)];
}
