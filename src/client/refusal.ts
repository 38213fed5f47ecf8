/**
 * What happens to pending changes when something under them gives way: the server refuses one of them for good, or the
 * log turns out to be another one. Nothing is dropped in silence: what cannot be kept is returned, for the application.
 *
 * A refused change is taken out, and those after it get its number and the next. Of these, ops on blocks that only the
 * refused change would have made are lost with it; text in the same blocks is made again, under a new Yjs client id.
 */
import type { BlockTable } from '../document/blocks.ts';
import type { Op, OpDraft } from '../document/ops.ts';
import { continues } from '../document/text-update.ts';
import type { BlockId } from '../protocol/ids.ts';
import type { PendingChange } from './outbox.ts';
import type { Replica } from './replica.ts';
import { type Rebased, rebaseEdits } from './text-rebase.ts';

export interface Dropped {
  readonly ops: readonly Op[];
  /** Ops of later changes that had to go with it. */
  readonly lost: readonly Op[];
  /** Blocks whose text was rewritten: their documents are stale. */
  readonly texts: ReadonlySet<BlockId>;
  readonly touched: ReadonlySet<BlockId>;
}

/** Takes the refused change `n` out; `null` if it is not pending. `client` is the Yjs client id to write under now. */
export function dropRefused(
  replica: Replica,
  n: number,
  client: () => number,
  bytesMax: number,
): Dropped | null {
  const { outbox } = replica;
  const index = outbox.changes.findIndex((change) => change.n === n);
  if (index < 0) return null;
  outbox.recallFrom(n);
  const texts = new Set<BlockId>();
  const refusedTexts = new Map<BlockId, Uint8Array[]>();
  const refused = outbox.changes[index]!;
  for (const op of refused.ops) {
    const update = op.op === 'text' ? op.update : op.op === 'insert' ? op.text?.update : undefined;
    if (!update || !('block' in op)) continue;
    texts.add(op.block);
    refusedTexts.set(op.block, [...(refusedTexts.get(op.block) ?? []), update]);
  }
  outbox.remove(n);
  const touched = new Set(replica.rebuild());
  const following = outbox.changes.slice(index);
  const lost = dropOrphans(replica, refused.ops, following);
  for (const block of texts) {
    const before = textBefore(replica, block, index);
    const refusedUpdates = refusedTexts.get(block)!;
    const without = rewriteTexts(replica, block, following, bytesMax, (edits) =>
      rebaseEdits({ before, refused: refusedUpdates, base: before, edits, client: client() }),
    );
    for (const op of without) lost.push(op);
  }
  for (const id of replica.rebuild()) touched.add(id);
  for (const block of texts) touched.add(block);
  return { ops: refused.ops, lost, texts, touched };
}

/** Removes what stands on blocks that only the refused change would have made. Returns it. */
function dropOrphans(replica: Replica, refused: readonly Op[], following: readonly PendingChange[]): Op[] {
  const missing = new Set<BlockId>();
  for (const op of refused) if (op.op === 'insert' && !replica.view.get(op.block)) missing.add(op.block);
  const lost: Op[] = [];
  if (missing.size === 0) return lost;
  for (const change of following) {
    const keep: { op: Op; part: Uint8Array }[] = [];
    change.ops.forEach((op, i) => {
      const orphan = ('block' in op && missing.has(op.block)) || ('parent' in op && missing.has(op.parent));
      if (orphan && op.op === 'insert') missing.add(op.block);
      if (orphan) lost.push(op);
      else keep.push({ op, part: change.parts[i]! });
    });
    if (keep.length < change.ops.length) replica.outbox.rewrite(change, keep);
  }
  return lost;
}

/** The updates of a block's text below the pending change at `index`. */
function textBefore(replica: Replica, block: BlockId, index: number): Uint8Array[] {
  const confirmed = replica.confirmed.get(block);
  const updates = [...(confirmed?.text?.updates ?? [])];
  for (const change of replica.outbox.changes.slice(0, index)) {
    for (const op of change.ops) {
      if (op.op === 'text' && op.block === block) updates.push(op.update);
      else if (op.op === 'insert' && op.block === block && op.text && !confirmed)
        updates.push(op.text.update);
    }
  }
  return updates;
}

type Remake = (edits: Uint8Array[]) => Rebased[];

/** Replaces the text ops of one block in the given changes by what `remake` makes of them. Returns those it cannot. */
function rewriteTexts(
  replica: Replica,
  block: BlockId,
  changes: readonly PendingChange[],
  bytesMax: number,
  remake: Remake,
): Op[] {
  const isEdit = (op: Op) => op.op === 'text' && op.block === block;
  const edits = changes.flatMap((change) =>
    change.ops.flatMap((op) => (op.op === 'text' && isEdit(op) ? [op.update] : [])),
  );
  const lost: Op[] = [];
  if (edits.length === 0) return lost;
  const made = remake(edits);
  let next = 0;
  for (const change of changes) {
    if (!change.ops.some(isEdit)) continue;
    const keep: { op: Op; part: Uint8Array }[] = [];
    change.ops.forEach((op, i) => {
      if (!isEdit(op)) return keep.push({ op, part: change.parts[i]! });
      const update = made[next++];
      if (update === 'lost') return lost.push(op);
      const draft: OpDraft | null = update ? { op: 'text', block, update } : null;
      return draft && keep.push(replica.check(draft, bytesMax));
    });
    replica.outbox.rewrite(change, keep);
  }
  return lost;
}

/**
 * After the log has become another one: pending text that does not continue what the new confirmed state holds is made
 * again upon it. `old` is the state that it was made upon. Returns what cannot be made again.
 */
export function adoptTexts(replica: Replica, old: BlockTable, client: number, bytesMax: number): Op[] {
  const lost: Op[] = [];
  const changes = [...replica.outbox.changes];
  const blocks = new Set<BlockId>();
  for (const change of changes) for (const op of change.ops) if (op.op === 'text') blocks.add(op.block);
  for (const block of blocks) {
    const held = replica.confirmed.get(block)?.text;
    const clocks = new Map(held?.clocks() ?? []);
    let fits = true;
    for (const op of changes.flatMap((change) => change.ops)) {
      const write =
        op.op === 'text' && op.block === block
          ? op
          : op.op === 'insert' && op.block === block
            ? op.text
            : null;
      if (!write) continue;
      fits &&= continues(write.shape, (id) => clocks.get(id) ?? 0);
      if (write.shape.client !== null) clocks.set(write.shape.client, write.shape.to);
    }
    if (fits) continue;
    const before = old.get(block)?.text?.updates ?? [];
    const base = held?.updates ?? [];
    const without = rewriteTexts(replica, block, changes, bytesMax, (edits) =>
      rebaseEdits({ before, refused: [], base, edits, client }),
    );
    for (const op of without) lost.push(op);
  }
  replica.rebuild();
  return lost;
}
