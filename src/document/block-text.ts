/**
 * The text of one block: a Yjs document kept as a list of V1 updates and an incremental state vector, never as a Y.Doc
 * (whose heap is 11–13 times its bytes). Updates enter only if they continue what is held, so nothing stays pending.
 *
 * The list is merged when a snapshot is made. Merging alone never shrinks: when a merged text has doubled since it was
 * last looked at, it is rewritten through a Y.Doc that drops deleted characters and keeps their places.
 */
import * as Y from 'yjs';
import { continues, type TextShape } from './text-update.ts';

/** Below this a rewrite is not worth its time. */
const REWRITE_BYTES_MIN = 4096;

export class BlockText {
  #updates: Uint8Array[];
  #bytes: number;
  #rewrittenBytes: number;
  /** Yjs client id → next clock. Computed from the bytes when it is first asked for: most blocks are never typed in. */
  #clocks: Map<number, number> | undefined;

  constructor(stored?: Uint8Array) {
    this.#updates = stored ? [stored] : [];
    this.#bytes = stored?.length ?? 0;
    this.#rewrittenBytes = this.#bytes;
    if (!stored) this.#clocks = new Map();
  }

  get bytes(): number {
    return this.#bytes;
  }

  get updates(): readonly Uint8Array[] {
    return this.#updates;
  }

  /** The next clock of a Yjs client id: everything below is held. */
  clockOf(client: number): number {
    return this.clocks().get(client) ?? 0;
  }

  clocks(): ReadonlyMap<number, number> {
    if (!this.#clocks) {
      this.#clocks = new Map();
      // Several updates are held only after `append`, which has computed the clocks.
      for (const update of this.#updates) {
        for (const [client, clock] of Y.parseUpdateMeta(update).to) this.#clocks.set(client, clock);
      }
    }
    return this.#clocks;
  }

  /** Takes an update in; `false` and no effect if it does not continue what is held. */
  append(update: Uint8Array, shape: TextShape): boolean {
    if (!continues(shape, (client) => this.clockOf(client))) return false;
    if (shape.client !== null && shape.to > this.clockOf(shape.client)) {
      (this.clocks() as Map<number, number>).set(shape.client, shape.to);
    }
    this.#updates.push(update);
    this.#bytes += update.length;
    return true;
  }

  /** The whole text as one update. Linear in the text the first time after an edit, free afterwards. */
  merged(): Uint8Array | undefined {
    if (this.#updates.length > 1) {
      this.clocks();
      let merged = Y.mergeUpdates(this.#updates);
      if (merged.length > REWRITE_BYTES_MIN && merged.length > 2 * this.#rewrittenBytes) {
        merged = rewritten(merged);
        this.#rewrittenBytes = merged.length;
      }
      this.#updates = [merged];
      this.#bytes = merged.length;
    }
    return this.#updates[0];
  }
}

/** The same document without the characters that were deleted. */
function rewritten(update: Uint8Array): Uint8Array {
  const doc = new Y.Doc({ gc: true });
  doc.getText('text');
  Y.applyUpdate(doc, update);
  const smaller = Y.encodeStateAsUpdate(doc);
  doc.destroy();
  return smaller.length < update.length ? smaller : update;
}
