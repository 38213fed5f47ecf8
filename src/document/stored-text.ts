/**
 * Steps over a stored text: a Yjs V1 update that was checked when it came (`text-update.ts`) and may since have been merged
 * or rewritten, so that it holds structs of many clients, GC and Skip among them. Builds nothing: a Y.Doc of a large text
 * takes many times its bytes.
 */
import type { ClockRanges } from './clock-ranges.ts';
import { CONTENT, SKIP, UpdateScanner } from './update-scanner.ts';

const ANY = Number.MAX_SAFE_INTEGER;

/** Adds to `hidden` every clock that shows no character: what is deleted, and formatting. */
export function addHidden(update: Uint8Array, hidden: ClockRanges): void {
  const scanner = new UpdateScanner(update);
  for (let clients = scanner.uint(ANY); clients > 0; clients--) {
    const structs = scanner.uint(ANY);
    const client = scanner.uint(ANY);
    let clock = scanner.uint(ANY);
    for (let left = structs; left > 0; left--) {
      const info = scanner.byte();
      const kind = info & 0x1f;
      const length = scanner.skipStruct(info);
      const shows = kind === CONTENT.string || kind === CONTENT.embed || kind === SKIP;
      if (!shows) hidden.add(client, clock, clock + length);
      clock += length;
    }
  }
  for (let clients = scanner.uint(ANY); clients > 0; clients--) {
    const client = scanner.uint(ANY);
    for (let ranges = scanner.uint(ANY); ranges > 0; ranges--) {
      const from = scanner.uint(ANY);
      hidden.add(client, from, from + scanner.uint(ANY));
    }
  }
}
