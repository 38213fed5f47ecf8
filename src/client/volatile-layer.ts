/**
 * Others' changes that were told before their commit: shown between the confirmed state and my own pending changes, with
 * no place in the log yet. They leave when the log has them (confirmed state holds them then), when they are withdrawn,
 * and all at once when the page is subscribed to anew (the server sends those of then).
 */
import type { Op } from '../document/ops.ts';
import type { BlockId, Seq } from '../protocol/ids.ts';
import type { WireChange, WireName, WireStamp } from '../protocol/messages.ts';

export interface VolatileChange {
  readonly change: WireChange;
  readonly ops: readonly Op[];
  /** How far the log reached when this was told: it is in no state up to there. */
  readonly head: Seq;
}

type Numbered = Pick<WireName, 'replica' | 'n'>;
const nameOf = ({ replica, n }: Numbered): string => `${replica}.${n}`;

/** Whether two changes of one number are the same. */
export const sameStamp = (a: WireStamp, b: WireStamp): boolean => a.ms === b.ms && a.counter === b.counter;

export class VolatileLayer {
  /** In the order in which they were told. */
  readonly #changes = new Map<string, VolatileChange>();
  /** Those of them that write a block's text, so that a long stall does not make texts slow. */
  readonly #byText = new Map<BlockId, Set<VolatileChange>>();

  get size(): number {
    return this.#changes.size;
  }

  all(): IterableIterator<VolatileChange> {
    return this.#changes.values();
  }

  get(name: WireName): VolatileChange | undefined {
    const found = this.#changes.get(nameOf(name));
    return found && sameStamp(found.change.hlc, name.hlc) ? found : undefined;
  }

  /** False if it is here already. */
  add(one: VolatileChange): boolean {
    const name = nameOf(one.change);
    const known = this.#changes.get(name);
    if (known && sameStamp(known.change.hlc, one.change.hlc)) return false;
    this.remove(one.change);
    this.#changes.set(name, one);
    for (const block of textBlocks([one])) {
      const others = this.#byText.get(block);
      if (others) others.add(one);
      else this.#byText.set(block, new Set([one]));
    }
    return true;
  }

  /** Whatever has this number. */
  remove(name: Numbered): VolatileChange | undefined {
    const found = this.#changes.get(nameOf(name));
    if (!found) return undefined;
    this.#changes.delete(nameOf(name));
    for (const block of textBlocks([found])) {
      const known = this.#byText.get(block)!;
      known.delete(found);
      if (known.size === 0) this.#byText.delete(block);
    }
    return found;
  }

  /** Forgets what a state at `seq` may hold. */
  dropOlder(seq: Seq): void {
    for (const { change, head } of this.#changes.values()) if (head < seq) this.remove(change);
  }

  clear(): VolatileChange[] {
    const all = [...this.#changes.values()];
    this.#changes.clear();
    this.#byText.clear();
    return all;
  }

  writesText(block: BlockId): boolean {
    return this.#byText.has(block);
  }

  /** The text updates of a block, in order. */
  textUpdates(block: BlockId): Uint8Array[] {
    const updates: Uint8Array[] = [];
    for (const { ops } of this.#byText.get(block) ?? []) {
      for (const op of ops) {
        const text = op.op === 'text' ? op : op.op === 'insert' ? op.text : null;
        if (text && 'block' in op && op.block === block) updates.push(text.update);
      }
    }
    return updates;
  }
}

/** The blocks whose text these changes write. */
export function textBlocks(changes: Iterable<{ readonly ops: readonly Op[] }>): Set<BlockId> {
  const blocks = new Set<BlockId>();
  for (const { ops } of changes) {
    for (const op of ops) if (op.op === 'text' || (op.op === 'insert' && op.text)) blocks.add(op.block);
  }
  return blocks;
}
