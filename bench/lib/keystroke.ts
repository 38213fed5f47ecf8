/**
 * One typed character as the bytes of a real Yjs V1 update, synthesised: the character follows the previous one of the
 * same Yjs client id (the first one has no neighbour, and names the root `text`). Layout in
 * `src/document/text-update.ts`. Several clients who type so make runs that lie side by side, lowest client id first;
 * `expectedText` says what any Yjs document must show.
 */

const ROOT = [4, 116, 101, 120, 116]; // "text", with its length
const STRING = 4;
const HAS_ORIGIN = 0x80;

/** lib0's varUint. */
function writeVarUint(target: Uint8Array, at: number, value: number): number {
  let rest = value;
  while (rest > 0x7f) {
    target[at++] = 0x80 | (rest & 0x7f);
    rest = Math.floor(rest / 128);
  }
  target[at++] = rest;
  return at;
}

/** The character at a clock: the letters in turn, so that a lost or doubled one shows. */
export const letterAt = (clock: number): number => 97 + (clock % 26);

/** Writes the update of the character at `clock`; returns where it ends. */
export function writeKeystroke(target: Uint8Array, at: number, client: number, clock: number): number {
  target[at++] = 1;
  target[at++] = 1;
  at = writeVarUint(target, at, client);
  at = writeVarUint(target, at, clock);
  if (clock > 0) {
    target[at++] = STRING | HAS_ORIGIN;
    at = writeVarUint(target, at, client);
    at = writeVarUint(target, at, clock - 1);
  } else {
    target[at++] = STRING;
    target[at++] = 1;
    target.set(ROOT, at);
    at += ROOT.length;
  }
  target[at++] = 1;
  target[at++] = letterAt(clock);
  target[at++] = 0;
  return at;
}

export function keystroke(client: number, clock: number): Uint8Array {
  const bytes = new Uint8Array(40);
  return bytes.slice(0, writeKeystroke(bytes, 0, client, clock));
}

/** What `typed` (Yjs client id → characters) adds up to. */
export function expectedText(typed: ReadonlyMap<number, number>): string {
  const run = (count: number) => {
    const codes = new Uint8Array(count);
    for (let clock = 0; clock < count; clock++) codes[clock] = letterAt(clock);
    return Buffer.from(codes).toString('latin1');
  };
  return [...typed]
    .sort(([a], [b]) => a - b)
    .map(([, count]) => run(count))
    .join('');
}
