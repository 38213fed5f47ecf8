/**
 * A bound on the depth of a block tree, so that everything after it may recurse.
 *
 * Blocks below the limit are lifted: they become the next siblings of the block they were in, in reading
 * order. Nothing is dropped. Used before export (an API caller may send any depth) and after import
 * (envelopes nest as deep as their comments say).
 */
import type { BlockJson } from '../document/block-json.ts';

/** The page depth limit: a block of this depth has no children. */
const blockDepthMax = 64;

/** The same tree if it is shallow enough, else a copy in which deep blocks are lifted. */
export function limitDepth(blocks: readonly BlockJson[]): BlockJson[] {
  const result: BlockJson[] = [];
  const stack: { block: BlockJson; depth: number; siblings: BlockJson[] }[] = [];
  const push = (children: readonly BlockJson[], depth: number, siblings: BlockJson[]): void => {
    for (let index = children.length - 1; index >= 0; index -= 1) {
      const block = children[index];
      if (block !== undefined) stack.push({ block, depth, siblings });
    }
  };
  push(blocks, 1, result);
  for (let next = stack.pop(); next !== undefined; next = stack.pop()) {
    const { block, depth, siblings } = next;
    const copy: BlockJson = { ...block, children: [] };
    siblings.push(copy);
    if (depth < blockDepthMax) push(block.children, depth + 1, copy.children);
    else push(block.children, depth, siblings);
  }
  return result;
}
