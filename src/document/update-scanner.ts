/**
 * Reads the parts that Yjs V1 updates are made of, byte by byte; layout in `text-update.ts`. A wrong shape throws
 * `BadUpdate`, which the callers catch or, for what was checked before, let through as the damage that it is.
 */
import { WIRE } from '../protocol/limits.ts';

export const CONTENT = { deleted: 1, string: 4, embed: 5, format: 6 } as const;
/** Structs of other kinds, which only merged or rewritten texts hold: nothing but a length. */
export const [GC, SKIP] = [0, 10];
const ANY = Number.MAX_SAFE_INTEGER;
export const HAS_PARENT_SUB = 0x20;
export const HAS_RIGHT_ORIGIN = 0x40;
export const HAS_ORIGIN = 0x80;

/** As `MsgpackError`: what comes from clients all day walks no stack. */
export class BadUpdate {
  readonly message: string;

  constructor(message: string) {
    this.message = message;
  }

  toString(): string {
    return `BadUpdate: ${this.message}`;
  }
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

export class UpdateScanner {
  readonly #bytes: Uint8Array;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  get left(): number {
    return this.#bytes.length - this.#at;
  }

  /** Where the next byte is. */
  get at(): number {
    return this.#at;
  }

  byte(): number {
    if (this.#at >= this.#bytes.length) throw new BadUpdate('it ends too early');
    return this.#bytes[this.#at++]!;
  }

  /** lib0's varUint: seven bits a byte, lowest first. */
  uint(max: number): number {
    let value = 0;
    let factor = 1;
    for (;;) {
      const byte = this.byte();
      value += (byte & 0x7f) * factor;
      if (byte < 0x80) break;
      factor *= 128;
      if (factor > Number.MAX_SAFE_INTEGER) throw new BadUpdate('a number that is too large');
    }
    if (value > max) throw new BadUpdate('a number that is too large');
    return value;
  }

  str(): string {
    const length = this.uint(this.left);
    if (length > this.left) throw new BadUpdate('it ends too early');
    const from = this.#at;
    this.#at += length;
    if (length === 1 && this.#bytes[from]! < 0x80) return String.fromCharCode(this.#bytes[from]!);
    try {
      return utf8.decode(this.#bytes.subarray(from, from + length));
    } catch {
      // Bad input: TextDecoder in fatal mode throws a TypeError.
      throw new BadUpdate('a string that is not UTF-8');
    }
  }

  /** Steps over a string that was checked before; its length as JavaScript counts it: two for what UTF-8 has four bytes for. */
  skipStr(): number {
    const bytes = this.uint(this.left);
    if (bytes > this.left) throw new BadUpdate('it ends too early');
    const to = this.#at + bytes;
    let length = 0;
    for (let at = this.#at; at < to; at++) {
      const byte = this.#bytes[at]!;
      if (byte < 0x80 || byte >= 0xc0) length += byte < 0xf0 ? 1 : 2;
    }
    this.#at = to;
    return length;
  }

  /** Steps over a struct that was checked before and whose info byte was read; its length in clocks. */
  skipStruct(info: number): number {
    const kind = info & 0x1f;
    if (kind === GC || kind === SKIP) return this.uint(ANY);
    const origins = info & (HAS_ORIGIN | HAS_RIGHT_ORIGIN);
    if (origins === 0) {
      this.uint(1);
      this.skipStr();
    } else for (let left = origins === HAS_ORIGIN || origins === HAS_RIGHT_ORIGIN ? 2 : 4; left > 0; left--) this.uint(ANY);
    if (kind === CONTENT.deleted) return this.uint(ANY);
    if (kind === CONTENT.string) return this.skipStr();
    if (kind === CONTENT.format) this.skipStr();
    this.skipStr();
    return 1;
  } // prettier-ignore

  jsonText(): void {
    const text = this.str();
    let value: unknown;
    try {
      value = JSON.parse(text);
    } catch {
      // Bad input.
      throw new BadUpdate('a format or an embed that is not JSON');
    }
    if (!staysTheSame(value, WIRE.jsonDepthMax))
      throw new BadUpdate('a format or an embed that is nested too deeply or holds a number past all bounds');
  }
}

/** Whether JSON.stringify gives the value back: it recurses, and writes infinities as null. */
function staysTheSame(value: unknown, depthMax: number): boolean {
  if (typeof value === 'number') return Number.isFinite(value);
  if (typeof value !== 'object' || value === null) return true;
  return depthMax > 0 && Object.values(value).every((item) => staysTheSame(item, depthMax - 1));
}
