/**
 * What came out of a run: the sums of all verdicts, and how it reads. Pure.
 */
import type { Millis } from '../base/time.ts';
import { type Count, COUNTS, type Verdict } from './judge.ts';

export interface ChaosResult extends Record<Count, number> {
  readonly seed: number;
  /** The command that repeats it. */
  readonly command: string;
  /** Changes that clients were told are durable. */
  readonly acknowledged: number;
  /** Edits that clients made; several may go as one change. */
  readonly made: number;
  /** Changes that the log has. */
  readonly logged: number;
  /** From the moment when the last fault had healed until all agreed: the longest of all rounds; null if they never did. */
  readonly agreeMs: Millis | null;
  readonly agreeMsByRound: readonly (Millis | null)[];
  /** From kill -9 of a node to its clients' next acknowledgement elsewhere. */
  readonly failoverMs: { readonly p50: Millis | null; readonly p95: Millis | null; readonly samples: number };
  readonly nodeKills: number;
  readonly faults: Readonly<Record<string, number>>;
  /** Codes with which something was refused, and said to be. */
  readonly refused: Readonly<Record<string, number>>;
  /** Nodes that ended by themselves. */
  readonly unexpectedEnds: readonly string[];
  readonly seconds: number;
  readonly findings: readonly string[];
  /** Where the files of a run that failed are. */
  readonly evidence: string | null;
}

/** No count of what must not be, and all agreed in the end. */
export const hasSucceeded = (result: ChaosResult): boolean => isGood(result) && result.agreeMs !== null;

export const isGood = (result: Record<Count, number>): boolean =>
  COUNTS.every((count) => result[count] === 0);

export function sumOf(verdicts: readonly Verdict[]): Omit<Verdict, 'findings'> & { findings: string[] } {
  const sum = { acknowledged: 0, logged: 0, lost: 0, doubled: 0, diverged: 0, gaps: 0, seenThenGone: 0 };
  for (const verdict of verdicts)
    for (const name of Object.keys(sum) as (keyof typeof sum)[]) sum[name] += verdict[name];
  return { ...sum, findings: verdicts.flatMap(({ findings }) => findings) };
}

const MEANINGS: Record<Count, string> = {
  lost: 'acknowledged, or said to be saved, and not in the log',
  doubled: 'in the log twice',
  diverged: 'copies that are not what the log makes',
  gaps: 'holes in the log',
  seenThenGone: 'shown as stored, and not in the log',
};

/** The table at the end. */
export function resultTable(result: ChaosResult): string {
  const { p50, p95, samples } = result.failoverMs;
  const ms = (value: Millis | null) => (value === null ? 'never' : `${value} ms`);
  const list = (counts: Readonly<Record<string, number>>) => Object.entries(counts).map(([what, times]) => `${times} × ${what}`).join(', ') || 'none'; // prettier-ignore
  const rows: (readonly [string, string, string])[] = [
    ['acknowledged', String(result.acknowledged), `changes, of ${result.made} edits; ${result.logged} are in the log`],
    ...COUNTS.map((count) => [count, String(result[count]), MEANINGS[count]] as const),
    ['agree', ms(result.agreeMs), `after the last fault of a round had healed; by round: ${result.agreeMsByRound.map((each) => each ?? 'never').join(', ')}`],
    ['failover', samples === 0 ? '—' : `p95 ${ms(p95)}`, samples === 0 ? 'no node was killed while all else was well' : `p50 ${ms(p50)}: a dead node’s clients, to their next acknowledgement; ${samples} times`],
    ['node kills', String(result.nodeKills), `faults: ${list(result.faults)}`],
    ['refused', String(Object.values(result.refused).reduce((sum, each) => sum + each, 0)), `and said to be: ${list(result.refused)}`],
    ['ended', String(result.unexpectedEnds.length), result.unexpectedEnds.join('; ') || 'nodes that ended by themselves: none'],
  ]; // prettier-ignore
  const widths = [0, 1].map((column) => Math.max(...rows.map((row) => row[column]!.length)));
  const lines = rows.map(([name, value, note]) => `  ${name.padEnd(widths[0]!)}  ${value.padStart(widths[1]!)}  ${note}`);
  const verdict = hasSucceeded(result) ? 'Nothing was lost.' : isGood(result) ? 'Nothing was lost, but not all agreed:' : 'Something was lost, doubled or changed:';
  const findings = result.findings.slice(0, 10).map((finding) => `  ${finding}`);
  const more = result.findings.length > 10 ? [`  and ${result.findings.length - 10} more`] : [];
  const kept = result.evidence === null ? [] : [`Logs, plan, findings and the database’s files are kept in ${result.evidence}`];
  return [...lines, '', verdict, ...findings, ...more, ...kept, `Seed ${result.seed}. Again: ${result.command}`].join('\n');
} // prettier-ignore
