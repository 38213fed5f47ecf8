/**
 * The order of the tree that a page shows: for each parent its children that are not deleted, sorted by (key, id).
 * Kept up from the blocks that an edit touched, so an edit costs the logarithm of its siblings (and one array splice),
 * never the size of the page.
 */
import type { Block } from '../document/block.ts';
import type { BlockTable } from '../document/blocks.ts';
import { compareOrder } from '../document/order.ts';
import type { BlockId } from '../protocol/ids.ts';

/** Where a block stands; never changed once made. */
export interface Place {
  readonly id: BlockId;
  readonly parent: BlockId;
  readonly key: string;
}

const NONE: readonly Place[] = [];

export class Children {
  readonly #placeById = new Map<BlockId, Place>();
  readonly #byParent = new Map<BlockId, Place[]>();

  /** The ordered children of a block. The array is live: do not keep it across edits. */
  of(parent: BlockId): readonly Place[] {
    return this.#byParent.get(parent) ?? NONE;
  }

  /** The index among its siblings; −1 if the block is not shown. */
  indexOf(id: BlockId): number {
    const place = this.#placeById.get(id);
    return place ? search(this.#byParent.get(place.parent)!, place.key, id) : -1;
  }

  place(id: BlockId): Place | undefined {
    return this.#placeById.get(id);
  }

  /** Takes in the present places of the touched blocks. */
  update(touched: Iterable<BlockId>, view: BlockTable): void {
    for (const id of touched) {
      const block = shown(view.get(id));
      const old = this.#placeById.get(id);
      if (old && block && old.parent === block.parent && old.key === block.key) continue;
      if (old) this.#remove(old);
      if (block) this.#insert({ id, parent: block.parent!, key: block.key });
    }
  }

  /** Starts anew from a whole table (a snapshot). */
  reset(table: BlockTable): void {
    this.#placeById.clear();
    this.#byParent.clear();
    for (const block of table.all()) {
      if (!shown(block)) continue;
      const place = { id: block.id, parent: block.parent!, key: block.key };
      this.#placeById.set(block.id, place);
      const siblings = this.#byParent.get(place.parent);
      if (siblings) siblings.push(place);
      else this.#byParent.set(place.parent, [place]);
    }
    for (const siblings of this.#byParent.values()) {
      siblings.sort((a, b) => compareOrder(a.key, a.id, b.key, b.id));
    }
  }

  #insert(place: Place): void {
    this.#placeById.set(place.id, place);
    const siblings = this.#byParent.get(place.parent);
    if (siblings) siblings.splice(search(siblings, place.key, place.id), 0, place);
    else this.#byParent.set(place.parent, [place]);
  }

  #remove(place: Place): void {
    this.#placeById.delete(place.id);
    const siblings = this.#byParent.get(place.parent)!;
    siblings.splice(search(siblings, place.key, place.id), 1);
    if (siblings.length === 0) this.#byParent.delete(place.parent);
  }
}

/** The block, if it is one that is shown among its siblings. */
function shown(block: Block | undefined): Block | undefined {
  return block && !block.deleted && block.parent !== null ? block : undefined;
}

/** The first index whose (key, id) is not before the given one. */
function search(places: readonly Place[], key: string, id: BlockId): number {
  let low = 0;
  let high = places.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const at = places[middle]!;
    if (compareOrder(at.key, at.id, key, id) < 0) low = middle + 1;
    else high = middle;
  }
  return low;
}
