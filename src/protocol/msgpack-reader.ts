/**
 * Reads MessagePack position by position. Hostile input is the normal case: every length is checked against what is
 * left before anything is allocated, nesting is bounded, nothing recurses deeper than `depthMax`, maps never touch a
 * prototype. A wrong shape throws `MsgpackError`; only `decode.ts` and the snapshot codec catch it, and turn it into a
 * value. Bins are views into the input, not copies.
 */
import type { JsonValue } from '../base/json.ts';
import { bytesToId, ID_BYTES } from './ids.ts';

/** Bad input, which is the normal case: no Error, since each of those walks the stack, 4 µs a frame of nonsense. */
export class MsgpackError {
  readonly message: string;

  constructor(message: string) {
    this.message = message;
  }

  toString(): string {
    return `MsgpackError: ${this.message}`;
  }
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
const NIL = 0xc0;
const float = new DataView(new ArrayBuffer(8));
/** V8 keeps so small an array within its object; a view of one would need a buffer outside the heap for both. */
const COPIED_BYTES_MAX = 64;

export class MsgpackReader {
  readonly bytes: Uint8Array;
  #at: number;

  constructor(bytes: Uint8Array, offset = 0) {
    this.bytes = bytes;
    this.#at = offset;
  }

  get offset(): number {
    return this.#at;
  }

  /** Goes on at a place where a value begins. */
  seek(offset: number): void {
    this.#at = offset;
  }

  get atEnd(): boolean {
    return this.#at >= this.bytes.length;
  }

  #advance(count: number): number {
    const at = this.#at;
    if (count > this.bytes.length - at) throw new MsgpackError('the message ends too early');
    this.#at = at + count;
    return at;
  }

  #tag(): number {
    return this.bytes[this.#advance(1)]!;
  }

  // By hand: a DataView for each frame costs more than all that is read through it.
  #u8(): number {
    return this.bytes[this.#advance(1)]!;
  }

