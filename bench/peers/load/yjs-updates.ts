/**
 * Reads of a Yjs V1 update what counting needs: which client typed which clocks. It understands insertions of text and
 * nothing else, and says so if it meets another thing. Servers may merge updates and join neighbours into one struct.
 */
import { BenchError } from '../../lib/must.ts';

const STRING = 4;
const HAS_ORIGIN = 0x80;
const HAS_RIGHT_ORIGIN = 0x40;
const HAS_PARENT_KEY = 0x20;

export type OnTyped = (client: number, clock: number, characters: number) => void;

/** Where the last read ended: one reader at a time. */
let cursor = 0;

export function readVarUint(bytes: Uint8Array, at: number): number {
  cursor = at;
  return varUint(bytes);
}

export const readTo = (): number => cursor;

function varUint(bytes: Uint8Array): number {
  let value = 0;
  let factor = 1;
  for (;;) {
    const byte = bytes[cursor++]!;
    value += (byte & 0x7f) * factor;
    if (byte < 0x80) return value;
    factor *= 128;
  }
}

function skipId(bytes: Uint8Array): void {
  varUint(bytes);
  varUint(bytes);
}

function skipString(bytes: Uint8Array): void {
  cursor = varUint(bytes) + cursor;
}

/** Reads one struct; returns the number of its characters, which are all of one byte. */
function textStruct(bytes: Uint8Array): number {
  const info = bytes[cursor++]!;
  if ((info & 31) !== STRING) throw new BenchError(`an update with a struct of kind ${info & 31}: no text`);
  if (info & HAS_ORIGIN) skipId(bytes);
  if (info & HAS_RIGHT_ORIGIN) skipId(bytes);
  if (!(info & (HAS_ORIGIN | HAS_RIGHT_ORIGIN))) {
    if (varUint(bytes) === 1) skipString(bytes);
    else skipId(bytes);
    if (info & HAS_PARENT_KEY) skipString(bytes);
  }
  const length = varUint(bytes);
  cursor += length;
  return length;
}

/** Tells each run of characters of the update in `bytes` from `from` up to `to`. */
export function readTyped(bytes: Uint8Array, from: number, to: number, tell: OnTyped): void {
  cursor = from;
  for (let clients = varUint(bytes); clients > 0; clients--) {
    const structs = varUint(bytes);
    const client = varUint(bytes);
    const first = varUint(bytes);
    let clock = first;
    for (let i = 0; i < structs; i++) clock += textStruct(bytes);
    tell(client, first, clock - first);
  }
  if (varUint(bytes) !== 0 || cursor !== to)
    throw new BenchError('an update that deletes, or is longer than it says');
}
