/**
 * Frames for the fuzz: valid ones of every kind, and what becomes of them when one field, one element or some bytes are
 * replaced. A frame is taken apart as the MessagePack that it is, so that most errors lie behind the first check.
 */
import { type Random, randomBelow } from '../../src/base/random.ts';
import { encodeOps, type OpDraft } from '../../src/document/ops.ts';
import { encodeClientMessage, encodeServerMessage } from '../../src/protocol/encode.ts';
import { idToBytes, type PageId, seq } from '../../src/protocol/ids.ts';
import type { ClientMessage, ServerMessage } from '../../src/protocol/messages.ts';
import { MsgpackError, MsgpackReader } from '../../src/protocol/msgpack-reader.ts';
import { MsgpackWriter } from '../../src/protocol/msgpack-writer.ts';
import { hostileUpdates, oddUpdates } from './hostile-updates.ts';
import { newBlock, newPage, newReplica } from './raw-client.ts';
import { insert, textUpdates } from './raw-page.ts';

export const pick = <T>(random: Random, items: readonly T[]): T => items[randomBelow(random, items.length)]!;
const join = (...parts: readonly Uint8Array[]) => new Uint8Array(Buffer.concat(parts));

/** Values at the borders of every type, as they stand on the wire. */
const ODD: readonly Uint8Array[] = [
  [0xc0], [0xc1], [0xc2], [0xc3], [0x00], [0x7f], [0xe0], [0xff], [0xcc, 0xff], [0xd0, 0x80], [0xcd, 0xff, 0xff],
  [0xce, 0xff, 0xff, 0xff, 0xff], [0xcf, 0, 0x1f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], [0xcf, 0, 0x20, 0, 0, 0, 0, 0, 0],
  [0xcf, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], [0xd3, 0x80, 0, 0, 0, 0, 0, 0, 0], [0xd2, 0x80, 0, 0, 0],
  [0xcb, 0x7f, 0xf8, 0, 0, 0, 0, 0, 0], [0xcb, 0x7f, 0xf0, 0, 0, 0, 0, 0, 0], [0xcb, 0x3f, 0xf8, 0, 0, 0, 0, 0, 0], [0xca, 0x7f, 0x80, 0, 0],
  [0xa0], [0xa1, 0xff], [0xa9, 0x5f, 0x5f, 0x70, 0x72, 0x6f, 0x74, 0x6f, 0x5f, 0x5f], [0xd9, 0xff], [0xda, 0xff, 0xff], [0xdb, 0xff, 0xff, 0xff, 0xff],
  [0xc4, 0x00], [0xc4, 0x0f, ...new Uint8Array(15)], [0xc4, 0x10, ...new Uint8Array(16)], [0xc4, 0x10, ...new Uint8Array(16).fill(255)], [0xc4, 0x11, ...new Uint8Array(17)],
  [0xc5, 0x00, 0x10, ...new Uint8Array(16)], [0xc6, 0xff, 0xff, 0xff, 0xff], [0x90], [0x91, 0xc0], [0x9f], [0xdc, 0xff, 0xff], [0xdd, 0xff, 0xff, 0xff, 0xff],
  [0x80], [0x81, 0xa1, 0x61, 0xc0], [0x8f], [0xde, 0xff, 0xff], [0xdf, 0xff, 0xff, 0xff, 0xff], [0xd4, 0x01, 0x00], [0xc7, 0x00, 0x05], [0xc9, 0xff, 0xff, 0xff, 0xff, 0x01],
].map((bytes) => Uint8Array.from(bytes)); // prettier-ignore

/** The elements of an array, each as its bytes; nothing if it is none. */
function elements(bytes: Uint8Array): Uint8Array[] | undefined {
  try {
    const reader = new MsgpackReader(bytes);
    return Array.from({ length: reader.array() }, () => reader.rawValue());
  } catch (error) {
    if (error instanceof MsgpackError) return undefined;
    throw error;
  }
}

function array(parts: readonly Uint8Array[]): Uint8Array {
  const w = new MsgpackWriter().array(parts.length);
  for (const part of parts) w.raw(part);
  return w.take();
}

function deepOrLong(random: Random): Uint8Array {
  const size = 1 + randomBelow(random, 2000);
  switch (randomBelow(random, 4)) {
    case 0:
      return new Uint8Array(size).fill(pick(random, [0x91, 0x81, 0x9f]));
    case 1:
      return new MsgpackWriter().str('x'.repeat(size)).take();
    case 2:
      return new MsgpackWriter().bin(random.bytes(size)).take();
    default:
      return array(Array.from({ length: size }, () => pick(random, ODD)));
  }
}

/** One element, somewhere in the tree of arrays, is another: of another type, size or place, twice, or not at all. */
export function mutateField(random: Random, bytes: Uint8Array): Uint8Array {
  const parts = elements(bytes);
  if (!parts || parts.length === 0) return pick(random, ODD);
  const at = randomBelow(random, parts.length);
  const inner = elements(parts[at]!);
  if (inner && inner.length > 0 && randomBelow(random, 4) > 0) parts[at] = mutateField(random, parts[at]!);
  else {
    const action = randomBelow(random, 10);
    if (action < 6) parts[at] = pick(random, ODD);
    else if (action === 6) parts[at] = deepOrLong(random);
    else if (action === 7) parts.splice(at, 1);
    else if (action === 8) parts.splice(at, 0, parts[at]!);
    else parts.push(pick(random, ODD));
  }
  return array(parts);
}

