/**
 * Pure: one measured round, when it is to be repeated, and the row that several rounds make. null is what a scenario
 * does not have or what this machine cannot tell.
 */
import { median } from '../../lib/figures.ts';

export interface Round {
  readonly editsPerSecond: number | null;
  /** Receipts: of the one next client, or of each reader. */
  readonly deliveriesPerSecond: number | null;
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** Of one core. */
  readonly serverCpuPercent: number | null;
  readonly databaseCpuPercent: number | null;
  readonly generatorCpuPercent: number | null;
  readonly editsPerCpuSecond: number | null;
  /** `join`: CPU time of server and database for one. */
  readonly cpuMsEach: number | null;
  readonly isContended: boolean;
  readonly notes: readonly string[];
}

export type FigureName = Exclude<keyof Round, 'isContended' | 'notes'>;

export const FIGURE_NAMES = [
  'editsPerSecond',
  'deliveriesPerSecond',
  'p50Ms',
  'p99Ms',
  'serverCpuPercent',
  'databaseCpuPercent',
  'generatorCpuPercent',
  'editsPerCpuSecond',
  'cpuMsEach',
] as const satisfies readonly FigureName[];

/** One peer in one scenario: medians over its rounds, null where there is nothing to tell. */
export interface Row extends Readonly<Record<FigureName, number | null>> {
  readonly peer: string;
  readonly scenario: string;
  /** Smallest and largest round. */
  readonly spread: Readonly<Partial<Record<FigureName, readonly [number, number]>>>;
  readonly rounds: number;
  /** Rounds that stayed contended although they were repeated. */
  readonly contendedRounds: number;
  readonly notes: readonly string[];
  /** Why there are no figures. */
  readonly failed: string | null;
}

/** Shares of the time, or cores. */
export interface Contention {
  readonly serverWait: number;
  readonly generatorWait: number;
  /** CPU of the server's other threads, of the database, and of processes that have no part in it. */
  readonly serverRest: number;
  readonly database: number;
  readonly others: number;
}

const WAIT_MAX = 0.1;
const OTHERS_MAX = 0.1;

/**
 * A main thread that waits for its core is slowed by something. It may be the server's own other threads and database,
 * which belong to what is measured; that is believed when they were busy for long enough and nobody else was.
 */
export function isContended({ serverWait, generatorWait, serverRest, database, others }: Contention): boolean {
  const stored = Number.isFinite(database) ? database : 0;
  const strange = (wait: number, own: number) => wait > WAIT_MAX && (wait > own || others > OTHERS_MAX);
  return strange(serverWait, serverRest + stored) || strange(generatorWait, stored);
} // prettier-ignore

export function rowOf(peer: string, scenario: string, rounds: readonly Round[], failed: string | null): Row {
  const medians: Partial<Record<FigureName, number | null>> = {};
  const spread: Partial<Record<FigureName, readonly [number, number]>> = {};
  for (const name of FIGURE_NAMES) {
    const values = rounds.map((round) => round[name]).filter((value) => value !== null && Number.isFinite(value)) as number[];
    const isWhole = values.length === rounds.length && rounds.length > 0;
    medians[name] = isWhole ? rounded(median(values)) : null;
    if (isWhole && rounds.length > 1) spread[name] = [rounded(Math.min(...values)), rounded(Math.max(...values))];
  }
  return {
    peer,
    scenario,
    ...(medians as Record<FigureName, number | null>),
    spread,
    rounds: rounds.length,
    contendedRounds: rounds.filter((round) => round.isContended).length,
    notes: [...new Set(rounds.flatMap(({ notes }) => notes))],
    failed,
  };
} // prettier-ignore

/** Four digits: more is noise. */
export function rounded(value: number): number {
  return Number(value.toPrecision(4));
}
