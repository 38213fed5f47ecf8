/**
 * My pending text updates, per block and in order: what a block's text is made of besides what the log has. Every update
 * is noted when its op is laid over the view, and forgotten when the op is confirmed.
 */
import type { Op, TextWrite } from '../document/ops.ts';
import type { BlockId } from '../protocol/ids.ts';

export class PendingTexts {
  readonly #updates = new Map<BlockId, Uint8Array[]>();

  of(block: BlockId): readonly Uint8Array[] {
    return this.#updates.get(block) ?? [];
  }

  note(op: Op): void {
    const text = textOf(op);
    if (!text || !('block' in op)) return;
    const held = this.#updates.get(op.block);
    if (held) held.push(text.update);
    else this.#updates.set(op.block, [text.update]);
  }

  forget(op: Op): void {
    const text = textOf(op);
    if (!text || !('block' in op)) return;
    const held = this.#updates.get(op.block);
    if (held?.[0] !== text.update) return;
    held.shift();
    if (held.length === 0) this.#updates.delete(op.block);
  }

  clear(): void {
    this.#updates.clear();
  }
}

function textOf(op: Op): TextWrite | null {
  return op.op === 'text' ? op : op.op === 'insert' ? op.text : null;
}