/** Bytes that mean something to a MessagePack reader, so that a flip often changes the shape and not only a value. */
const TAGS = [0x00, 0x01, 0x7f, 0x80, 0x8f, 0x90, 0x91, 0x9f, 0xa0, 0xbf, 0xc0, 0xc1, 0xc3, 0xc4, 0xc5, 0xc6, 0xc7, 0xc9, 0xca, 0xcb, 0xcc, 0xce, 0xcf, 0xd3, 0xd9, 0xdb, 0xdc, 0xdd, 0xde, 0xdf, 0xff]; // prettier-ignore
const HUGE = [0xc6, 0xc9, 0xdb, 0xdd, 0xdf];

export function mutate(random: Random, from: Uint8Array, other: Uint8Array, page: PageId): Uint8Array {
  const bytes = from.slice();
  const at = randomBelow(random, Math.max(1, bytes.length));
  switch (randomBelow(random, 20)) {
    case 0: // valid as it is: what is around it makes it wrong, or it is right
    case 1:
      return bytes;
    case 2:
      bytes[at] = random.uint32() & 255;
      return bytes;
    case 3:
      for (let left = 1 + randomBelow(random, 4); left > 0; left--) bytes[randomBelow(random, bytes.length)] = pick(random, TAGS);
      return bytes;
    case 4:
      return bytes.subarray(0, at);
    case 5: // one's head, another's tail
      return join(bytes.subarray(0, at), other.subarray(randomBelow(random, other.length)));
    case 6: // a length that nothing follows
      return join(bytes.subarray(0, at), Uint8Array.of(pick(random, HUGE), 0xff, 0xff, 0xff, random.uint32() & 255), bytes.subarray(at));
    case 7: // deep nesting in the place of a value
      return join(bytes.subarray(0, at), new Uint8Array(1 + randomBelow(random, 3000)).fill(pick(random, [0x91, 0x81, 0x9f])), bytes.subarray(at));
    case 8: // a piece again
      return join(bytes, bytes.subarray(at));
    case 9: // two in one
      return join(bytes, other);
    case 10: // another id where one stands
      for (let i = 0; i + 18 <= bytes.length; i++) if (bytes[i] === 0xc4 && bytes[i + 1] === 16 && (random.uint32() & 1) === 1) bytes.set(random.uint32() & 1 ? random.bytes(16) : idToBytes(page), i + 2);
      return bytes;
    case 11: // nothing but noise
      return random.bytes(randomBelow(random, 200));
    default:
      return mutateField(random, bytes);
  }
} // prettier-ignore

/** Valid bytes of every kind, both directions, and odd ones that are nearly so: what mutations start from. */
export function fuzzCorpus(page: PageId, token: string, victim: number): { frames: Uint8Array[]; bodies: Uint8Array[] } {
  const replica = newReplica();
  const block = newBlock();
  const ops: OpDraft[] = [
    { ...insert(page, block), props: { title: 'x', list: [1, { a: null }] }, text: textUpdates(99, ['hello'])[0]! } as OpDraft,
    { op: 'update', block, props: JSON.parse('{"__proto__":null,"constructor":1.5,"b":"ä"}') as never, type: 'quote' },
    { op: 'move', block, parent: page as never, key: 'a1' },
    { op: 'text', block, update: textUpdates(98, ['hello', ' you'])[1]! },
    { op: 'delete', block },
    { op: 'restore', block },
    { op: 'purge', blocks: [block, newBlock()] },
  ];
  const texts = [...hostileUpdates(victim).map(([, , bytes]) => bytes), ...oddUpdates(97).map(([, bytes]) => bytes)];
  const written = texts.map((update): OpDraft[] => [insert(page, block), { op: 'text', block, update }]);
  const change = (n: number, some: readonly OpDraft[]): ClientMessage =>
    ({ kind: 'change', ch: 1, n, hlc: { ms: Date.now(), counter: 3 }, ops: encodeOps(some), replica: n % 2 ? null : replica });
  const client: ClientMessage[] = [
    { kind: 'hello', version: 1, replica, clientName: 'fuzz' },
    { kind: 'auth', token },
    { kind: 'ping', t: 12345 },
    { kind: 'subscribe', ch: 1, page, since: null, epoch: null, create: 'blocks' },
    { kind: 'subscribe', ch: 2, page: newPage(), since: seq(3), epoch: replica as never, create: null },
    { kind: 'unsubscribe', ch: 2 },
    ...ops.map((op, i) => change(i + 1, [op])),
    change(1, ops),
    { kind: 'presence', ch: 1, state: Uint8Array.of(0x82, 0xa1, 0x78, 1, 0xa1, 0x79, 0x92, 1, 2) },
    { kind: 'presence', ch: 1, state: null },
    { kind: 'sync', ch: 1, since: seq(0) },
  ];
  const back: ServerMessage[] = [
    { kind: 'pong', t: 1, time: 2 },
    { kind: 'ack', ch: 1, n: 1, seq: seq(1), replica },
    { kind: 'role', ch: 1, role: 'owner' },
    { kind: 'snapshot', ch: 1, seq: seq(1), encoding: 1, part: 0, parts: 1, bytes: new Uint8Array(40) },
    { kind: 'changes', page, firstSeq: seq(1), changes: [{ replica, n: 1, hlc: { ms: 1, counter: 0 }, author: 'a' as never, at: 1, ops: encodeOps(ops) }] },
    { kind: 'presence', page, states: [{ replica, user: 'a' as never, state: Uint8Array.of(1) }] },
  ];
  const frames = [...client.map(encodeClientMessage), ...back.map(encodeServerMessage)];
  return { frames, bodies: [...ops.map((op) => encodeOps([op])), encodeOps(ops), ...written.map((some) => encodeOps(some))] };
} // prettier-ignore
