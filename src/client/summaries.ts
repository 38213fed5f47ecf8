/**
 * What a `change` event says of changes: who, where in the log, and which ops on which blocks. Made only when somebody
 * listens.
 */
import type { Op } from '../document/ops.ts';
import type { Seq } from '../protocol/ids.ts';
import type { WireChange } from '../protocol/messages.ts';
import type { ChangeSummary } from './page-events.ts';

export const opSummaries = (ops: readonly Op[]): ChangeSummary['ops'] =>
  ops.map((op) => ({ op: op.op, block: 'block' in op ? op.block : null }));

interface ForeignChange {
  /** None: told before its commit. */
  readonly seq?: Seq;
  readonly change: WireChange;
  readonly ops: readonly Op[];
}

export const foreignSummaries = (changes: readonly ForeignChange[]): ChangeSummary[] =>
  changes.map(({ seq = null, change: { replica, author, n, at }, ops }) => {
    return { seq, replica, author, n, at, ops: opSummaries(ops) };
  });
