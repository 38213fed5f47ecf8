/**
 * One block of a snapshot as bytes, both ways; layout in `snapshot.ts`. What is read may be of any shape: `MsgpackError`.
 */
import type { BlockId } from '../protocol/ids.ts';
import { WIRE } from '../protocol/limits.ts';
import { MsgpackError, type MsgpackReader } from '../protocol/msgpack-reader.ts';
import type { MsgpackWriter } from '../protocol/msgpack-writer.ts';
import { type Block, NO_PROPS, type PropRegister } from './block.ts';
import { BlockText } from './block-text.ts';
import type { Stamp } from './hlc.ts';
import { sharedName } from './shared-names.ts';
import { hashProp } from './value-hash.ts';

export const BLOCK_FIELDS = 11;

export function writeBlock(
  w: MsgpackWriter,
  block: Block,
  indexOf: (parent: BlockId) => number,
  stampIndex: (stamp: Stamp) => number,
): void {
  w.array(BLOCK_FIELDS).id(block.id);
  if (block.parent === null) w.nil();
  else w.int(indexOf(block.parent));
  w.str(block.key).int(stampIndex(block.placeStamp)).str(block.type).int(stampIndex(block.typeStamp));
  w.bool(block.deleted).int(stampIndex(block.deletedStamp)).array(block.props.size);
  for (const [key, prop] of block.props) w.array(3).str(key).json(prop.value).int(stampIndex(prop.stamp));
  const { text } = block;
  const update = text?.merged();
  if (text && update) w.bin(update).bin(chainBytes(text));
  else w.nil().nil();
}

/** Writes a block that is read from its id on, from another snapshot, where parent and stamps have other indexes. */
export function copyBlock(
  r: MsgpackReader,
  w: MsgpackWriter,
  parentIndex: (index: number) => number,
  stampIndex: (index: number) => number,
): void {
  w.array(BLOCK_FIELDS);
  copyValues(r, w, 1);
  if (r.tryNil()) w.nil();
  else w.int(parentIndex(r.uint()));
  // Key, type and deletion, each with its stamp.
  for (let left = 3; left > 0; left--) {
    copyValues(r, w, 1);
    w.int(stampIndex(r.uint()));
  }
  const count = r.array();
  w.array(count);
  for (let left = count; left > 0; left--) {
    r.array(3);
    w.array(3);
    copyValues(r, w, 2);
    w.int(stampIndex(r.uint()));
  }
  // Text and chain.
  copyValues(r, w, 2);
}

function copyValues(r: MsgpackReader, w: MsgpackWriter, count: number): void {
  const from = r.offset;
  for (let left = count; left > 0; left--) r.skip();
  w.raw(r.bytes, from, r.offset);
}

/** Steps over what follows id and parent. */
export function skipToEnd(r: MsgpackReader): { readonly deleted: boolean } {
  // Key, type, and their stamps.
  for (let left = 4; left > 0; left--) r.skip();
  const deleted = r.bool();
  // Its stamp; props, text, chain.
  for (let left = 4; left > 0; left--) r.skip();
  return { deleted };
}

/** Reads a block from its id on. Its text is a view. */
export function readBlock(
  r: MsgpackReader,
  stampAt: (index: number) => Stamp,
  idAt: (index: number) => BlockId,
): Block {
  const id = r.id<BlockId>();
  const parent = r.tryNil() ? null : idAt(r.uint());
  const block: Block = {
    id,
    idHash: 0,
    parent,
    key: r.str(WIRE.keyBytesMax),
    placeStamp: stampAt(r.uint()),
    type: sharedName(r.str(WIRE.typeBytesMax)),
    typeStamp: stampAt(r.uint()),
    deleted: r.bool(),
    deletedStamp: stampAt(r.uint()),
    props: NO_PROPS,
    propsBytes: 0,
    text: null,
  };
  const count = r.array();
  if (count > 0) block.props = new Map<string, PropRegister>();
  for (let left = count; left > 0; left--) {
    r.array(3);
    const from = r.offset;
    const [key, value] = [sharedName(r.str(WIRE.propKeyBytesMax)), r.json(WIRE.jsonDepthMax)];
    const bytes = r.offset - from;
    block.props.set(key, { value, bytes, stamp: stampAt(r.uint()), hash: hashProp(key, value) });
    block.propsBytes += bytes;
  }
  if (!r.tryNil()) block.text = new BlockText(r.bin(r.bytes.length));
  if (!r.tryNil()) readChain(r.bin(WIRE.stateHashBytes), block.text);
  return block;
}

function chainBytes({ chainA, chainB }: BlockText): Uint8Array {
  const bytes = new Uint8Array(WIRE.stateHashBytes);
  const view = new DataView(bytes.buffer);
  view.setInt32(0, chainA);
  view.setInt32(4, chainB);
  return bytes;
}

function readChain(bytes: Uint8Array, text: BlockText | null): void {
  if (!text || bytes.length !== WIRE.stateHashBytes) throw new MsgpackError('a chain that fits no text');
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  text.chainA = view.getInt32(0);
  text.chainB = view.getInt32(4);
}
