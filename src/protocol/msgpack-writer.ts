/**
 * Writes MessagePack (https://github.com/msgpack/msgpack/blob/master/spec.md) into one growing buffer, always in the
 * shortest form, so equal values are equal bytes. Pure; used by the wire codec, the snapshot codec and the SDK.
 * Not a general encoder: the caller writes shapes position by position and embeds ready bytes with `raw`.
 */
import { ID_BYTES, writeId } from './ids.ts';
import type { JsonValue } from '../base/json.ts';

const utf8 = new TextEncoder();

export class MsgpackWriter {
  #bytes: Uint8Array;
  #view: DataView;
  #length = 0;

  constructor(capacityBytes = 256) {
    this.#bytes = new Uint8Array(capacityBytes);
    this.#view = new DataView(this.#bytes.buffer);
  }

  get length(): number {
    return this.#length;
  }

  get capacity(): number {
    return this.#bytes.length;
  }

  /** What was written, until more is. */
  get written(): Uint8Array {
    return this.#bytes.subarray(0, this.#length);
  }

  /** A copy of what was written; the writer can be reused after `clear`. */
  take(): Uint8Array {
    return this.#bytes.slice(0, this.#length);
  }

  clear(): void {
    this.#length = 0;
  }

  #reserve(count: number): number {
    const at = this.#length;
    const needed = at + count;
    if (needed > this.#bytes.length) {
      const larger = new Uint8Array(Math.max(needed, this.#bytes.length * 2));
      larger.set(this.#bytes.subarray(0, at));
      this.#bytes = larger;
      this.#view = new DataView(larger.buffer);
    }
    this.#length = needed;
    return at;
  }

  #byte(value: number): void {
    const at = this.#reserve(1);
    this.#bytes[at] = value;
  }

  #tagged8(tag: number, value: number): void {
    const at = this.#reserve(2);
    this.#bytes[at] = tag;
    this.#bytes[at + 1] = value;
  }

  #tagged16(tag: number, value: number): void {
    const at = this.#reserve(3);
    this.#bytes[at] = tag;
    this.#view.setUint16(at + 1, value);
  }

  #tagged32(tag: number, value: number): void {
    const at = this.#reserve(5);
    this.#bytes[at] = tag;
    this.#view.setUint32(at + 1, value);
  }

  nil(): this {
    this.#byte(0xc0);
    return this;
  }

  bool(value: boolean): this {
    this.#byte(value ? 0xc3 : 0xc2);
    return this;
  }

  /** An integer within ±(2^53 − 1). */
  int(value: number): this {
    if (value >= 0) {
      if (value < 0x80) this.#byte(value);
      else if (value < 0x100) this.#tagged8(0xcc, value);
      else if (value < 0x10000) this.#tagged16(0xcd, value);
      else if (value < 0x1_0000_0000) this.#tagged32(0xce, value);
      else this.#wide(0xcf, value);
    } else if (value >= -0x20) this.#byte(value & 0xff);
    else if (value >= -0x80) this.#tagged8(0xd0, value & 0xff);
    else if (value >= -0x8000) this.#tagged16(0xd1, value & 0xffff);
    else if (value >= -0x8000_0000) this.#tagged32(0xd2, value >>> 0);
    else this.#wide(0xd3, value);
    return this;
  }

  #wide(tag: number, value: number): void {
    const at = this.#reserve(9);
    this.#bytes[at] = tag;
    const high = Math.floor(value / 0x1_0000_0000);
    this.#view.setInt32(at + 1, high);
    this.#view.setUint32(at + 5, value - high * 0x1_0000_0000);
  }

  /** A number: an integer where it is one, else a 64-bit float. */
  number(value: number): this {
    if (Number.isSafeInteger(value) && !Object.is(value, -0)) return this.int(value);
    const at = this.#reserve(9);
    this.#bytes[at] = 0xcb;
    this.#view.setFloat64(at + 1, value);
    return this;
  }

  str(value: string): this {
    const length = value.length;
    // Short ASCII is the common case (types, keys, ids of users): written in place, without the encoder.
    if (length < 32) {
      const at = this.#reserve(1 + length);
      let i = 0;
      for (; i < length; i++) {
        const code = value.charCodeAt(i);
        if (code > 0x7f) break;
        this.#bytes[at + 1 + i] = code;
      }
      if (i === length) {
        this.#bytes[at] = 0xa0 | length;
        return this;
      }
      this.#length = at;
    }
    const bytes = utf8.encode(value);
    if (bytes.length < 32) this.#byte(0xa0 | bytes.length);
    else if (bytes.length < 0x100) this.#tagged8(0xd9, bytes.length);
    else if (bytes.length < 0x10000) this.#tagged16(0xda, bytes.length);
    else this.#tagged32(0xdb, bytes.length);
    return this.raw(bytes);
  }

  bin(bytes: Uint8Array): this {
    const length = bytes.length;
    if (length < 0x100) this.#tagged8(0xc4, length);
    else if (length < 0x10000) this.#tagged16(0xc5, length);
    else this.#tagged32(0xc6, length);
    return this.raw(bytes);
  }

  /** An id as a 16-byte bin. */
  id(id: string): this {
    this.#tagged8(0xc4, ID_BYTES);
    const at = this.#reserve(ID_BYTES);
    writeId(id, this.#bytes, at);
    return this;
  }

  array(count: number): this {
    if (count < 16) this.#byte(0x90 | count);
    else if (count < 0x10000) this.#tagged16(0xdc, count);
    else this.#tagged32(0xdd, count);
    return this;
  }

  map(count: number): this {
    if (count < 16) this.#byte(0x80 | count);
    else if (count < 0x10000) this.#tagged16(0xde, count);
    else this.#tagged32(0xdf, count);
    return this;
  }

  /** Bytes that are MessagePack already. */
  raw(bytes: Uint8Array, from = 0, to = bytes.length): this {
    const at = this.#reserve(to - from);
    // Of a few bytes a view costs more than the copy.
    if (to - from < 32) for (let i = from; i < to; i++) this.#bytes[at + i - from] = bytes[i]!;
    else this.#bytes.set(to - from < bytes.length ? bytes.subarray(from, to) : bytes, at);
    return this;
  }

  /** A JSON value. The caller has bounded its depth (`limits.ts`). Keys whose value is undefined are left out. */
  json(value: JsonValue): this {
    if (value === null || value === undefined) return this.nil();
    switch (typeof value) {
      case 'boolean':
        return this.bool(value);
      case 'number':
        return this.number(value);
      case 'string':
        return this.str(value);
    }
    if (Array.isArray(value)) {
      this.array(value.length);
      for (const item of value) this.json(item);
      return this;
    }
    const keys = Object.keys(value).filter((key) => value[key] !== undefined);
    this.map(keys.length);
    for (const key of keys) this.str(key).json(value[key]!);
    return this;
  }
}
