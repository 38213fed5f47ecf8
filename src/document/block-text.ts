/**
 * The text of one block: a Yjs document kept as a list of V1 updates and an incremental state vector, never as a Y.Doc
 * (whose heap is 11–13 times its bytes). Updates enter only if they continue what is held, so nothing stays pending.
 *
 * The list is merged when a snapshot is made. Merging alone never shrinks: when a merged text has doubled since it was
 * last looked at, or is about to pass its limit, it is rewritten through a Y.Doc that drops deleted characters and keeps
 * their places.
 */
import * as Y from 'yjs';
import { ClockRanges } from './clock-ranges.ts';
import { mergeUpdates } from './merge-updates.ts';
import { addHidden } from './stored-text.ts';
import { textDoc } from './text-doc.ts';
import { continues, type TextShape } from './text-update.ts';

/**
 * So many updates become one, so many of these one, and so on: in a list each takes many times its bytes. Done early and in
 * small portions, 0.3 µs a keystroke, so that no edit and no snapshot pays for many.
 */
const MERGED_AT_ONCE = 16;
const FEW_UPDATES = 4;

/** Below this a rewrite is not worth its time. */
const REWRITE_BYTES_MIN = 4096;
/** A rewrite that was asked for is worth its time when this part of the text is new or deleted since the last. */
const REWRITE_SHARE = 1 / 16;

/** Memory, apart from bytes: of a text; of each update in its list; of the list. Measured, as in table-weight.ts. */
export const TEXT_BYTES = 80;
export const UPDATE_BYTES = 110;
const LIST_BYTES = 330;

/**
 * Most texts are never touched after they were read, or made: until then one is a place in the bytes of its snapshot, or of
 * the change that made it.
 */
export class BlockText {
  readonly #buffer: ArrayBufferLike | null;
  readonly #from: number;
  readonly #length: number;
  #list: UpdateList | null = null;
  /** What the updates that came add up to in the state's hash; 0: none yet. Merging leaves it alone. */
  chainA = 0;
  chainB = 0;

  constructor(stored?: Uint8Array) {
    this.#buffer = stored?.buffer ?? null;
    this.#from = stored?.byteOffset ?? 0;
    this.#length = stored?.length ?? 0;
    if (!stored) this.#list = new UpdateList();
  }

