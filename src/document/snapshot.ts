/**
 * A page's state as bytes: what joiners get and the store keeps. MessagePack:
 *
 *     [1, replicas: [id …], stamps: [[ms, counter, replica index] …], blocks: [block …]]
 *     block = [id, parent index or nil, key, place stamp, type, type stamp, deleted, deleted stamp,
 *              props: [[key, value, stamp] …], text update or nil]
 *
 * Stamps are named by index, since one change writes many registers. The root comes first; a parent may come after its
 * child. Removed props (value nil) are there with their stamps: a copy that forgot them would let older writes win.
 */
import type { BlockId, PageId, ReplicaId } from '../protocol/ids.ts';
import { WIRE } from '../protocol/limits.ts';
import { MsgpackError, MsgpackReader } from '../protocol/msgpack-reader.ts';
import { MsgpackWriter } from '../protocol/msgpack-writer.ts';
import { type Block, BlockTable, rootId } from './blocks.ts';
import { BlockText } from './block-text.ts';
import { type Stamp, ZERO_STAMP } from './hlc.ts';

/** The version of this layout and of the model's semantics. */
export const MODEL_VERSION = 1;

export function encodeSnapshot(table: BlockTable): Uint8Array {
  const replicas = new Map<ReplicaId, number>();
  const stamps = new Map<Stamp, number>();
  const blockIndex = new Map<BlockId, number>();
  const blocks = [table.get(table.root)!, ...[...table.all()].filter((block) => block.id !== table.root)];
  const note = (stamp: Stamp) => {
    if (!replicas.has(stamp.replica)) replicas.set(stamp.replica, replicas.size);
    if (!stamps.has(stamp)) stamps.set(stamp, stamps.size);
  };
  blocks.forEach((block, i) => {
    blockIndex.set(block.id, i);
    note(block.placeStamp);
    note(block.typeStamp);
    note(block.deletedStamp);
    for (const prop of block.props.values()) note(prop.stamp);
  });
  const w = new MsgpackWriter(64 * blocks.length + 256);
  w.array(4).int(MODEL_VERSION).array(replicas.size);
  for (const replica of replicas.keys()) w.id(replica);
  w.array(stamps.size);
  for (const { ms, counter, replica } of stamps.keys())
    w.array(3).int(ms).int(counter).int(replicas.get(replica)!);
  w.array(blocks.length);
  for (const block of blocks) writeBlock(w, block, blockIndex, stamps);
  return w.take();
}

function writeBlock(
  w: MsgpackWriter,
  block: Block,
  index: Map<BlockId, number>,
  stamps: Map<Stamp, number>,
): void {
  const stamp = (s: Stamp) => stamps.get(s)!;
  w.array(10).id(block.id);
  if (block.parent === null) w.nil();
  else w.int(index.get(block.parent)!);
  w.str(block.key).int(stamp(block.placeStamp)).str(block.type).int(stamp(block.typeStamp));
  w.bool(block.deleted).int(stamp(block.deletedStamp)).array(block.props.size);
  for (const [key, prop] of block.props) w.array(3).str(key).json(prop.value).int(stamp(prop.stamp));
  const text = block.text?.merged();
  if (text) w.bin(text);
  else w.nil();
}

/** The state that `encodeSnapshot` wrote. Throws `MsgpackError` if the bytes are of another shape. Texts are views. */
export function decodeSnapshot(page: PageId, bytes: Uint8Array): BlockTable {
  const r = new MsgpackReader(bytes);
  if (r.array() < 4) throw new MsgpackError('a snapshot has four parts');
  const version = r.uint();
  if (version !== MODEL_VERSION) throw new MsgpackError(`a snapshot of model version ${version}`);
  const replicas: ReplicaId[] = [];
  for (let left = r.array(); left > 0; left--) replicas.push(r.id());
  const stamps: Stamp[] = [];
  for (let left = r.array(); left > 0; left--) {
    r.array(3);
    const [ms, counter] = [r.uint(WIRE.hlcMsMax), r.uint(WIRE.hlcCounterMax)];
    const replica = replicas[r.uint()];
    if (replica === undefined) throw new MsgpackError('a stamp of an unknown replica');
    stamps.push(
      ms === 0 && counter === 0 && replica === ZERO_STAMP.replica ? ZERO_STAMP : { ms, counter, replica },
    );
  }
  const blocks: Block[] = [];
  const parents: (number | null)[] = [];
  for (let left = r.array(); left > 0; left--) {
    const { block, parent } = readBlock(r, stamps);
    blocks.push(block);
    parents.push(parent);
  }
  return linked(page, blocks, parents);
}

function linked(page: PageId, blocks: Block[], parents: (number | null)[]): BlockTable {
  const table = new BlockTable(page);
  blocks.forEach((block, i) => {
    const parent = parents[i];
    if ((parent === null) !== (block.id === rootId(page))) throw new MsgpackError('a block without a parent');
    if (parent !== null) {
      const parentBlock = blocks[parent!];
      if (!parentBlock) throw new MsgpackError('a parent that is not there');
      block.parent = parentBlock.id;
    }
    table.add(block);
  });
  table.linkAll();
  // One walk finds what is missing, double or in a cycle: neither is below the root once.
  if (blocks[0]?.id !== table.root || table.size !== blocks.length || sizeBelowRoot(table) !== blocks.length)
    throw new MsgpackError('blocks that make no tree');
  return table;
}

function sizeBelowRoot(table: BlockTable): number {
  const ids = [table.root];
  let size = 0;
  for (let id = ids.pop(); id !== undefined; id = ids.pop(), size++) {
    for (const child of table.get(id)!.children ?? []) ids.push(child);
  }
  return size;
}

function readBlock(r: MsgpackReader, stamps: Stamp[]): { block: Block; parent: number | null } {
  const stamp = () => {
    const found = stamps[r.uint()];
    if (!found) throw new MsgpackError('an unknown stamp');
    return found;
  };
  r.array(10);
  const id = r.id<BlockId>();
  const parent = r.tryNil() ? null : r.uint();
  const block: Block = {
    id,
    parent: null,
    key: r.str(WIRE.keyBytesMax),
    placeStamp: stamp(),
    type: r.str(WIRE.typeBytesMax),
    typeStamp: stamp(),
    deleted: r.bool(),
    deletedStamp: stamp(),
    props: new Map(),
    propsBytes: 0,
    text: null,
    children: null,
  };
  for (let left = r.array(); left > 0; left--) {
    r.array(3);
    const from = r.offset;
    const [key, value] = [r.str(WIRE.propKeyBytesMax), r.json(WIRE.jsonDepthMax)];
    const bytes = r.offset - from;
    block.props.set(key, { value, bytes, stamp: stamp() });
    block.propsBytes += bytes;
  }
  if (!r.tryNil()) block.text = new BlockText(r.bin(r.bytes.length));
  return { block, parent };
}
