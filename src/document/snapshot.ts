/**
 * A page's state as bytes: what joiners get and the store keeps. MessagePack:
 *
 *     [2, replicas: [id …], stamps: [[ms, counter, replica index] …], blocks: [block …], hash: 8 bytes]
 *     block = [id, parent index or nil, key, place stamp, type, type stamp, deleted, deleted stamp,
 *              props: [[key, value, stamp] …], text update or nil, text chain: 8 bytes or nil]
 *
 * The hash is that of the state which was written: what is read must have it too (`state-hash.ts`).
 * Stamps are named by index, since one change writes many registers. The root comes first, the others are written in the
 * order of their ids, which a reader does not rely upon. Removed props (value nil) are there with their stamps: a copy that
 * forgot them would let older writes win.
 */
import { sameBytes } from '../base/bytes.ts';
import { assert } from '../base/assert.ts';
import type { BlockId, PageId, ReplicaId } from '../protocol/ids.ts';
import { WIRE } from '../protocol/limits.ts';
import { MsgpackError, MsgpackReader } from '../protocol/msgpack-reader.ts';
import { MsgpackWriter } from '../protocol/msgpack-writer.ts';
import type { Block } from './block.ts';
import { BlockTable } from './blocks.ts';
import type { Stamp } from './hlc.ts';
import { writeBlock } from './snapshot-block.ts';
import { hashHex } from './state-hash.ts';
import { StoredBlocks } from './stored-blocks.ts';
import { StoredStamps } from './stored-stamps.ts';

/** Of a bin of so few bytes, before them. */
const HASH_HEAD_BYTES = 2;

/** The version of this layout and of the model's semantics. */
export const MODEL_VERSION = 2;

/** Throws if the state holds ops that this code does not know: it would be written without them. */
export function encodeSnapshot(table: BlockTable): Uint8Array {
  const { hash } = table;
  assert(hash, 'a state with unknown ops is not written');
  const order = inOrder(table);
  const indexById = new Map(order.map(([id], index) => [id, index]));
  const indexOf = (id: BlockId) => indexById.get(id)!;
  const stamps = new StampList();
  const stampIndex = (stamp: Stamp) => stamps.indexOf(stamp);
  // Which stamps there are is known when the blocks are written; they stand before them.
  const blocks = new MsgpackWriter(128 * order.length + 256);
  const copy = table.parts.stored?.copying(blocks, indexOf, stampIndex);
  for (const [, block] of order) {
    if (typeof block === 'number') copy!(block);
    else writeBlock(blocks, block, indexOf, stampIndex);
  }
  const w = new MsgpackWriter(blocks.length + 32 * stamps.size + 256);
  w.array(5).int(MODEL_VERSION);
  stamps.write(w);
  return w.array(order.length).raw(blocks.written).bin(hash).take();
}

/** All blocks, or their places among the stored: the root, then by id. */
function inOrder(table: BlockTable): [BlockId, Block | number][] {
  const { decoded, stored } = table.parts;
  const all: [BlockId, Block | number][] = [...decoded, ...(stored?.places() ?? [])];
  return all.sort(([a], [b]) => (a === table.root ? -1 : b === table.root ? 1 : a < b ? -1 : 1));
}

/** The stamps of a snapshot, each once, in the order in which they are first asked for. */
class StampList {
  readonly #replicas = new Map<ReplicaId, number>();
  readonly #stamps: Stamp[] = [];
  readonly #indexes = new Map<Stamp, number>();
  readonly #indexByValue = new Map<string, number>();

  get size(): number {
    return this.#stamps.length;
  }

  indexOf(stamp: Stamp): number {
    let index = this.#indexes.get(stamp);
    if (index !== undefined) return index;
    const { ms, counter, replica } = stamp;
    if (!this.#replicas.has(replica)) this.#replicas.set(replica, this.#replicas.size);
    // What one change wrote shares one object, mostly: a block that was stored brings one of its own.
    const value = `${ms} ${counter} ${this.#replicas.get(replica)!}`;
    index = this.#indexByValue.get(value);
    if (index === undefined) {
      index = this.#stamps.push(stamp) - 1;
      this.#indexByValue.set(value, index);
    }
    this.#indexes.set(stamp, index);
    return index;
  }

  write(w: MsgpackWriter): void {
    w.array(this.#replicas.size);
    for (const replica of this.#replicas.keys()) w.id(replica);
    w.array(this.#stamps.length);
    for (const { ms, counter, replica } of this.#stamps)
      w.array(3).int(ms).int(counter).int(this.#replicas.get(replica)!);
  }
}

/**
 * The state that `encodeSnapshot` wrote. Throws `MsgpackError` if the bytes are of another shape, or make another state
 * than the one that was written. The table keeps the bytes: blocks are decoded when they are asked for, texts are views.
 */
export function decodeSnapshot(page: PageId, bytes: Uint8Array): BlockTable {
  const { table, written } = readSnapshot(page, bytes);
  const found = table.hash!;
  if (sameBytes(written, found)) return table;
  throw new MsgpackError(
    `the snapshot of a state with hash ${hashHex(written)} reads as one with ${hashHex(found)}`,
  );
}

/** The hash that is written in a snapshot, which is not read any further. */
export function snapshotHash(bytes: Uint8Array): Uint8Array {
  const r = new MsgpackReader(bytes);
  // It is the last part, and has one length.
  r.seek(bytes.length - HASH_HEAD_BYTES - WIRE.stateHashBytes);
  return r.bin(WIRE.stateHashBytes).slice();
}

/** The same without the comparison: `written` is the hash of the state that was written. */
export function readSnapshot(page: PageId, bytes: Uint8Array): { table: BlockTable; written: Uint8Array } {
  const r = new MsgpackReader(bytes);
  if (r.array() < 4) throw new MsgpackError('a snapshot has five parts');
  const version = r.uint();
  if (version !== MODEL_VERSION) throw new MsgpackError(`a snapshot of model version ${version}`);
  const stored = new StoredBlocks(page, r, new StoredStamps(r));
  const written = r.bin(WIRE.stateHashBytes);
  return { table: new BlockTable(page, stored), written };
}
