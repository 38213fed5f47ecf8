/**
 * The ops of the `blocks` model: the union, and both directions of its codec. A change's ops are one MessagePack array
 * of arrays `[op, block, …]`; those bytes are what the log stores. Pure.
 *
 * `insert` [1, block, parent, key, type, props or nil, text or nil] · `update` [2, block, props, type or nil] ·
 * `delete` [3, block] · `restore` [4, block] · `move` [5, block, parent, key] · `text` [6, block, update] ·
 * `purge` [7, blocks]: the server's own. A prop set to nil is removed. An op number this code does not know is kept as
 * `unknown`: refused from clients, skipped (and remembered) when it comes from the log.
 */
import { assertNever } from '../base/assert.ts';
import type { JsonValue } from '../base/json.ts';
import type { BlockId } from '../protocol/ids.ts';
import { WIRE } from '../protocol/limits.ts';
import { MsgpackError, MsgpackReader } from '../protocol/msgpack-reader.ts';
import { MsgpackWriter } from '../protocol/msgpack-writer.ts';
import { isOrderKey } from './order.ts';
import { sharedName } from './shared-names.ts';
import { scanTextUpdate, type TextShape } from './text-update.ts';
import { hashProp } from './value-hash.ts';

export const OP = { insert: 1, update: 2, delete: 3, restore: 4, move: 5, text: 6, purge: 7 } as const;

export interface PropWrite {
  readonly key: string;
  /** null removes the prop. */
  readonly value: JsonValue;
  /** Bytes on the wire, for the limit of a block's props. */
  readonly bytes: number;
  /** Of key and value, for the state's hash. */
  readonly hash: number;
}

export interface TextWrite {
  readonly update: Uint8Array;
  readonly shape: TextShape;
}

export type Op =
  | {
      readonly op: 'insert';
      readonly block: BlockId;
      readonly parent: BlockId;
      readonly key: string;
      readonly type: string;
      readonly props: readonly PropWrite[];
      readonly text: TextWrite | null;
    }
  | { readonly op: 'update'; readonly block: BlockId; readonly props: readonly PropWrite[]; readonly type: string | null }
  | { readonly op: 'delete' | 'restore'; readonly block: BlockId }
  | { readonly op: 'move'; readonly block: BlockId; readonly parent: BlockId; readonly key: string }
  | ({ readonly op: 'text'; readonly block: BlockId } & TextWrite)
  | { readonly op: 'purge'; readonly blocks: readonly BlockId[] }
  | { readonly op: 'unknown'; readonly number: number }; // prettier-ignore

/** The ops of a change, or why the bytes are none. Never throws. `update` bins may be views into `bytes`. */
export function decodeOps(bytes: Uint8Array): Op[] | { readonly malformed: string } {
  try {
    const reader = new MsgpackReader(bytes);
    const ops: Op[] = [];
    for (let left = reader.array(); left > 0; left--) ops.push(readOp(reader));
    if (!reader.atEnd) throw new MsgpackError('bytes after the ops');
    return ops;
  } catch (error) {
    // Bad input; a bug goes on.
    if (error instanceof MsgpackError) return { malformed: error.message };
    throw error;
  }
}

function readOp(reader: MsgpackReader): Op {
  const count = reader.array();
  if (count < 2) throw new MsgpackError('an op needs a number and a block');
  const number = reader.uint(0xffff);
  const { op, fields } = readKnown(reader, number, count);
  for (let extra = count - fields; extra > 0; extra--) reader.skip();
  return op;
}