  #u16(): number {
    const at = this.#advance(2);
    return (this.bytes[at]! << 8) | this.bytes[at + 1]!;
  }

  #i32(): number {
    const { bytes } = this;
    const at = this.#advance(4);
    return (bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!;
  }

  #u32(): number {
    return this.#i32() >>> 0;
  }

  #float(size: 4 | 8): number {
    const at = this.#advance(size);
    for (let i = 0; i < size; i++) float.setUint8(i, this.bytes[at + i]!);
    return this.#finite(size === 4 ? float.getFloat32(0) : float.getFloat64(0));
  }

  /** Consumes a nil if one is next. */
  tryNil(): boolean {
    if (this.bytes[this.#at] !== NIL) return false;
    this.#at++;
    return true;
  }

  /** An integer from 0 to `max` (at most 2^53 − 1). */
  uint(max = Number.MAX_SAFE_INTEGER): number {
    const value = this.#number(this.#tag());
    if (!Number.isInteger(value) || value < 0 || value > max)
      throw new MsgpackError(`expected an integer 0…${max}`);
    return value;
  }

  #number(tag: number): number {
    if (tag < 0x80) return tag;
    if (tag >= 0xe0) return tag - 0x100;
    switch (tag) {
      case 0xcc:
        return this.#u8();
      case 0xcd:
        return this.#u16();
      case 0xce:
        return this.#u32();
      case 0xcf: {
        const high = this.#u32();
        return this.#safe(high * 0x1_0000_0000 + this.#u32());
      }
      case 0xd0:
        return (this.#u8() << 24) >> 24;
      case 0xd1:
        return (this.#u16() << 16) >> 16;
      case 0xd2:
        return this.#i32();
      case 0xd3: {
        const high = this.#i32();
        return this.#safe(high * 0x1_0000_0000 + this.#u32());
      }
      case 0xca:
        return this.#float(4);
      case 0xcb:
        return this.#float(8);
      default:
        throw new MsgpackError('expected a number');
    }
  }

  #safe(value: number): number {
    if (!Number.isSafeInteger(value)) throw new MsgpackError('an integer beyond 2^53 − 1');
    return value;
  }

  #finite(value: number): number {
    if (!Number.isFinite(value)) throw new MsgpackError('a number that is not finite');
    return value;
  }

  bool(): boolean {
    const tag = this.#tag();
    if (tag !== 0xc2 && tag !== 0xc3) throw new MsgpackError('expected a boolean');
    return tag === 0xc3;
  }

  str(bytesMax: number): string {
    return this.#text(this.#strLength(this.#tag()), bytesMax);
  }

  #strLength(tag: number): number {
    if (tag >= 0xa0 && tag < 0xc0) return tag - 0xa0;
    if (tag === 0xd9) return this.#u8();
    if (tag === 0xda) return this.#u16();
    if (tag === 0xdb) return this.#u32();
    throw new MsgpackError('expected a string');
  }

  #text(length: number, bytesMax: number): string {
    if (length > bytesMax) throw new MsgpackError(`a string of ${length} bytes; at most ${bytesMax}`);
    const at = this.#advance(length);
    if (length < 24) {
      let text = '';
      for (let i = at; i < at + length; i++) {
        const code = this.bytes[i]!;
        if (code > 0x7f) return this.#decode(at, length);
        text += String.fromCharCode(code);
      }
      return text;
    }
    return this.#decode(at, length);
  }

  #decode(at: number, length: number): string {
    try {
      return utf8.decode(this.bytes.subarray(at, at + length));
    } catch {
      // Bad input, not a bug: TextDecoder in fatal mode throws a TypeError.
      throw new MsgpackError('a string that is not UTF-8');
    }
  }

  /** A view of a bin's bytes. */
  bin(bytesMax: number): Uint8Array {
    const length = this.#binLength(bytesMax);
    const at = this.#advance(length);
    return this.bytes.subarray(at, at + length);
  }

  /** As `bin`, but perhaps a copy: whichever costs less. */
  shortBin(bytesMax: number): Uint8Array {
    const length = this.#binLength(bytesMax);
    const at = this.#advance(length);
    return length > COPIED_BYTES_MAX
      ? this.bytes.subarray(at, at + length)
      : this.bytes.slice(at, at + length);
  }

  #binLength(bytesMax: number): number {
    const tag = this.#tag();
    let length: number;
    if (tag === 0xc4) length = this.#u8();
    else if (tag === 0xc5) length = this.#u16();
    else if (tag === 0xc6) length = this.#u32();
    else throw new MsgpackError('expected a bin');
    if (length > bytesMax) throw new MsgpackError(`a bin of ${length} bytes; at most ${bytesMax}`);
    return length;
  }

  /** An id: a bin of exactly 16 bytes. */
  id<T extends string>(): T {
    return bytesToId<T>(this.bytes, this.skipId());
  }

  /** Steps over an id; returns where its 16 bytes are. */
  skipId(): number {
    if (this.#tag() !== 0xc4 || this.bytes[this.#at] !== ID_BYTES)
      throw new MsgpackError('expected a 16-byte id');
    return this.#advance(1 + ID_BYTES) + 1;
  }

  /** The count of an array's items. Each item takes a byte at least, so a count past the input is refused here. */
  array(countMax = Number.MAX_SAFE_INTEGER): number {
    const tag = this.#tag();
    let count: number;
    if (tag >= 0x90 && tag < 0xa0) count = tag - 0x90;
    else if (tag === 0xdc) count = this.#u16();
    else if (tag === 0xdd) count = this.#u32();
    else throw new MsgpackError('expected an array');
    return this.#count(count, 1, countMax);
  }

  /** The count of a map's pairs. */
  map(countMax = Number.MAX_SAFE_INTEGER): number {
    const tag = this.#tag();
    let count: number;
    if (tag >= 0x80 && tag < 0x90) count = tag - 0x80;
    else if (tag === 0xde) count = this.#u16();
    else if (tag === 0xdf) count = this.#u32();
    else throw new MsgpackError('expected a map');
    return this.#count(count, 2, countMax);
  }

  #count(count: number, bytesEach: number, countMax: number): number {
    if (count * bytesEach > this.bytes.length - this.#at)
      throw new MsgpackError('more items declared than bytes left');
    if (count > countMax) throw new MsgpackError(`${count} items; at most ${countMax}`);
    return count;
  }

  /** A JSON value: nil, booleans, finite numbers, strings, arrays, maps with string keys; no bins, no extensions. */
  json(depthMax: number): JsonValue {
    const tag = this.bytes[this.#at];
    if (tag === undefined) throw new MsgpackError('the message ends too early');
    if (tag === NIL || tag === 0xc2 || tag === 0xc3) {
      this.#at++;
      return tag === NIL ? null : tag === 0xc3;
    }
    if ((tag >= 0xa0 && tag < 0xc0) || (tag >= 0xd9 && tag <= 0xdb)) return this.str(this.bytes.length);
    const isArray = (tag >= 0x90 && tag < 0xa0) || tag === 0xdc || tag === 0xdd;
    const isMap = (tag >= 0x80 && tag < 0x90) || tag === 0xde || tag === 0xdf;
    if (!isArray && !isMap) {
      this.#at++;
      return this.#number(tag);
    }
    if (depthMax <= 0) throw new MsgpackError('a value nested too deeply');
    if (isArray) {
      const items: JsonValue[] = [];
      for (let left = this.array(); left > 0; left--) items.push(this.json(depthMax - 1));
      return items;
    }
    const object: { [key: string]: JsonValue } = {};
    for (let left = this.map(); left > 0; left--) {
      const key = this.str(this.bytes.length);
      const value = this.json(depthMax - 1);
      // Assigning `__proto__` would set the prototype; as an own property it is only data.
      if (key === '__proto__') Object.defineProperty(object, key, { value, enumerable: true, writable: true, configurable: true });
      else object[key] = value; // prettier-ignore
    }
    return object;
  }

  /** Steps over one value of any shape without allocating; nesting is counted, not recursed. */
  skip(): void {
    for (let left = 1; left > 0; left--) left += this.#skipOne();
  }

  /** The bytes of the next value, unread. */
  rawValue(): Uint8Array {
    const from = this.#at;
    this.skip();
    return this.bytes.subarray(from, this.#at);
  }

  /** Steps over a scalar, or over a container's head; returns how many values the container holds. */
  #skipOne(): number {
    const tag = this.#tag();
    if (tag < 0x80 || tag >= 0xe0) return 0;
    if (tag < 0x90) return this.#count(tag - 0x80, 2, Infinity) * 2;
    if (tag < 0xa0) return this.#count(tag - 0x90, 1, Infinity);
    if (tag < 0xc0) return this.#skipBytes(tag - 0xa0);
    switch (tag) {
      case 0xc0:
      case 0xc2:
      case 0xc3: return 0; // prettier-ignore
      case 0xcc:
      case 0xd0: return this.#skipBytes(1); // prettier-ignore
      case 0xcd:
      case 0xd1:
      case 0xd4: return this.#skipBytes(2); // prettier-ignore
      case 0xd5: return this.#skipBytes(3); // prettier-ignore
      case 0xca:
      case 0xce:
      case 0xd2: return this.#skipBytes(4); // prettier-ignore
      case 0xd6: return this.#skipBytes(5); // prettier-ignore
      case 0xcb:
      case 0xcf:
      case 0xd3: return this.#skipBytes(8); // prettier-ignore
      case 0xd7: return this.#skipBytes(9); // prettier-ignore
      case 0xd8: return this.#skipBytes(17); // prettier-ignore
      case 0xc4:
      case 0xd9: return this.#skipBytes(this.#u8()); // prettier-ignore
      case 0xc5:
      case 0xda: return this.#skipBytes(this.#u16()); // prettier-ignore
      case 0xc6:
      case 0xdb: return this.#skipBytes(this.#u32()); // prettier-ignore
      case 0xc7: return this.#skipBytes(this.#u8() + 1); // prettier-ignore
      case 0xc8: return this.#skipBytes(this.#u16() + 1); // prettier-ignore
      case 0xc9: return this.#skipBytes(this.#u32() + 1); // prettier-ignore
      case 0xdc: return this.#count(this.#u16(), 1, Infinity); // prettier-ignore
      case 0xdd: return this.#count(this.#u32(), 1, Infinity); // prettier-ignore
      case 0xde: return this.#count(this.#u16(), 2, Infinity) * 2; // prettier-ignore
      case 0xdf: return this.#count(this.#u32(), 2, Infinity) * 2; // prettier-ignore
      default: throw new MsgpackError('a byte that MessagePack does not use'); // prettier-ignore
    }
  }

  #skipBytes(count: number): 0 {
    this.#advance(count);
    return 0;
  }
}
