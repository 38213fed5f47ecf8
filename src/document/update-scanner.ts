/**
 * Reads the parts that Yjs V1 updates are made of, byte by byte; layout in `text-update.ts`. A wrong shape throws
 * `BadUpdate`, which the callers catch or, for what was checked before, let through as the damage that it is.
 */
import { WIRE } from '../protocol/limits.ts';

export const CONTENT = { deleted: 1, string: 4, embed: 5, format: 6 } as const;
export const HAS_PARENT_SUB = 0x20;
export const HAS_RIGHT_ORIGIN = 0x40;
export const HAS_ORIGIN = 0x80;

export class BadUpdate extends Error {}

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
