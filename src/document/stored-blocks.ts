/**
 * The blocks of a snapshot that nobody has asked for since it was read. Most blocks of a page are never touched while it is
 * in memory, and a decoded one takes some 600 bytes; so until it is asked for a block is a place in the snapshot's bytes,
 * and 16 bytes here. Who asks for one takes it out (`take`): from then on it is the table's.
 *
 *     offsets      where the block's id begins in the bytes, by its index in the snapshot; −1 − offset when it is taken
 *     byId         the indexes, in the order of the ids: found by halving. (Clients choose ids, so a hash of ours would be
 *                  at their mercy, and a Map of strings takes 100 bytes a block.)
 *     deleted      the indexes of those that are
 *     first, next  the children of each block as chains of indexes; 0, the root, ends them
 */
import { assert } from '../base/assert.ts';
import { bytesToId, type BlockId, ID_BYTES, type PageId, writeId } from '../protocol/ids.ts';
import { MsgpackError, MsgpackReader } from '../protocol/msgpack-reader.ts';
import type { Block } from './block.ts';
import type { MsgpackWriter } from '../protocol/msgpack-writer.ts';
import { BLOCK_FIELDS, copyBlock, readBlock, skipToEnd } from './snapshot-block.ts';
import type { Stamp } from './hlc.ts';
import type { StoredStamps } from './stored-stamps.ts';

/** Of a bin of 16 bytes, before them. */
const ID_HEAD_BYTES = 2;
/** The object, its arrays and views. */
const OWN_BYTES = 1500;

export class StoredBlocks {
  readonly #bytes: Uint8Array;
  readonly #stamps: StoredStamps;
  readonly #offsets: Int32Array;
  readonly #byId: Int32Array;
  readonly #first: Int32Array;
  readonly #next: Int32Array;
  readonly #deleted: number[] = [];
  #size: number;

