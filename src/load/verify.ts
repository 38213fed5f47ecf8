/**
 * After the timed part: is what was acknowledged there, once, and as it was made? Asked of the server as somebody who comes for
 * the first time: the log's head counts changes, each writer's last number says which of its are in it, and every block that was
 * written is compared with what its author made of it, texts by Yjs itself.
 */
import * as Y from 'yjs';
import type { BlockTable } from '../document/blocks.ts';
import { TEXT_ROOT } from '../document/text-update.ts';
import { type BlockId, bytesToId, type ReplicaId } from '../protocol/ids.ts';
import type { ExpectedBlock } from './author.ts';
import { Joiner } from './joiner.ts';
import { LoadError } from './load-error.ts';
import type { WriterEnd } from './orders.ts';
import type { Prepared } from './prepare.ts';
import { replicaBytes } from './wire.ts';

const FINDINGS_MAX = 10;
const PAGES_AT_ONCE = 8;

export interface Verified {
  pages: number;
  blocks: number;
  lost: number;
  doubled: number;
  wrong: number;
  unsettled: number;
  readonly findings: string[];
  /** By page, in order. */
  readonly heads: number[];
}

export interface VerifyWishes {
  readonly url: URL;
  readonly run: string;
  /** For the writer with this number; undefined: for anybody. */
  token(writer?: number): string;
}

/** What a person would read in a block; null: it has no text. */
function textOf(table: BlockTable, block: BlockId): string | null {
  const merged = table.get(block)?.text?.merged();
  if (!merged) return null;
  const doc = new Y.Doc();
  Y.applyUpdate(doc, merged);
  const isWhole = doc.store.pendingStructs === null;
  const text = doc.getText(TEXT_ROOT).toString();
  doc.destroy();
  return isWhole ? text : `${text} (and a part that builds on something that is not there)`;
}

/** What differs; null: nothing. Pure. */
export function differenceOf(table: BlockTable, expected: ExpectedBlock): string | null {
  const found = table.get(expected.block as BlockId);
  if (!found) return 'it is not there';
  if (found.parent !== expected.parent || found.key !== expected.key) return 'it is at another place';
  if (found.type !== expected.type) return `its type is ${found.type}, not ${expected.type}`;
  if (found.deleted !== expected.deleted) return found.deleted ? 'it is deleted' : 'it is not deleted';
  const mark = found.props.get('mark')?.value ?? null;
  if (mark !== expected.mark) return `a prop is ${String(mark)}, not ${expected.mark}`;
  const text = textOf(table, expected.block as BlockId);
  if ((text ?? '') === (expected.text ?? '')) return null;
  return `its text is “${(text ?? '').slice(0, 40)}…”, not “${(expected.text ?? '').slice(0, 40)}…”`;
}

export async function verifyPages(
  { url, run, token }: VerifyWishes,
  pages: readonly Prepared[],
  writers: readonly WriterEnd[],
  progress: (done: number) => void,
): Promise<Verified> {
  const sum: Verified = { pages: 0, blocks: 0, lost: 0, doubled: 0, wrong: 0, unsettled: 0, findings: [], heads: [] };
  const find = (what: string) => sum.findings.length < FINDINGS_MAX && sum.findings.push(what);
  const byPage = new Map<number, WriterEnd[]>();
  for (const writer of writers) byPage.set(writer.page, [...(byPage.get(writer.page) ?? []), writer]);
  const lastNumber = async (page: Prepared, { number }: WriterEnd): Promise<number> => {
    const as = bytesToId<ReplicaId>(replicaBytes(run, number));
    const joiner = await Joiner.open(url, token(number), page.id, { as });
    joiner.close();
    return joiner.lastN;
  };
  const verify = async (index: number): Promise<void> => {
    const page = pages[index]!;
    const wrote = byPage.get(index) ?? [];
    const lasts = await inTurns(wrote, (writer) => lastNumber(page, writer));
    const joiner = await Joiner.open(url, token(), page.id);
    const table = joiner.table();
    joiner.close();
    sum.heads[index] = joiner.head!;
    for (const [i, { number, acknowledged, made, silencedBy }] of wrote.entries()) {
      const lost = Math.max(0, acknowledged - lasts[i]!);
      sum.lost += lost;
      if (lost > 0) find(`lost: page ${page.id} has ${lasts[i]} changes of client ${number}, who was told that ${acknowledged} are durable`);
      if (silencedBy === null) sum.unsettled += made - acknowledged;
    }
    const doubled = joiner.head! - page.head - lasts.reduce((all, last) => all + last, 0);
    if (doubled !== 0) find(`doubled: the log of page ${page.id} has ${doubled} changes more than its writers made`);
    sum.doubled += Math.max(0, doubled);
    // Whose edits have no answer, or were refused: how much of their work is there cannot be known.
    const known = wrote.filter(({ made, acknowledged, silencedBy }) => silencedBy === null && made === acknowledged);
    for (const block of known.flatMap(({ expected }) => expected)) {
      sum.blocks++;
      const difference = differenceOf(table, block);
      if (difference === null) continue;
      sum.wrong++;
      find(`wrong: block ${block.block} of page ${page.id}: ${difference}`);
    }
    progress(++sum.pages);
  };
  await inTurns(pages.map((_, i) => i), verify);
  return sum;
} // prettier-ignore

/** Does it with each, some at a time; a failure to reach the server names what it was about. */
async function inTurns<T, R>(items: readonly T[], work: (item: T) => Promise<R>): Promise<R[]> {
  const results: R[] = [];
  for (let at = 0; at < items.length; at += PAGES_AT_ONCE) {
    try {
      results.push(...(await Promise.all(items.slice(at, at + PAGES_AT_ONCE).map(work))));
    } catch (error) {
      // The server is not well after the load: that is a finding, not a figure.
      if (error instanceof LoadError) throw new LoadError(`what was written could not be looked at afterwards: ${error.message}`);
      throw error;
    }
  }
  return results;
} // prettier-ignore
