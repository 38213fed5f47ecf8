/**
 * My text that the log holds without effect, where no echo has said so: it was confirmed by a snapshot or a reconnect. Its
 * ground was lost after the database had it, so it could not be refused any more. Pure.
 */
import type { BlockTable } from '../document/blocks.ts';
import type { Op } from '../document/ops.ts';
import type { PendingChange } from './outbox.ts';

/** The text ops of these confirmed changes whose characters the confirmed state lacks, though their block is there. */
export function voidTexts(confirmed: BlockTable, changes: readonly PendingChange[]): (Op & { op: 'text' })[] {
  return changes
    .flatMap(({ ops }) => ops)
    .filter((op): op is Op & { op: 'text' } => {
      if (op.op !== 'text' || op.shape.client === null) return false;
      const block = confirmed.get(op.block);
      return block !== undefined && (block.text?.clockOf(op.shape.client) ?? 0) < op.shape.to;
    });
}
