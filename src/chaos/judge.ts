/**
 * The verdict on a page, when all is calm again: the log against itself, against what every client was promised, saw and
 * made, and against what every client shows. Pure: it is given the log as PostgreSQL has it, and what the clients say.
 */
import { isDeepStrictEqual } from 'node:util';
import { opKey } from './op-key.ts';
import type { BlockJson } from '../document/block-json.ts';
import { BlockTable } from '../document/blocks.ts';
import { decodeOps } from '../document/ops.ts';
import type { PageId } from '../protocol/ids.ts';
import { foldLog, type LoggedChange, tableToJson } from './replay.ts';

/** What one client says of a page. Changes are named by `replica n`, ops by kind and block. */
export interface Testimony {
  readonly client: string;
  /** Under which it wrote. */
  readonly replica: string;
  /** What it was told is durable, and where in the log, if that was said. */
  readonly acknowledged: ReadonlyMap<string, number | null>;
  /** By seq: what it was shown as stored. What was marked as not yet stored is not here. */
  readonly seen: ReadonlyMap<number, string>;
  readonly made: ReadonlyMap<string, number>;
  /** What was refused, and said to be. */
  readonly handedBack: ReadonlyMap<string, number>;
  /** Whether it was told that all it made is durable. */
  readonly saved: boolean;
  readonly shown: BlockJson;
  /** How often its copy was found to differ by the product itself, and was repaired. */
  readonly alarms: number;
}

export interface PageEvidence {
  readonly page: PageId;
  /** The seq that the page's head has. */
  readonly head: number;
  readonly log: readonly LoggedChange[];
  readonly testimonies: readonly Testimony[];
}

export const COUNTS = ['lost', 'doubled', 'diverged', 'gaps', 'seenThenGone'] as const;

export type Count = (typeof COUNTS)[number];

export interface Verdict extends Record<Count, number> {
  readonly acknowledged: number;
  readonly logged: number;
  /** What is wrong, in words; not more than some. */
  readonly findings: readonly string[];
}

const FINDINGS_MAX = 100;

export function judge(evidence: PageEvidence): Verdict {
  const verdict = new Findings(evidence.page);
  checkLog(evidence, verdict);
  checkPromises(evidence, verdict);
  checkOps(evidence, verdict);
  checkCopies(evidence, verdict);
  const acknowledged = evidence.testimonies.reduce((sum, one) => sum + one.acknowledged.size, 0);
  return { acknowledged, logged: evidence.log.length, ...verdict.counts, findings: verdict.lines };
}

class Findings {
  readonly counts: Record<Count, number> = { lost: 0, doubled: 0, diverged: 0, gaps: 0, seenThenGone: 0 };
  readonly lines: string[] = [];
  readonly #page: PageId;

  constructor(page: PageId) {
    this.#page = page;
  }

  add(count: Count, what: string, times = 1): void {
    this.counts[count] += times;
    if (this.lines.length < FINDINGS_MAX) this.lines.push(`${count}: page ${this.#page}: ${what}`);
  }
}

const nameOf = ({ replica, n }: LoggedChange): string => `${replica} ${n}`;

/** Seqs 1, 2, 3 … up to the head; of each replica n = 1, 2, 3 …, each once. */
function checkLog({ log, head }: PageEvidence, findings: Findings): void {
  const lastN = new Map<string, number>();
  let last = 0;
  for (const { seq, replica, n } of log) {
    if (seq !== last + 1) findings.add('gaps', `seq ${seq} follows seq ${last}`, Math.max(1, seq - last - 1));
    last = seq;
    const before = lastN.get(replica) ?? 0;
    if (n <= before) findings.add('doubled', `n ${n} of ${replica} after ${before}, at seq ${seq}`);
    else if (n !== before + 1) findings.add('gaps', `n ${n} of ${replica} after ${before}, at seq ${seq}`);
    lastN.set(replica, Math.max(n, before));
  }
  if (head !== last) findings.add('gaps', `the head is ${head}, the log ends at ${last}`);
}