  /** Reads past them. Throws `MsgpackError` if they make no tree; what is in each is read, and checked, later: by `all`. */
  constructor(page: PageId, r: MsgpackReader, stamps: StoredStamps) {
    this.#bytes = r.bytes;
    this.#stamps = stamps;
    this.#size = r.array();
    this.#offsets = new Int32Array(this.#size);
    const parents = new Int32Array(this.#size);
    for (let i = 0; i < this.#size; i++) parents[i] = this.#index(i, r);
    if (this.#size === 0 || this.#idAt(0) !== (page as string))
      throw new MsgpackError('the root comes first');
    this.#byId = sortedById(this.#bytes, this.#offsets);
    this.#first = new Int32Array(this.#size);
    this.#next = new Int32Array(this.#size);
    this.#link(parents);
  }

  /** Notes where a block is and steps over it; returns the index of its parent, −1 of none. */
  #index(index: number, r: MsgpackReader): number {
    r.array(BLOCK_FIELDS);
    this.#offsets[index] = r.offset;
    r.skipId();
    const parent = r.tryNil() ? -1 : r.uint(this.#size - 1);
    if ((parent === -1) !== (index === 0)) throw new MsgpackError('a block without a parent');
    if (skipToEnd(r).deleted) this.#deleted.push(index);
    return parent;
  }

  #link(parents: Int32Array): void {
    for (let i = this.#size - 1; i > 0; i--) {
      this.#next[i] = this.#first[parents[i]!]!;
      this.#first[parents[i]!] = i;
    }
    // What is in a cycle is not below the root.
    let found = 0;
    const todo = [0];
    for (let at = todo.pop(); at !== undefined; at = todo.pop(), found++) {
      for (let child = this.#first[at]!; child !== 0; child = this.#next[child]!) todo.push(child);
    }
    if (found !== this.#size) throw new MsgpackError('blocks that make no tree');
  }

  /** How many there are still. */
  get size(): number {
    return this.#size;
  }

  /** About how much memory it takes, with the snapshot. */
  get bytes(): number {
    return OWN_BYTES + this.#bytes.length + 4 * this.#offsets.byteLength + this.#stamps.bytes;
  }

  /** The snapshot that they are in; decoded texts are views of it. */
  get buffer(): ArrayBufferLike {
    return this.#bytes.buffer;
  }

  /** Takes a block out. */
  take(id: BlockId): Block | undefined {
    const index = this.#find(id);
    if (index === undefined || this.#offsets[index]! < 0) return undefined;
    const block = this.#reading()(index);
    this.#offsets[index] = -1 - this.#offsets[index]!;
    this.#size--;
    return block;
  }

  /** Decodes one after the other, and leaves them here: what is written to them is lost. Nothing is taken meanwhile. */
  *all(): Generator<Block> {
    const read = this.#reading();
    const size = this.#size;
    for (let i = 0; i < this.#offsets.length; i++) {
      if (this.#offsets[i]! >= 0) yield read(i);
      assert(size === this.#size, 'blocks are not asked for while all are looked through');
    }
  }

  /** Decodes those that are deleted, and leaves them here. */
  *deleted(): Generator<Block> {
    const read = this.#reading();
    for (const index of this.#deleted) if (this.#offsets[index]! >= 0) yield read(index);
  }

  /** Their ids, in order, with their places: for `copying`. */
  *places(): Generator<[BlockId, number]> {
    for (const index of this.#byId) if (this.#offsets[index]! >= 0) yield [this.#idAt(index), index];
  }

  /** Copies blocks into another snapshot, by their places; they are not decoded for that. */
  copying(
    w: MsgpackWriter,
    indexOf: (id: BlockId) => number,
    stampIndex: (stamp: Stamp) => number,
  ): (place: number) => void {
    const r = new MsgpackReader(this.#bytes);
    const stampAt = this.#stamps.reading();
    const parentIndex = (parent: number) => indexOf(this.#idAt(parent));
    const newStamp = (stamp: number) => stampIndex(stampAt(stamp));
    return (place) => {
      r.seek(this.#offsets[place]!);
      copyBlock(r, w, parentIndex, newStamp);
    };
  }

  /** Those that hang directly below a block, which may be taken itself. */
  *children(id: BlockId): Generator<BlockId> {
    const index = this.#find(id);
    if (index === undefined) return;
    for (let child = this.#first[index]!; child !== 0; child = this.#next[child]!) {
      if (this.#offsets[child]! >= 0) yield this.#idAt(child);
    }
  }

  #reading(): (index: number) => Block {
    const r = new MsgpackReader(this.#bytes);
    const stampAt = this.#stamps.reading();
    const idAt = (index: number) => this.#idAt(index);
    return (index) => {
      r.seek(this.#offsets[index]!);
      return readBlock(r, stampAt, idAt);
    };
  }

  #idAt(index: number): BlockId {
    const at = this.#offsets[index]!;
    return bytesToId(this.#bytes, ID_HEAD_BYTES + (at < 0 ? -1 - at : at));
  }

  #find(id: BlockId): number | undefined {
    writeId(id, wanted, 0);
    let low = 0;
    let high = this.#byId.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const index = this.#byId[middle]!;
      const at = this.#offsets[index]!;
      const order = compareIds(this.#bytes, ID_HEAD_BYTES + (at < 0 ? -1 - at : at), wanted, 0);
      if (order === 0) return index;
      if (order < 0) low = middle + 1;
      else high = middle;
    }
    return undefined;
  }
}

const wanted = new Uint8Array(ID_BYTES);

function compareIds(a: Uint8Array, aFrom: number, b: Uint8Array, bFrom: number): number {
  for (let i = 0; i < ID_BYTES; i++) {
    const difference = a[aFrom + i]! - b[bFrom + i]!;
    if (difference !== 0) return difference;
  }
  return 0;
}

/** The indexes in the order of the ids, in which snapshots have all but the root. Throws if one is there twice. */
function sortedById(bytes: Uint8Array, offsets: Int32Array): Int32Array {
  const compare = (a: number, b: number) =>
    compareIds(bytes, offsets[a]! + ID_HEAD_BYTES, bytes, offsets[b]! + ID_HEAD_BYTES);
  const sorted = offsets.map((_, i) => i);
  const isUnsorted = (index: number, i: number) => i > 0 && compare(sorted[i - 1]!, index) >= 0;
  if (!sorted.some(isUnsorted)) return sorted;
  sorted.sort(compare);
  if (sorted.some(isUnsorted)) throw new MsgpackError('a block that is there twice');
  return sorted;
}
