/**
 * `octavo verify`: a page's log and snapshots, read from the store in portions (each a statement of its own, so that no
 * transaction grows old) and judged by `log-check.ts` and `snapshot-check.ts`. Works beside running servers: what is
 * appended meanwhile is no fault.
 */
import type { LogEntry, PageHead } from '../persistence/log-store.ts';
import type { FoundSnapshot, RepairStore } from '../persistence/repair-store.ts';
import { StoreError } from '../persistence/store-error.ts';
import { type PageId, seq, type Seq } from '../protocol/ids.ts';
import type { Limits } from '../protocol/limits.ts';
import { type Fault, LogCheck } from './log-check.ts';
import { checkStoredSnapshot, type SnapshotReport } from './snapshot-check.ts';

/** `unknown`: nothing is wrong as far as this version can see, but it cannot see all. */
export type Verdict = 'good' | 'damaged' | 'unknown' | 'absent';

export interface PageReport {
  readonly page: PageId;
  readonly verdict: Verdict;
  /** The document model; null: there is no such page. */
  readonly kind: string | null;
  /** Where the log ends. */
  readonly seq: number;
  readonly replicas: number;
  readonly blocks: number;
  /** Ops that have no effect where they stand in the log, such as edits of blocks that were gone. No fault. */
  readonly opsWithoutEffect: number;
  /** Of the log and the head; the first hundred. */
  readonly faults: readonly Fault[];
  readonly faultCount: number;
  readonly snapshots: readonly SnapshotReport[];
  /** Why the verdict is `unknown`. */
  readonly notes: readonly string[];
}

export interface Verified {
  readonly report: PageReport;
  /** The log, folded as far as it goes. */
  readonly check: LogCheck;
  /** The snapshots that no server should use. */
  readonly bad: readonly FoundSnapshot[];
}

const READ_CHANGES = 2000;
const READ_BYTES = 8 << 20;
const NO_HEAD = '23503';

/** Rejects when the store does. */
export async function verifyPage(store: RepairStore, page: PageId, limits: Limits): Promise<Verified> {
  const before = await findHead(store, page);
  const check = new LogCheck(page, before.head?.kind ?? 'blocks', limits);
  const pending = await store.snapshotSeqs(page);
  const snapshots: SnapshotReport[] = [];
  const bad: FoundSnapshot[] = [];
  const judge = async (upTo: number) => {
    while (pending.length > 0 && pending[0]! <= upTo) {
      const stored = await store.findSnapshot(page, pending.shift()!);
      // Gone meanwhile: a server has stored newer ones.
      if (!stored) continue;
      const report = await checkStoredSnapshot(page, stored, check, limits);
      snapshots.push(report);
      if (report.verdict === 'damaged' || report.verdict === 'wrong') bad.push(stored);
    }
  };
  for await (const portion of readLog(store, page, before.head?.head ?? seq(0))) {
    for (const entry of portion) {
      await judge(check.at);
      check.add(entry);
    }
  }
  await judge(check.at);
  // Whatever is past the end is of another log. (They were listed first: a server cannot have appended up to them.)
  await judge(Infinity);
  judgeHeads(check, before, await findHead(store, page));
  return { report: toReport(page, before.head, check, snapshots), check, bad };
}

interface FoundHead {
  readonly head?: PageHead;
  /** The page is there, its head is not: why. */
  readonly lost?: string;
}

async function findHead(store: RepairStore, page: PageId): Promise<FoundHead> {
  try {
    const head = await store.openPage(page);
    return head ? { head } : {};
  } catch (error) {
    // A fault of the page, to be told with the others; all else is the store's.
    if (error instanceof StoreError && error.code === NO_HEAD) return { lost: error.message };
    throw error;
  }
}

/** The log in portions, to `head` and one portion past it: more is what a server appends meanwhile. */
async function* readLog(store: RepairStore, page: PageId, head: Seq): AsyncGenerator<LogEntry[]> {
  for (let after = seq(Number.MIN_SAFE_INTEGER), last = false; !last;) {
    last = after >= head;
    const portion = await store.readLog(page, after, READ_CHANGES, READ_BYTES);
    if (portion.length === 0) return;
    yield portion;
    after = portion.at(-1)!.seq;
  }
}

/** The log was read between the two looks at the head: it ends at or after the first, and not after the second. */
function judgeHeads(check: LogCheck, before: FoundHead, after: FoundHead): void {
  if (before.lost ?? after.lost) check.fault(null, (before.lost ?? after.lost)!);
  else if (!after.head && check.at > 0) check.fault(null, 'there is a log, but no such page');
  else if (before.head && check.at < before.head.head)
    check.fault(check.at + 1, `the log ends at ${check.at}, but the head says ${before.head.head}`);
  else if (after.head && check.at > after.head.head)
    check.fault(after.head.head + 1, `the log goes on to ${check.at}, but the head says ${after.head.head}`);
}

function toReport(page: PageId, head: PageHead | undefined, check: LogCheck, snapshots: SnapshotReport[]): PageReport {
  const notes: string[] = [];
  const kind = head?.kind ?? null;
  if (kind !== null && kind !== 'blocks') notes.push(`the model is "${kind}", which this version does not know: only seq, n, owners and stamps were checked`);
  if (check.unknownFrom !== null) notes.push(`change ${check.unknownFrom} has an op that this version does not know: check with the version that wrote it`);
  const isDamaged = check.faultCount > 0 || snapshots.some(({ verdict }) => verdict === 'damaged' || verdict === 'wrong');
  const isAbsent = kind === null && snapshots.length === 0;
  const verdict = isDamaged ? 'damaged' : isAbsent ? 'absent' : notes.length > 0 ? 'unknown' : 'good';
  return {
    page,
    verdict,
    kind,
    seq: check.at,
    replicas: check.replicas.size,
    blocks: check.model.table.size,
    opsWithoutEffect: check.withoutEffect,
    faults: check.faults,
    faultCount: check.faultCount,
    snapshots,
    notes,
  };
} // prettier-ignore
