/**
 * Makes one Yjs V1 update of several that follow each other, as `Y.mergeUpdates` does, in a fifth of its time and with a
 * tenth of its garbage: structs are not decoded, only stepped over, and their bytes put together client by client.
 *
 *     [clients] { [structs] [client] [clock] structs … }  [clients] { [client] [ranges] { [clock] [length] } }
 *      \___ one section for each client, the highest id first ___/     \___ the delete set, ranges in order ___/
 *
 * What one update says of a client must begin where the one before ended, which is so for what a text has taken in. If it
 * does not, or there is what stands for nothing (Skip), the caller asks Yjs. Pure.
 */
import { SKIP, UpdateScanner } from './update-scanner.ts';

const ANY = Number.MAX_SAFE_INTEGER;
const VAR_UINT_BYTES_MAX = 8;

interface Section {
  readonly client: number;
  readonly from: number;
  to: number;
  structs: number;
  bytes: number;
  /** Where the structs stand. */
  readonly parts: [update: Uint8Array, from: number, to: number][];
}

/** The updates as one; undefined where that takes more than putting them together. They were checked when they came. */
export function mergeUpdates(updates: readonly Uint8Array[]): Uint8Array | undefined {
  const sections = new Map<number, Section>();
  const deletes = new Map<number, Range[]>();
  for (const update of updates) {
    const scanner = new UpdateScanner(update);
    if (!readSections(scanner, update, sections)) return undefined;
    readDeletes(scanner, deletes);
  }
  return write(byClient(sections), byClient(deletes));
}

const byClient = <T>(map: ReadonlyMap<number, T>): [client: number, value: T][] =>
  map.size > 1 ? [...map].sort(([a], [b]) => b - a) : [...map];

function readSections(scanner: UpdateScanner, update: Uint8Array, sections: Map<number, Section>): boolean {
  for (let clients = scanner.uint(ANY); clients > 0; clients--) {
    const structs = scanner.uint(ANY);
    const client = scanner.uint(ANY);
    const from = scanner.uint(ANY);
    let section = sections.get(client);
    if (!section) {
      section = { client, from, to: from, structs: 0, bytes: 0, parts: [] };
      sections.set(client, section);
    }
    if (section.to !== from) return false;
    const start = scanner.at;
    for (let left = structs; left > 0; left--) {
      const info = scanner.byte();
      if ((info & 0x1f) === SKIP) return false;
      section.to += scanner.skipStruct(info);
    }
    section.structs += structs;
    section.bytes += scanner.at - start;
    section.parts.push([update, start, scanner.at]);
  }
  return true;
}

type Range = [from: number, to: number];

function readDeletes(scanner: UpdateScanner, deletes: Map<number, Range[]>): void {
  for (let clients = scanner.uint(ANY); clients > 0; clients--) {
    const client = scanner.uint(ANY);
    let ranges = deletes.get(client);
    if (!ranges) deletes.set(client, (ranges = []));
    for (let left = scanner.uint(ANY); left > 0; left--) {
      const from = scanner.uint(ANY);
      ranges.push([from, from + scanner.uint(ANY)]);
    }
  }
}

/** In order, and none beside or within another. */
function joined(ranges: Range[]): Range[] {
  const whole: Range[] = [];
  for (const [from, to] of ranges.sort(([a], [b]) => a - b)) {
    const last = whole.at(-1);
    if (!last || from > last[1]) whole.push([from, to]);
    else if (to > last[1]) last[1] = to;
  }
  return whole;
}

function write(sections: [number, Section][], deletes: [number, Range[]][]): Uint8Array {
  const ranges = deletes.map(([client, all]) => [client, joined(all)] as const);
  let room = 2 * VAR_UINT_BYTES_MAX;
  for (const [, { bytes }] of sections) room += 3 * VAR_UINT_BYTES_MAX + bytes;
  for (const [, all] of ranges) room += 2 * VAR_UINT_BYTES_MAX * (1 + all.length);
  const out = new Uint8Array(room);
  let at = put(out, 0, sections.length);
  for (const [client, { structs, from, parts }] of sections) {
    at = put(out, put(out, put(out, at, structs), client), from);
    for (const [update, start, end] of parts) {
      for (let i = start; i < end; i++) out[at++] = update[i]!;
    }
  }
  at = put(out, at, ranges.length);
  for (const [client, all] of ranges) {
    at = put(out, put(out, at, client), all.length);
    for (const [from, to] of all) at = put(out, put(out, at, from), to - from);
  }
  return out.slice(0, at);
}

/** lib0's varUint. */
function put(out: Uint8Array, at: number, value: number): number {
  let rest = value;
  for (; rest > 0x7f; rest = Math.floor(rest / 128)) out[at++] = 0x80 | (rest % 128);
  out[at++] = rest;
  return at;
}