  get #stored(): Uint8Array | undefined {
    return this.#buffer ? new Uint8Array(this.#buffer, this.#from, this.#length) : undefined;
  }

  get #opened(): UpdateList {
    return (this.#list ??= new UpdateList(this.#stored));
  }

  get bytes(): number {
    return this.#list?.bytes ?? this.#length;
  }

  /** About how much memory it takes, apart from what it has of the snapshot's bytes. */
  weightBeside(snapshot: ArrayBufferLike | undefined): number {
    if (this.#list) return TEXT_BYTES + this.#list.weightBeside(snapshot);
    return TEXT_BYTES + (this.#buffer === snapshot ? 0 : this.#length);
  }

  get updates(): readonly Uint8Array[] {
    return this.#list?.updates ?? [this.#stored!];
  }

  /** The next clock of a Yjs client id: everything below is held. */
  clockOf(client: number): number {
    return this.#opened.clockOf(client);
  }

  clocks(): ReadonlyMap<number, number> {
    return this.#opened.clocks();
  }

  /** Clocks handed out so far: no fewer than the characters that show. */
  get clockSum(): number {
    return this.#opened.clockSum;
  }

  /** The clocks that show no character. Linear in the text when it is first asked for, kept up afterwards. */
  get hidden(): ClockRanges {
    return this.#opened.hidden;
  }

  /** Takes an update in; `false` and no effect if it does not continue what is held. */
  append(update: Uint8Array, shape: TextShape): boolean {
    return this.#opened.append(update, shape);
  }

  /** Makes room, if there is reason to think that a rewrite gives any. Its cost is borne by what was written since the last. */
  compact(): void {
    this.#opened.compact();
  }

  /** The whole text as one update. Linear in the text the first time after an edit, free afterwards. */
  merged(): Uint8Array | undefined {
    return this.#list ? this.#list.merged() : this.#stored;
  }
}

/** A text that is written to. */
class UpdateList {
  #updates: Uint8Array[];
  /**
   * How many came since all were one. Its digits in base 16 say what is held behind that one: so many of 256 merged, so
   * many of 16 merged, so many as they came.
   */
  #count = 0;
  #bytes: number;
  #rewrittenBytes: number;
  /** Yjs client id → next clock. Computed from the bytes when it is first asked for. */
  #clocks: Map<number, number> | undefined;
  #clockSum = 0;
  /** Clocks that show no character; computed when it is first asked for: only texts near their limit need it. */
  #hidden: ClockRanges | undefined;
  /** The hidden clocks at the last rewrite that was asked for, and the bytes that came since; `null` before the first. */
  #asked: { readonly hidden: number; bytes: number } | null = null;

  constructor(stored?: Uint8Array) {
    this.#updates = stored ? [stored] : [];
    this.#bytes = stored?.length ?? 0;
    this.#rewrittenBytes = this.#bytes;
    if (!stored) this.#clocks = new Map();
  }

  get bytes(): number {
    return this.#bytes;
  }

  weightBeside(snapshot: ArrayBufferLike | undefined): number {
    let bytes = LIST_BYTES + this.#updates.length * UPDATE_BYTES + this.#bytes;
    for (const { buffer, length } of this.#updates) if (buffer === snapshot) bytes -= length;
    return bytes;
  }

  get updates(): readonly Uint8Array[] {
    return this.#updates;
  }

  clockOf(client: number): number {
    return this.clocks().get(client) ?? 0;
  }

  clocks(): ReadonlyMap<number, number> {
    if (!this.#clocks) {
      this.#clocks = new Map();
      // Several updates are held only after `append`, which has computed the clocks.
      for (const update of this.#updates) {
        for (const [client, clock] of Y.parseUpdateMeta(update).to) this.#setClock(client, clock);
      }
    }
    return this.#clocks;
  }

  get clockSum(): number {
    this.clocks();
    return this.#clockSum;
  }

  get hidden(): ClockRanges {
    if (!this.#hidden) {
      this.#hidden = new ClockRanges();
      for (const update of this.#updates) addHidden(update, this.#hidden);
    }
    return this.#hidden;
  }

  #setClock(client: number, clock: number): void {
    this.#clockSum += clock - (this.#clocks!.get(client) ?? 0);
    this.#clocks!.set(client, clock);
  }

  append(update: Uint8Array, shape: TextShape): boolean {
    if (!continues(shape, (client) => this.clockOf(client))) return false;
    if (shape.client !== null && shape.to > this.clockOf(shape.client)) {
      this.#setClock(shape.client, shape.to);
    }
    if (this.#hidden) hide(this.#hidden, shape);
    if (this.#asked) this.#asked.bytes += update.length;
    // An array that grows makes room for 17, and most texts see few updates between two merges.
    if (this.#updates.length < FEW_UPDATES) this.#updates = [...this.#updates, update];
    else this.#updates.push(update);
    this.#bytes += update.length;
    this.#count++;
    for (let carry = this.#count; carry % MERGED_AT_ONCE === 0; carry /= MERGED_AT_ONCE) this.#mergeLast();
    return true;
  }

  #mergeLast(): void {
    const last = this.#updates.slice(-MERGED_AT_ONCE);
    const merged = merge(last);
    for (const { length } of last) this.#bytes -= length;
    this.#bytes += merged.length;
    this.#updates.splice(-MERGED_AT_ONCE, MERGED_AT_ONCE, merged);
  }

  compact(): void {
    const since = this.#asked;
    const news = since ? since.bytes + this.hidden.size - since.hidden : Infinity;
    if (this.#bytes < REWRITE_BYTES_MIN || news < this.#bytes * REWRITE_SHARE) return;
    this.clocks();
    const smaller = rewritten(merge(this.#updates));
    this.#updates = [smaller];
    this.#count = 0;
    this.#bytes = this.#rewrittenBytes = smaller.length;
    this.#asked = { hidden: this.hidden.size, bytes: 0 };
  }

  merged(): Uint8Array | undefined {
    if (this.#count > 0) {
      this.clocks();
      let merged = merge(this.#updates);
      if (merged.length > REWRITE_BYTES_MIN && merged.length > 2 * this.#rewrittenBytes) {
        merged = rewritten(merged);
        this.#rewrittenBytes = merged.length;
      }
      this.#updates = [merged];
      this.#count = 0;
      this.#bytes = merged.length;
    }
    return this.#updates[0];
  }
}

const merge = (updates: readonly Uint8Array[]): Uint8Array =>
  mergeUpdates(updates) ?? Y.mergeUpdates([...updates]);

/** Adds what an update hides. */
export function hide(hidden: ClockRanges, shape: TextShape): void {
  for (let i = 0; i < shape.hidden.length; i += 3) {
    const from = shape.hidden[i + 1]!;
    hidden.add(shape.hidden[i]!, from, from + shape.hidden[i + 2]!);
  }
}

/** The same document without the characters that were deleted. */
function rewritten(update: Uint8Array): Uint8Array {
  const doc = textDoc([update], true);
  const smaller = Y.encodeStateAsUpdate(doc);
  doc.destroy();
  return smaller.length < update.length ? smaller : update;
}
