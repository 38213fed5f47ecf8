/**
 * One-dimensional PostgreSQL arrays in binary format, each in one Buffer of exactly the right size. node-postgres
 * sends a Buffer as a binary parameter, so an append's arrays are neither printed nor parsed as text: this is the hot
 * path, and it makes no object per element.
 *
 *   int32 dimensions (1) | int32 has nulls (0) | int32 element oid | int32 length | int32 lower bound (1)
 *   then for each element: int32 bytes | bytes
 *
 * Callers give a count and a function from index to value, so no intermediate array of values is built.
 * Used by append-parameters.ts only.
 */
import { Buffer } from 'node:buffer';
import { assert } from '../base/assert.ts';
import { ID_BYTES, writeId } from '../protocol/ids.ts';

const OID = { bytea: 17, int8: 20, int4: 23, text: 25, uuid: 2950 } as const;
const HEADER_BYTES = 20;
const LENGTH_BYTES = 4;
const TWO_32 = 0x1_0000_0000;

type At<T> = (index: number) => T;

/** A Buffer for `count` elements of `elementBytes` in all, with the header written. */
function start(oid: number, count: number, elementBytes: number): Buffer {
  const buffer = Buffer.allocUnsafe(HEADER_BYTES + count * LENGTH_BYTES + elementBytes);
  buffer.writeInt32BE(1, 0);
  buffer.writeInt32BE(0, 4);
  buffer.writeInt32BE(oid, 8);
  buffer.writeInt32BE(count, 12);
  buffer.writeInt32BE(1, 16);
  return buffer;
}

/** Written by hand: Buffer's own methods check the range at every call, which these callers never leave. */
function putInt32(buffer: Buffer, value: number, offset: number): number {
  buffer[offset] = value >>> 24;
  buffer[offset + 1] = value >>> 16;
  buffer[offset + 2] = value >>> 8;
  buffer[offset + 3] = value;
  return offset + 4;
}

export function uuidArray(count: number, at: At<string>): Buffer {
  const buffer = start(OID.uuid, count, count * ID_BYTES);
  for (let i = 0, offset = HEADER_BYTES; i < count; i++, offset += ID_BYTES) {
    offset = putInt32(buffer, ID_BYTES, offset);
    writeId(at(i), buffer, offset);
  }
  return buffer;
}

export function int4Array(count: number, at: At<number>): Buffer {
  const buffer = start(OID.int4, count, count * 4);
  for (let i = 0, offset = HEADER_BYTES; i < count; i++) {
    const value = at(i);
    assert((value | 0) === value, 'an int4 must be a 32-bit integer');
    offset = putInt32(buffer, 4, offset);
    offset = putInt32(buffer, value, offset);
  }
  return buffer;
}

export function int8Array(count: number, at: At<number>): Buffer {
  const buffer = start(OID.int8, count, count * 8);
  for (let i = 0, offset = HEADER_BYTES; i < count; i++) {
    const value = at(i);
    assert(Number.isSafeInteger(value), 'an int8 must be a safe integer');
    offset = putInt32(buffer, 8, offset);
    // Two's complement: floor gives the high half of a negative number too.
    offset = putInt32(buffer, Math.floor(value / TWO_32), offset);
    offset = putInt32(buffer, value % TWO_32, offset);
  }
  return buffer;
}

export function byteaArray(count: number, at: At<Uint8Array>): Buffer {
  let bytes = 0;
  for (let i = 0; i < count; i++) bytes += at(i).length;
  const buffer = start(OID.bytea, count, bytes);
  for (let i = 0, offset = HEADER_BYTES; i < count; i++) {
    const value = at(i);
    offset = putInt32(buffer, value.length, offset);
    buffer.set(value, offset);
    offset += value.length;
  }
  return buffer;
}

export function textArray(count: number, at: At<string>): Buffer {
  let bytes = 0;
  for (let i = 0; i < count; i++) bytes += Buffer.byteLength(at(i));
  const buffer = start(OID.text, count, bytes);
  for (let i = 0, offset = HEADER_BYTES; i < count; i++) {
    const length = buffer.write(at(i), offset + LENGTH_BYTES);
    putInt32(buffer, length, offset);
    offset += LENGTH_BYTES + length;
  }
  return buffer;
}
