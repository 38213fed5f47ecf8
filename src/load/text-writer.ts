/**
 * One person's text in one block, as the bytes that Yjs would make of it: what is at each place is known by its clock, so an edit
 * costs a few dozen bytes and no Y.Doc. Only its owner writes in the block; what anybody must read there in the end is `text`.
 * The layout is told in `document/text-update.ts`.
 */

const ROOT = [1, 4, 116, 101, 120, 116]; // by name; "text", with its length
const STRING = 4;
const HAS_ORIGIN = 0x80;
const HAS_RIGHT_ORIGIN = 0x40;

function putVarUint(target: Uint8Array, at: number, value: number): number {
  let rest = value;
  while (rest > 0x7f) {
    target[at++] = 0x80 | (rest & 0x7f);
    rest = Math.floor(rest / 128);
  }
  target[at++] = rest;
  return at;
}

export class TextWriter {
  readonly #client: number;
  /** The clock of each character that shows, in order. */
  readonly #clocks: number[] = [];
  readonly #codes: number[] = [];
  #next = 0;
  #scratch = new Uint8Array(256);

  constructor(yjsClient: number) {
    this.#client = yjsClient;
  }

  get length(): number {
    return this.#clocks.length;
  }

  get text(): string {
    let text = '';
    for (let i = 0; i < this.#codes.length; i += 4096)
      text += String.fromCharCode(...this.#codes.slice(i, i + 4096));
    return text;
  }

  /** Puts ASCII at a place; the update, valid until the next call. */
  insert(place: number, ascii: string): Uint8Array {
    const out = this.#room(ascii.length + 64);
    let at = 0;
    out[at++] = 1;
    out[at++] = 1;
    at = putVarUint(out, at, this.#client);
    at = putVarUint(out, at, this.#next);
    const left = place > 0 ? this.#clocks[place - 1] : undefined;
    const right = this.#clocks[place];
    out[at++] = STRING | (left === undefined ? 0 : HAS_ORIGIN) | (right === undefined ? 0 : HAS_RIGHT_ORIGIN);
    if (left !== undefined) at = putVarUint(out, putVarUint(out, at, this.#client), left);
    if (right !== undefined) at = putVarUint(out, putVarUint(out, at, this.#client), right);
    if (left === undefined && right === undefined) {
      out.set(ROOT, at);
      at += ROOT.length;
    }
    at = putVarUint(out, at, ascii.length);
    for (let i = 0; i < ascii.length; i++) out[at++] = ascii.charCodeAt(i);
    out[at++] = 0;
    this.#remember(place, ascii);
    return out.subarray(0, at);
  }

  #remember(place: number, ascii: string): void {
    const atEnd = place === this.#clocks.length;
    if (atEnd || ascii.length > 1000) {
      const [clocksAfter, codesAfter] = [this.#clocks.splice(place), this.#codes.splice(place)];
      for (let i = 0; i < ascii.length; i++) {
        this.#clocks.push(this.#next++);
        this.#codes.push(ascii.charCodeAt(i));
      }
      for (const clock of clocksAfter) this.#clocks.push(clock);
      for (const code of codesAfter) this.#codes.push(code);
      return;
    }
    for (let i = 0; i < ascii.length; i++) {
      this.#clocks.splice(place + i, 0, this.#next++);
      this.#codes.splice(place + i, 0, ascii.charCodeAt(i));
    }
  }

  /** Takes characters away; there must be some. The update, valid until the next call. */
  delete(place: number, count: number): Uint8Array {
    const gone = this.#clocks.splice(place, count).sort((a, b) => a - b);
    this.#codes.splice(place, count);
    const ranges: number[] = [];
    for (const clock of gone) {
      const last = ranges.length - 1;
      if (last > 0 && ranges[last - 1]! + ranges[last]! === clock) ranges[last]!++;
      else ranges.push(clock, 1);
    }
    const out = this.#room(16 + ranges.length * 5);
    let at = 0;
    out[at++] = 0;
    out[at++] = 1;
    at = putVarUint(out, at, this.#client);
    at = putVarUint(out, at, ranges.length / 2);
    for (const value of ranges) at = putVarUint(out, at, value);
    return out.subarray(0, at);
  }

  #room(bytes: number): Uint8Array {
    if (this.#scratch.length < bytes) this.#scratch = new Uint8Array(2 * bytes);
    return this.#scratch;
  }
}
