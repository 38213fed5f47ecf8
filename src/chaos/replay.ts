/**
 * The log as an arbiter: what is wrong with a page's log in itself, and the state that it makes, to compare every copy with.
 */
import * as Y from 'yjs';
import type { BlockJson } from '../document/block-json.ts';
import { BlockTable } from '../document/blocks.ts';
import { decodeOps } from '../document/ops.ts';
import { compareOrder } from '../document/order.ts';
import type { PageId, ReplicaId } from '../protocol/ids.ts';

export interface LoggedChange {
  readonly seq: number;
  readonly replica: ReplicaId;
  readonly n: number;
  readonly body: Uint8Array;
  readonly hlcMs: number;
  readonly hlcCounter: number;
}

/** What is wrong with a log: gaps in seq, a (replica, n) twice or out of order. Empty when all is well. */
export function logFaults(log: readonly Pick<LoggedChange, 'seq' | 'replica' | 'n'>[]): string[] {
  const faults: string[] = [];
  const lastN = new Map<ReplicaId, number>();
  log.forEach(({ seq, replica, n }, i) => {
    if (seq !== i + 1) faults.push(`seq ${seq} at place ${i + 1}`);
    if (n !== (lastN.get(replica) ?? 0) + 1)
      faults.push(`n ${n} of ${replica} after ${lastN.get(replica) ?? 0}`);
    lastN.set(replica, n);
  });
  return faults;
}

/** The state that the log gives. */
export function foldLog(page: PageId, log: readonly LoggedChange[]): BlockTable {
  const table = new BlockTable(page);
  for (const { body, hlcMs, hlcCounter, replica } of log) {
    const ops = decodeOps(body);
    if (!Array.isArray(ops)) throw new Error(`a logged change cannot be read: ${ops.malformed}`);
    const stamp = { ms: hlcMs, counter: hlcCounter, replica };
    for (const op of ops) table.apply(op, stamp);
  }
  return table;
}

/** What the SDK's `toJSON` would show of a table. */
export function tableToJson(table: BlockTable, id = table.root): BlockJson {
  const block = table.get(id)!;
  const doc = new Y.Doc();
  for (const update of block.text?.updates ?? []) Y.applyUpdate(doc, update);
  const text = doc.getText('text').toDelta() as BlockJson['text'];
  const children = [...table.children(id)].map((child) => table.get(child)!).filter((child) => !child.deleted);
  children.sort((a, b) => compareOrder(a.key, a.id, b.key, b.id));
  const props = Object.fromEntries([...block.props].flatMap(([key, { value }]) => (value === null ? [] : [[key, value]])));
  return { id, type: block.type, props, text, children: children.map((child) => tableToJson(table, child.id)) };
} // prettier-ignore
