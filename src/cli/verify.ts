/**
 * `octavo verify`: checks a page's log and snapshots, or those of all pages; `octavo rebuild`: makes a page's snapshot
 * anew. Both read the database itself, whether a server runs or not.
 */
import { Command } from 'commander';
import { silentLog } from '../base/log.ts';
import { readConfig } from '../config.ts';
import { openPostgresLogStore } from '../persistence/postgres-log-store.ts';
import type { RepairStore } from '../persistence/repair-store.ts';
import type { PageId } from '../protocol/ids.ts';
import type { Limits } from '../protocol/limits.ts';
import { rebuildPage } from '../repair/rebuild-page.ts';
import { type PageReport, type Verdict, verifyPage } from '../repair/verify-page.ts';
import { withDatabase } from './database.ts';
import { CommandError, failWith } from './fail.ts';
import { parsePage } from './token.ts';

/** Neither good nor damaged: no such page, no database, a newer version's page. */
const CANNOT_CHECK = 2;
const EXIT: Record<Verdict, number> = { good: 0, damaged: 1, unknown: CANNOT_CHECK, absent: CANNOT_CHECK };
const PAGES_AT_ONCE = 500;

interface VerifyOptions {
  readonly all?: boolean;
  readonly json?: boolean;
}

export function verifyCommand(): Command {
  return new Command('verify')
    .description('check a page’s log and snapshots; exits 0 if all is good, 1 if something is damaged, 2 if it cannot tell')
    .argument('[page]', 'the page’s id', parsePage)
    .option('--all', 'all pages; prints those that are not good, and a summary')
    .option('--json', 'one JSON object a line for each page')
    .action(async (page: PageId | undefined, options: VerifyOptions, command: Command) => {
      if ((page === undefined) === (options.all !== true)) command.error('error: name one page, or --all');
      try {
        process.exitCode = await withStore((store, limits) =>
          page === undefined ? verifyAll(store, limits, options) : verifyOne(store, page, limits, options),
        );
      } catch (error) {
        // The database: it says itself what is wrong with it.
        failWith(error, CANNOT_CHECK);
      }
    });
} // prettier-ignore

export function rebuildCommand(): Command {
  return new Command('rebuild')
    .description(
      'make a page’s snapshot anew from its log, and remove those that are wrong; the log stays as it is',
    )
    .argument('<page>', 'the page’s id', parsePage)
    .action((page: PageId) => withStore((store, limits) => rebuild(store, page, limits)));
}

async function withStore<T>(work: (store: RepairStore, limits: Limits) => Promise<T>): Promise<T> {
  const { limits } = readConfig(process.env);
  return withDatabase(async (url) => {
    const store = openPostgresLogStore({ url, log: silentLog, readConnections: 1, otherConnections: 1 });
    try {
      return await work(store, limits);
    } finally {
      await store.close();
    }
  });
}

async function verifyOne(store: RepairStore, page: PageId, limits: Limits, { json }: VerifyOptions): Promise<number> {
  const { report } = await verifyPage(store, page, limits);
  print(json ? JSON.stringify(report) : describeReport(report));
  return EXIT[report.verdict];
} // prettier-ignore

/** One page after the other: memory is that of the largest. */
async function verifyAll(store: RepairStore, limits: Limits, { json }: VerifyOptions): Promise<number> {
  const counts: Record<Verdict, number> = { good: 0, damaged: 0, unknown: 0, absent: 0 };
  for (let after: PageId | null = null; ; ) {
    const pages: PageId[] = await store.pagesAfter(after, PAGES_AT_ONCE);
    for (const page of pages) {
      const { report } = await verifyPage(store, page, limits);
      counts[report.verdict]++;
      if (json) print(JSON.stringify(report));
      else if (report.verdict !== 'good') print(describeReport(report));
    }
    if (pages.length < PAGES_AT_ONCE) break;
    after = pages.at(-1)!;
  }
  const { good, damaged, unknown, absent } = counts;
  if (!json) print(`${good} good, ${damaged} damaged, ${unknown + absent} that cannot be checked`);
  return damaged > 0 ? EXIT.damaged : unknown + absent > 0 ? CANNOT_CHECK : EXIT.good;
} // prettier-ignore

async function rebuild(store: RepairStore, page: PageId, limits: Limits): Promise<void> {
  const outcome = await rebuildPage(store, page, limits, silentLog);
  if (!outcome.done) throw new CommandError(`page ${page} is not rebuilt: ${outcome.why} (\`octavo verify ${page}\` tells more)`);
  const { removed, stored, before } = outcome;
  if (removed.length > 0) print(`removed ${removed.map((at) => `the snapshot at ${at}`).join(', ')}`);
  print(stored === null ? 'the page is empty and needs no snapshot' : `stored a snapshot of changes 1 to ${stored}`);
  if (before.snapshots.some(({ verdict }) => verdict === 'wrong')) {
    print('a server that has the page in memory may have read the wrong one: restart it, then verify again');
  }
} // prettier-ignore

/** A report for people: what was found, and what to do. */
function describeReport({ page, verdict, kind, seq, blocks, replicas, faults, faultCount, snapshots, notes, opsWithoutEffect }: PageReport): string {
  const lines = [`page ${page}: ${verdict === 'absent' ? 'there is no such page' : verdict}`];
  if (kind !== null) lines.push(`  log        changes 1 to ${seq} of ${replicas} replicas, ${blocks} blocks, ${opsWithoutEffect} ops without effect`);
  for (const { seq: at, what } of faults) lines.push(`  FAULT      ${at === null ? '' : `at ${at}: `}${what}`);
  if (faultCount > faults.length) lines.push(`  FAULT      and ${faultCount - faults.length} more`);
  for (const { seq: at, verdict: found, why } of snapshots) lines.push(`  snapshot   at ${at}: ${found}${why.length > 0 ? ` (${why.join('; ')})` : ''}`);
  for (const note of notes) lines.push(`  note       ${note}`);
  if (faultCount > 0) lines.push('  remedy     the log is damaged: restore the database from a backup made before (docs/operations.md)');
  else if (verdict === 'damaged') lines.push(`  remedy     the log is good: octavo rebuild ${page}`);
  return lines.join('\n');
} // prettier-ignore

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}