/** What was acknowledged and what was shown as stored is in the log, at its place. */
function checkPromises({ log, testimonies }: PageEvidence, findings: Findings): void {
  const nameBySeq = new Map(log.map((change) => [change.seq, nameOf(change)]));
  const seqByName = new Map(log.map((change) => [nameOf(change), change.seq]));
  for (const { client, acknowledged, seen } of testimonies) {
    for (const [name, seq] of acknowledged) {
      const found = seqByName.get(name);
      if (found === undefined || (seq !== null && nameBySeq.get(seq) !== name)) {
        findings.add('lost', `${name} was acknowledged to ${client} at ${seq ?? 'some seq'}; the log has it ${found === undefined ? 'not' : `at ${found}`}`); // prettier-ignore
      }
    }
    for (const [seq, name] of seen) {
      const found = nameBySeq.get(seq);
      if (found !== name) findings.add('seenThenGone', `${client} saw ${name} at seq ${seq}; the log has ${found ?? 'nothing'} there`); // prettier-ignore
    }
  }
} // prettier-ignore

interface LoggedOps {
  readonly counts: ReadonlyMap<string, number>;
  /** Text in blocks that were not there: its author was told, or has it back. */
  readonly void: ReadonlyMap<string, number>;
}

/** Every op that a client made is in the log once, or was handed back; and none is there twice. */
function checkOps({ page, log, testimonies }: PageEvidence, findings: Findings): void {
  const byReplica = countOps(page, log);
  for (const { client, replica, made, handedBack, saved } of testimonies) {
    const logged = byReplica.get(replica);
    for (const [key, times] of made) {
      const inLog = logged?.counts.get(key) ?? 0;
      const back = handedBack.get(key) ?? 0;
      const kept = inLog - (logged?.void.get(key) ?? 0);
      if (kept + back > times) {
        findings.add('doubled', `${client} made ${times} of “${key}”; the log has ${kept}, and ${back} were handed back`);
      }
      // After a refusal text is made anew upon what is left; an edit of which nothing is left says nothing.
      const vanished = handedBack.size > 0 && key.startsWith('text ');
      if (saved && !vanished && inLog + back < times) {
        findings.add('lost', `${client} made ${times} of “${key}”; the log has ${inLog}, and ${back} were handed back`);
      }
    }
  }
} // prettier-ignore

function countOps(page: PageId, log: readonly LoggedChange[]): Map<string, LoggedOps> {
  const byReplica = new Map<string, { counts: Map<string, number>; void: Map<string, number> }>();
  const table = new BlockTable(page);
  const add = (counts: Map<string, number>, key: string) => counts.set(key, (counts.get(key) ?? 0) + 1);
  for (const { replica, body, hlcMs: ms, hlcCounter: counter } of log) {
    const ops = decodeOps(body);
    let logged = byReplica.get(replica);
    if (!logged) byReplica.set(replica, (logged = { counts: new Map(), void: new Map() }));
    for (const op of Array.isArray(ops) ? ops : []) {
      const outcome = table.apply(op, { ms, counter, replica });
      // Text that lost its ground on its way to the log came to nothing: its author has it back.
      if (op.op === 'text' && outcome === 'missing') continue;
      const key = opKey(op.op, 'block' in op ? op.block : null);
      if (op.op === 'text' && outcome === 'gone') add(logged.void, key);
      add(logged.counts, key);
    }
  }
  return byReplica;
}

/** What every client shows is what the log makes. */
function checkCopies({ page, log, testimonies }: PageEvidence, findings: Findings): void {
  const made = shownByLog(page, log);
  if (typeof made === 'string') return findings.add('diverged', made, testimonies.length);
  for (const { client, shown, alarms, saved } of testimonies) {
    if (!isDeepStrictEqual(shown, made)) findings.add('diverged', `${client} shows something else than the log makes${saved ? '' : ', and has changes that are not saved'}`); // prettier-ignore
    if (alarms > 0) findings.add('diverged', `${client} found its copy to differ, and repaired it`, alarms);
  }
}

/** The page as the log makes it; a string says why it makes nothing. */
export function shownByLog(page: PageId, log: readonly LoggedChange[]): BlockJson | string {
  try {
    return tableToJson(foldLog(page, log));
  } catch (error) {
    // A log that cannot be folded is what is looked for here.
    return `the log cannot be folded: ${String(error)}`;
  }
}
