/**
 * Reads the shape of a Yjs V1 update of one block's text without building anything, and refuses what must never be
 * stored. Layout (yjs 13, `src/utils/encoding.js`): count of clients; for each: count of structs, client id, clock, then
 * structs of [info byte, origins, parent, content]; then the delete set: clients, each with [clock, length] ranges.
 *
 * What a client may send: structs of at most one Yjs client id, root `text`, contents string, format, embed or deleted.
 * No GC and no Skip structs, no nested types: a 14-byte GC struct could block a client id for ever. Honest editors send
 * just this, since every edit is sent as it is made. Values of formats and embeds must be JSON that can be
 * written again, or Yjs would throw later.
 */
import { BadUpdate, CONTENT, HAS_ORIGIN, HAS_PARENT_SUB, HAS_RIGHT_ORIGIN, UpdateScanner } from './update-scanner.ts'; // prettier-ignore

/** What an update adds and what it builds upon. Clocks count UTF-16 units, as in Yjs. */
export interface TextShape {
  /** The Yjs client id of the structs; `null` when the update only deletes. */
  readonly client: number | null;
  /** The structs cover `from` … `to` − 1 of that client. */
  readonly from: number;
  readonly to: number;
  /** Per other client: the clock below which it must be held, from origins and deletes. */
  readonly needs: ReadonlyMap<number, number>;
  /** Where own deletes end; they may reach into this very update. */
  readonly ownDeletesTo: number;
  /** Clocks that show no character afterwards (deleted, formatting): client, clock, length, and so on. */
  readonly hidden: readonly number[];
}

export const TEXT_ROOT = 'text';
const CLOCK_MAX = 0x7fff_ffff;

/** The update's shape, or why it is refused. Never throws. */
export function scanTextUpdate(bytes: Uint8Array): TextShape | { readonly malformed: string } {
  try {
    return scan(new UpdateScanner(bytes));
  } catch (error) {
    if (error instanceof BadUpdate)
      return { malformed: `a text update that cannot be used: ${error.message}` };
    throw error;
  }
}

/** Of most keystrokes: they build on what their own client wrote. */
const NO_NEEDS: ReadonlyMap<number, number> = new Map();

function scan(scanner: UpdateScanner): TextShape {
  let needs: Map<number, number> | null = null;
  const require = (client: number, clock: number) => {
    needs ??= new Map();
    if (clock > (needs.get(client) ?? 0)) needs.set(client, clock);
  };
  const hidden: number[] = [];
  const clients = scanner.uint(scanner.left);
  if (clients > 1) throw new BadUpdate('structs of more than one Yjs client id');
  let client: number | null = null;
  let from = 0;
  let to = 0;
  if (clients === 1) {
    const structs = scanner.uint(scanner.left);
    if (structs === 0) throw new BadUpdate('a client id without structs');
    client = scanner.uint(Number.MAX_SAFE_INTEGER);
    from = scanner.uint(CLOCK_MAX);
    to = from;
    for (let i = 0; i < structs; i++) {
      to += scanItem(scanner, client, to, require, hidden);
      if (to > CLOCK_MAX) throw new BadUpdate('a clock that is too large');
    }
  }
  const ownDeletesTo = scanDeletes(scanner, client, require, hidden);
  if (scanner.left > 0) throw new BadUpdate('bytes after its end');
  if (ownDeletesTo > to) require(client!, ownDeletesTo);
  return { client, from, to, needs: needs ?? NO_NEEDS, ownDeletesTo, hidden };
}

type Require = (client: number, clock: number) => void;

function scanOrigin(scanner: UpdateScanner, client: number, clock: number, require: Require): void {
  const originClient = scanner.uint(Number.MAX_SAFE_INTEGER);
  const originClock = scanner.uint(CLOCK_MAX);
  if (originClient !== client) require(originClient, originClock + 1);
  else if (originClock >= clock) throw new BadUpdate('an origin that lies ahead');
}

/** Steps over one item at `clock`; returns its length in clock units. */
function scanItem(
  scanner: UpdateScanner,
  client: number,
  clock: number,
  require: Require,
  hidden: number[],
): number {
  const info = scanner.byte();
  if ((info & HAS_PARENT_SUB) !== 0) throw new BadUpdate('an item with a key; a text has none');
  if ((info & HAS_ORIGIN) !== 0) scanOrigin(scanner, client, clock, require);
  if ((info & HAS_RIGHT_ORIGIN) !== 0) scanOrigin(scanner, client, clock, require);
  if ((info & (HAS_ORIGIN | HAS_RIGHT_ORIGIN)) === 0) {
    if (scanner.uint(1) !== 1 || scanner.str() !== TEXT_ROOT)
      throw new BadUpdate(`a root other than "${TEXT_ROOT}"`);
  }
  switch (info & 0x1f) {
    case CONTENT.deleted: {
      const length = positive(scanner.uint(CLOCK_MAX));
      hidden.push(client, clock, length);
      return length;
    }
    case CONTENT.string:
      return positive(scanner.str().length);
    case CONTENT.embed:
      scanner.jsonText();
      return 1;
    case CONTENT.format:
      scanner.str();
      scanner.jsonText();
      hidden.push(client, clock, 1);
      return 1;
    default:
      throw new BadUpdate(`content of type ${info & 0x1f}; a text holds strings, formats and embeds`);
  }
}

function positive(length: number): number {
  if (length === 0) throw new BadUpdate('an item or a range of length 0');
  return length;
}

/** Steps over the delete set; returns where the own client's deletes end. */
function scanDeletes(
  scanner: UpdateScanner,
  client: number | null,
  require: Require,
  hidden: number[],
): number {
  let ownTo = 0;
  for (let clients = scanner.uint(scanner.left); clients > 0; clients--) {
    const deletedClient = scanner.uint(Number.MAX_SAFE_INTEGER);
    for (let ranges = scanner.uint(scanner.left); ranges > 0; ranges--) {
      // Yjs throws when it has to keep an empty range for later.
      const start = scanner.uint(CLOCK_MAX);
      const length = positive(scanner.uint(CLOCK_MAX));
      const end = start + length;
      hidden.push(deletedClient, start, length);
      if (deletedClient === client) ownTo = Math.max(ownTo, end);
      else require(deletedClient, end);
    }
  }
  return ownTo;
}

/**
 * Whether a text that holds clocks below `held(client)` takes the update. It must begin exactly where its client ended:
 * a gap would hide it, and an overlap with other content would read differently on copies that had the first one.
 */
export function continues(shape: TextShape, held: (client: number) => number): boolean {
  if (shape.client !== null && shape.from !== held(shape.client)) return false;
  if (shape.needs !== NO_NEEDS)
    for (const [client, clock] of shape.needs) if (held(client) < clock) return false;
  return true;
}
