/**
 * The few parts of the protocol that a load test meets with every keystroke, written and read byte by byte and in place: the SDK's
 * way would cost several times what it costs the server. `docs/protocol.md` has the layouts. What is read came from a server
 * under test and is trusted to be well formed; a reader that loses its place throws.
 */
import { idToBytes } from '../protocol/ids.ts';
import { CLIENT_KIND } from '../protocol/messages.ts';
import { LoadError } from './load-error.ts';

const NIL = 0xc0;
const SMALL = 125;
/** Room for a frame's head and for what stands before and after the ops of a change. */
const HEADROOM = 14 + 32;

export function putUint(target: Uint8Array, at: number, value: number): number {
  if (value < 0x80) {
    target[at] = value;
    return at + 1;
  }
  const bytes = value < 0x100 ? 1 : value < 0x10000 ? 2 : value < 2 ** 32 ? 4 : 8;
  target[at++] = bytes === 1 ? 0xcc : bytes === 2 ? 0xcd : bytes === 4 ? 0xce : 0xcf;
  for (let i = bytes - 1, rest = value; i >= 0; i--, rest = Math.floor(rest / 256))
    target[at + i] = rest % 256;
  return at + bytes;
}

/** The frame of change `n` of the page under ch 1. */
export function changeFrame(n: number, ms: number, counter: number, ops: Uint8Array): Buffer {
  const buffer = Buffer.allocUnsafe(HEADROOM + ops.length);
  const large = ops.length > SMALL - 32;
  const huge = ops.length > 0xff00;
  const from = huge ? 14 : large ? 8 : 6;
  let at = from;
  buffer[at++] = 0x96;
  buffer[at++] = CLIENT_KIND.change;
  buffer[at++] = 1;
  at = putUint(buffer, at, n);
  buffer[at++] = 0x92;
  at = putUint(buffer, at, ms);
  at = putUint(buffer, at, counter);
  buffer.set(ops, at);
  at += ops.length;
  buffer[at++] = NIL;
  const length = at - from;
  buffer.fill(0, 0, from);
  buffer[0] = 0x82;
  buffer[1] = 0x80 | (huge ? 127 : large ? 126 : length);
  if (huge) buffer.writeUInt32BE(length, 6);
  else if (large) buffer.writeUInt16BE(length, 2);
  return buffer.subarray(0, at);
}

/** A cursor's state as presence, with the number by which its receivers find its due moment. */
export function presenceFrame(number: number, block: Uint8Array, index: number): Buffer {
  const buffer = Buffer.allocUnsafe(48);
  let at = 6;
  buffer[at++] = 0x93;
  buffer[at++] = CLIENT_KIND.presence;
  buffer[at++] = 1;
  buffer[at++] = 0x93;
  at = putUint(buffer, at, number);
  buffer[at++] = 0xc4;
  buffer[at++] = 16;
  buffer.set(block, at);
  at = putUint(buffer, at + 16, index);
  buffer.fill(0, 0, 6);
  buffer[0] = 0x82;
  buffer[1] = 0x80 | (at - 6);
  return buffer.subarray(0, at);
}

/** Replicas of a run: twelve bytes of its own, then the client's number. */
export function replicaBytes(run: string, client: number): Uint8Array {
  const bytes = idToBytes(run);
  new DataView(bytes.buffer).setUint32(12, client);
  return bytes;
}

/** Reads a message from place to place. One for all: reading never yields. */
export class WireReader {
  bytes: Uint8Array = new Uint8Array(0);
  at = 0;

  begin(bytes: Uint8Array, at: number): void {
    this.bytes = bytes;
    this.at = at;
  }

  uint(): number {
    const { bytes } = this;
    const tag = bytes[this.at++]!;
    if (tag < 0x80) return tag;
    const length = tag === 0xcc ? 1 : tag === 0xcd ? 2 : tag === 0xce ? 4 : tag === 0xcf ? 8 : 0;
    if (length === 0) throw new LoadError(`the server sent what is no number (tag ${tag})`);
    let value = 0;
    for (let left = length; left > 0; left--) value = value * 256 + bytes[this.at++]!;
    return value;
  }

  array(): number {
    const { bytes } = this;
    const tag = bytes[this.at++]!;
    if (tag >= 0x90 && tag < 0xa0) return tag - 0x90;
    if (tag !== 0xdc && tag !== 0xdd) throw new LoadError(`the server sent what is no array (tag ${tag})`);
    let count = 0;
    for (let left = tag === 0xdc ? 2 : 4; left > 0; left--) count = count * 256 + bytes[this.at++]!;
    return count;
  }

  /** Steps over the two bytes before an id, and the id; its last four bytes as a number. */
  idNumber(): number {
    const end = (this.at += 18);
    const { bytes } = this;
    return (
      bytes[end - 4]! * 0x1_00_00_00 + (bytes[end - 3]! << 16) + (bytes[end - 2]! << 8) + bytes[end - 1]!
    );
  }

  /** Steps over one value, whatever it is. */
  skip(): void {
    const { bytes } = this;
    for (let left = 1; left > 0; left--) {
      const tag = bytes[this.at++]!;
      if (tag < 0x80 || tag >= 0xe0 || tag === NIL || tag === 0xc2 || tag === 0xc3) continue;
      if (tag < 0x90) left += 2 * (tag - 0x80);
      else if (tag < 0xa0) left += tag - 0x90;
      else if (tag < 0xc0) this.at += tag - 0xa0;
      else left += this.#skipLong(tag);
    }
  }

  /** Steps over the head of a long value and, unless it is a collection, over the value; how many values follow in it. */
  #skipLong(tag: number): number {
    const count = (bytes: number): number => {
      let value = 0;
      for (let left = bytes; left > 0; left--) value = value * 256 + this.bytes[this.at++]!;
      return value;
    };
    const over = (bytes: number): number => {
      this.at += bytes;
      return 0;
    };
    if (tag === 0xc4 || tag === 0xd9) return over(count(1));
    if (tag === 0xc5 || tag === 0xda) return over(count(2));
    if (tag === 0xc6 || tag === 0xdb) return over(count(4));
    if (tag === 0xdc || tag === 0xdd) return count(tag === 0xdc ? 2 : 4);
    if (tag === 0xde || tag === 0xdf) return 2 * count(tag === 0xde ? 2 : 4);
    if (tag === 0xca || tag === 0xce || tag === 0xd2) return over(4);
    if (tag === 0xcb || tag === 0xcf || tag === 0xd3) return over(8);
    if (tag === 0xcc || tag === 0xd0) return over(1);
    if (tag === 0xcd || tag === 0xd1) return over(2);
    throw new LoadError(`the server sent a value of an unknown kind (tag ${tag})`);
  }
}
