/**
 * Whether what a change of mine is about is here. Pure.
 */
import type { BlockTable } from '../document/blocks.ts';
import type { Op } from '../document/ops.ts';

/** Whether `view`, in which these ops are laid already, has every block that they name. */
export function hasGround(view: BlockTable, ops: readonly Op[]): boolean {
  return ops.every((op) => {
    if (op.op === 'move' && !view.get(op.parent)) return false;
    return !('block' in op) || view.get(op.block) !== undefined;
  });
}
