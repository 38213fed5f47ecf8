/**
 * Who makes edits: what a person does to a page, edit by edit, as bytes, and what a reader must find in the end. An author
 * writes to blocks of its own only, so that this is known whatever the others do. Authors: `typist.ts`, `trace.ts`,
 * `builder.ts`.
 */
import { OP } from '../document/ops.ts';
import type { Millis } from '../base/time.ts';

export interface ExpectedBlock {
  readonly block: string;
  readonly parent: string;
  readonly key: string;
  readonly type: string;
  readonly deleted: boolean;
  /** The prop `mark`; null: none. */
  readonly mark: number | null;
  /** null: a block without text. */
  readonly text: string | null;
}

export interface Author {
  /** The ops of the next edit; valid until the next call. */
  edit(): Uint8Array;
  /** How long a person waits before the next edit. */
  pauseMs(): Millis;
  expected(): ExpectedBlock[];
  /** Where its cursor is, for presence. */
  readonly cursor: { readonly block: Uint8Array; readonly index: number };
}

/** A text op as the one op of a change. */
export function textOps(updates: readonly Uint8Array[], block: Uint8Array): Uint8Array {
  let bytes = 3;
  for (const update of updates) bytes += 25 + update.length;
  const out = new Uint8Array(bytes);
  let at = 0;
  if (updates.length < 16) out[at++] = 0x90 + updates.length;
  else {
    out[at++] = 0xdc;
    out[at++] = updates.length >> 8;
    out[at++] = updates.length & 0xff;
  }
  for (const update of updates) {
    out[at++] = 0x93;
    out[at++] = OP.text;
    out[at++] = 0xc4;
    out[at++] = 16;
    out.set(block, at);
    at = putBin(out, at + 16, update);
  }
  return out.subarray(0, at);
}

function putBin(out: Uint8Array, at: number, bytes: Uint8Array): number {
  const { length } = bytes;
  const lengthBytes = length < 0x100 ? 1 : length < 0x10000 ? 2 : 4;
  out[at++] = lengthBytes === 1 ? 0xc4 : lengthBytes === 2 ? 0xc5 : 0xc6;
  for (let shift = 8 * (lengthBytes - 1); shift >= 0; shift -= 8) out[at++] = (length >>> shift) & 0xff;
  out.set(bytes, at);
  return at + length;
}
