/**
 * Sameness, where it decides what must be shown anew.
 */
import type { Block } from '../document/block.ts';

/** Whether two states of a block show the same. Values of pending writes are shared, so identity is enough. */
export function sameLook(a: Block | undefined, b: Block | undefined): boolean {
  if (a === b) return true;
  if (!a || !b || a.type !== b.type || a.parent !== b.parent || a.key !== b.key || a.deleted !== b.deleted)
    return false;
  if (a.props.size !== b.props.size) return false;
  for (const [key, prop] of a.props) if (b.props.get(key)?.value !== prop.value) return false;
  return true;
}
