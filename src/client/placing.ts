/**
 * Order keys for edits: where a block goes among its siblings, and which siblings must step aside. Normally none; but
 * concurrent inserts can leave equal keys, and long histories dense ones, with no key between. Then the few neighbours
 * to the right that block the way get new keys in the same change.
 */
import type { Random } from '../base/random.ts';
import { isOrderKey, OrderKeys, spreadKeys } from '../document/order.ts';
import type { BlockId } from '../protocol/ids.ts';
import { assert } from '../base/assert.ts';
import type { Place } from './children.ts';

export interface Placing {
  readonly key: string;
  readonly moves: readonly { readonly block: BlockId; readonly key: string }[];
}

/** Parents whose runs are remembered; more than anyone types in at once. */
const PARENTS_MAX = 1000;

export class Placer {
  readonly #random: Random;
  readonly #keysByParent = new Map<BlockId, OrderKeys>();

  constructor(random: Random) {
    this.#random = random;
  }

  /** The key for a block at `index` of `siblings` (without the block itself). */
  place(parent: BlockId, siblings: readonly Place[], index: number): Placing {
    let keys = this.#keysByParent.get(parent);
    if (!keys) {
      if (this.#keysByParent.size >= PARENTS_MAX) this.#keysByParent.clear();
      this.#keysByParent.set(parent, (keys = new OrderKeys(this.#random)));
    }
    const left = siblings[index - 1]?.key ?? null;
    const right = siblings[index]?.key ?? null;
    const key = orNone(() => keys.between(left, right));
    return key !== undefined && isOrderKey(key) ? { key, moves: [] } : spread(siblings, index, left);
  }
}

function spread(siblings: readonly Place[], index: number, left: string | null): Placing {
  for (let window = 1; ; window *= 2) {
    let end = Math.min(siblings.length, index + window);
    // Equal keys stand or move together: the right border must be another key than the last one moved.
    while (end < siblings.length && siblings[end]!.key === siblings[end - 1]!.key) end++;
    const right = siblings[end]?.key ?? null;
    const keys = orNone(() => spreadKeys(left, right, end - index + 1));
    if (keys?.every((key) => isOrderKey(key) && (right === null || key < right))) {
      const moves = siblings.slice(index, end).map(({ id }, i) => ({ block: id, key: keys[i + 1]! }));
      return { key: keys[0]!, moves };
    }
    assert(end < siblings.length, 'there is a key after the last sibling');
  }
}

/** `fractional-indexing` throws where there is no key between two. */
function orNone<T>(make: () => T): T | undefined {
  try {
    return make();
  } catch {
    // Expected: keys made by others may be equal, or at the end of the alphabet.
    return undefined;
  }
}
