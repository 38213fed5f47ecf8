/**
 * The text of one block: a Yjs document kept as a list of V1 updates and an incremental state vector, never as a Y.Doc
 * (whose heap is 11–13 times its bytes). Updates enter only if they continue what is held, so nothing stays pending.
 *
 * The list is merged when a snapshot is made. Merging alone never shrinks: when a merged text has doubled since it was
 * last looked at, it is rewritten through a Y.Doc that drops deleted characters and keeps their places.
 */
import * as Y from 'yjs';
import { continues, type TextShape } from './text-update.ts';

/**
 * So many updates of one tier become one of the next. Merging costs the square of their number and the bytes of all, so
 * it is done early and in small portions: 3 µs a keystroke, where one merge of 1,000 took 22 ms and of 4,000 265 ms.
 */
const TIER_SIZE = 16;
/** What was stored, or merged whole: takes no part in the tiers. */
const WHOLE = Infinity;

/** Below this a rewrite is not worth its time. */
const REWRITE_BYTES_MIN = 4096;

export class BlockText {
  #updates: Uint8Array[];
  /** Of each update: 0 as it came, 1 for 16 merged, 2 for 256 … Never rising from left to right. */
  #tiers: number[];
  #bytes: number;
  #rewrittenBytes: number;
  /** Yjs client id → next clock. Computed from the bytes when it is first asked for: most blocks are never typed in. */
  #clocks: Map<number, number> | undefined;

  constructor(stored?: Uint8Array) {
    this.#updates = stored ? [stored] : [];
    this.#tiers = stored ? [WHOLE] : [];
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
    this.#tiers.push(0);
    this.#bytes += update.length;
    this.#mergeTiers();
    return true;
  }

  #mergeTiers(): void {
    for (;;) {
      const from = this.#updates.length - TIER_SIZE;
      const tier = this.#tiers.at(-1)!;
      if (from < 0 || this.#tiers[from] !== tier) return;
      const merged = Y.mergeUpdates(this.#updates.slice(from));
      for (let i = from; i < this.#updates.length; i++) this.#bytes -= this.#updates[i]!.length;
      this.#bytes += merged.length;
      this.#updates.length = from + 1;
      this.#tiers.length = from + 1;
      this.#updates[from] = merged;
      this.#tiers[from] = tier + 1;
    }
  }

  /** The whole text as one update. Linear in the text the first time after an edit, free afterwards. */
  merged(): Uint8Array | undefined {
    if (this.#updates.length > 1 || (this.#updates.length === 1 && this.#tiers[0] !== WHOLE)) {
      this.clocks();
      let merged = Y.mergeUpdates(this.#updates);
      if (merged.length > REWRITE_BYTES_MIN && merged.length > 2 * this.#rewrittenBytes) {
        merged = rewritten(merged);
        this.#rewrittenBytes = merged.length;
      }
      this.#updates = [merged];
      this.#tiers = [WHOLE];
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
