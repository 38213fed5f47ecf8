/**
 * A text block that one author has made and writes to: its insert, its text, and what must be found there.
 */
import type { Random } from '../base/random.ts';
import { encodeOps } from '../document/ops.ts';
import { type BlockId, idToBytes, newId } from '../protocol/ids.ts';
import type { ExpectedBlock } from './author.ts';
import { TextWriter } from './text-writer.ts';

export class OwnBlock {
  readonly id: BlockId;
  readonly bytes: Uint8Array;
  readonly text: TextWriter;
  readonly #parent: string;
  readonly #key: string;
  readonly #type: string;

  constructor(parent: string, key: string, type: string, now: number, random: Random) {
    this.id = newId<BlockId>(now, random);
    this.bytes = idToBytes(this.id);
    // A Yjs client id for each text, as an editor draws one for each document that it writes to.
    this.text = new TextWriter(random.uint32());
    this.#parent = parent;
    this.#key = key;
    this.#type = type;
  }

  /** The ops that make it. */
  get insertion(): Uint8Array {
    const parent = this.#parent as BlockId;
    return encodeOps([{ op: 'insert', block: this.id, parent, key: this.#key, type: this.#type, props: {}, text: null }]);
  } // prettier-ignore

  get expected(): ExpectedBlock {
    const text = this.text.length === 0 ? null : this.text.text;
    return { block: this.id, parent: this.#parent, key: this.#key, type: this.#type, deleted: false, mark: null, text }; // prettier-ignore
  }
}
