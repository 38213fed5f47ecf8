/**
 * About how much memory a block table takes in V8. Weighed block by block when it is first asked for and when much has been
 * written since, estimated in between: the weight of a page is asked for every second, and a walk costs as much as there is
 * decoded. The constants are measured (`npm run bench -- memory`, which says how far they are off).
 */
import type { Block } from './block.ts';
import { TEXT_BYTES, UPDATE_BYTES } from './block-text.ts';
import type { BlockTable } from './blocks.ts';
import type { Op } from './ops.ts';

/** The tables themselves: state and overlay, and what is noted of a queue. */
const TABLES_BYTES = 2200;
/** The block itself, its id, its key, its places in the table and among its siblings. */
const BLOCK_BYTES = 300;
/** A Map of props, and each of them. */
const PROPS_BYTES = 190;
const PROP_BYTES = 75;
/** A block that was decoded, or made, and not looked at since. */
const FRESH_BYTES = BLOCK_BYTES + PROPS_BYTES + PROP_BYTES + TEXT_BYTES;

/** `snapshot`: what is a part of that is counted with it. */
function blockBytes({ props, propsBytes, text }: Block, snapshot: ArrayBufferLike | undefined): number {
  let bytes = BLOCK_BYTES;
  if (props.size > 0) bytes += PROPS_BYTES + props.size * PROP_BYTES + propsBytes;
  return text ? bytes + text.weightBeside(snapshot) : bytes;
}

export class TableWeight {
  /** Of so many blocks; −1: never weighed. */
  #blocks = -1;
  #weighed = 0;
  #since = 0;

  applied(op: Op): void {
    if (op.op === 'insert') this.#since += op.text?.update.length ?? 0;
    else if (op.op === 'text') this.#since += UPDATE_BYTES + op.update.length;
    else if (op.op === 'update') this.#since += PROP_BYTES;
  }

  bytes(table: BlockTable): number {
    const { decoded, stored } = table.parts;
    let since = this.#since + (decoded.size - this.#blocks) * FRESH_BYTES;
    if (this.#blocks < 0 || since > 16_384 + this.#weighed / 8) {
      this.#weighed = 0;
      for (const block of decoded.values()) this.#weighed += blockBytes(block, stored?.buffer);
      this.#blocks = decoded.size;
      this.#since = since = 0;
    }
    return TABLES_BYTES + this.#weighed + since + (stored?.bytes ?? 0);
  }
}