function readKnown(reader: MsgpackReader, number: number, count: number): { op: Op; fields: number } {
  const need = (fields: number) => {
    if (count < fields) throw new MsgpackError(`op ${number} has ${fields} elements, ${count} found`);
    return fields;
  };
  switch (number) {
    case OP.insert: {
      const fields = need(7);
      const [block, parent] = [reader.id<BlockId>(), reader.id<BlockId>()];
      const key = readKey(reader);
      const type = readType(reader);
      const props = reader.tryNil() ? [] : readProps(reader);
      return { op: { op: 'insert', block, parent, key, type, props, text: readText(reader) }, fields };
    }
    case OP.update: {
      const fields = need(4);
      const block = reader.id<BlockId>();
      const props = readProps(reader);
      return { op: { op: 'update', block, props, type: reader.tryNil() ? null : readType(reader) }, fields };
    }
    case OP.delete:
      return { op: { op: 'delete', block: reader.id() }, fields: 2 };
    case OP.restore:
      return { op: { op: 'restore', block: reader.id() }, fields: 2 };
    case OP.move: {
      const fields = need(4);
      return { op: { op: 'move', block: reader.id(), parent: reader.id(), key: readKey(reader) }, fields };
    }
    case OP.text: {
      const fields = need(3);
      const block = reader.id<BlockId>();
      const text = readText(reader);
      if (!text) throw new MsgpackError('a text op without an update');
      return { op: { op: 'text', block, ...text }, fields };
    }
    case OP.purge: {
      const blocks: BlockId[] = [];
      for (let left = reader.array(); left > 0; left--) blocks.push(reader.id());
      return { op: { op: 'purge', blocks }, fields: 2 };
    }
    default:
      return { op: { op: 'unknown', number }, fields: 1 };
  }
}

function readKey(reader: MsgpackReader): string {
  const key = reader.str(WIRE.keyBytesMax);
  if (!isOrderKey(key)) throw new MsgpackError('an order key that is not valid');
  return key;
}

function readType(reader: MsgpackReader): string {
  const type = reader.str(WIRE.typeBytesMax);
  if (type.length === 0) throw new MsgpackError('an empty block type');
  return sharedName(type);
}

function readProps(reader: MsgpackReader): PropWrite[] {
  const props: PropWrite[] = [];
  for (let left = reader.map(WIRE.propKeysMax); left > 0; left--) {
    const from = reader.offset;
    const key = sharedName(reader.str(WIRE.propKeyBytesMax));
    const value = reader.json(WIRE.jsonDepthMax);
    props.push({ key, value, bytes: reader.offset - from, hash: hashProp(key, value) });
  }
  return props;
}

function readText(reader: MsgpackReader): TextWrite | null {
  if (reader.tryNil()) return null;
  const update = reader.shortBin(reader.bytes.length);
  const shape = scanTextUpdate(update);
  if ('malformed' in shape) throw new MsgpackError(shape.malformed);
  return { update, shape };
}

/** An op as a client makes it: without what only a decoder knows. */
export type OpDraft =
  | {
      op: 'insert';
      block: BlockId;
      parent: BlockId;
      key: string;
      type: string;
      props: { [key: string]: JsonValue };
      text: Uint8Array | null;
    }
  | { op: 'update'; block: BlockId; props: { [key: string]: JsonValue }; type: string | null }
  | { op: 'delete' | 'restore'; block: BlockId }
  | { op: 'move'; block: BlockId; parent: BlockId; key: string }
  | { op: 'text'; block: BlockId; update: Uint8Array }
  | { op: 'purge'; blocks: BlockId[] };

/** The bytes of a change's ops. */
export function encodeOps(ops: readonly OpDraft[]): Uint8Array {
  const w = new MsgpackWriter();
  w.array(ops.length);
  for (const op of ops) writeOp(w, op);
  return w.take();
}

function writeOp(w: MsgpackWriter, op: OpDraft): void {
  switch (op.op) {
    case 'insert':
      w.array(7).int(OP.insert).id(op.block).id(op.parent).str(op.key).str(op.type).json(op.props);
      if (op.text === null) w.nil();
      else w.bin(op.text);
      return;
    case 'update':
      w.array(4).int(OP.update).id(op.block).json(op.props);
      if (op.type === null) w.nil();
      else w.str(op.type);
      return;
    case 'delete':
    case 'restore':
      w.array(2).int(OP[op.op]).id(op.block);
      return;
    case 'move':
      w.array(4).int(OP.move).id(op.block).id(op.parent).str(op.key);
      return;
    case 'text':
      w.array(3).int(OP.text).id(op.block).bin(op.update);
      return;
    case 'purge':
      w.array(2).int(OP.purge).array(op.blocks.length);
      for (const block of op.blocks) w.id(block);
      return;
    default:
      assertNever(op);
  }
}
