/**
 * Identities, branded so that swapped arguments do not compile. In memory ids are lower-case UUID strings; on the
 * wire and in the database 16 bytes. Byte order and string order agree, so both sides compare ids alike.
 */
import type { Random } from '../base/random.ts';

declare const brand: unique symbol;
type Brand<T, B extends string> = T & { readonly [brand]: B };

export type PageId = Brand<string, 'PageId'>;
export type BlockId = Brand<string, 'BlockId'>;
export type ReplicaId = Brand<string, 'ReplicaId'>;
export type EpochId = Brand<string, 'EpochId'>;
export type NodeId = Brand<string, 'NodeId'>;
export type UserId = Brand<string, 'UserId'>;
/** A change's place in its page's log: 1, 2, 3 … without gaps; 0 is the empty page. */
export type Seq = Brand<number, 'Seq'>;
export type ShardIndex = Brand<number, 'ShardIndex'>;

export const seq = (value: number): Seq => value as Seq;

/** Under which the server writes to a page itself (purges); no client may use it. */
export const SERVER_REPLICA = 'ffffffff-ffff-ffff-ffff-ffffffffffff' as ReplicaId;
/** The author of what the server wrote: no token can name it, `sub` is never empty. */
export const SERVER_USER = '' as UserId;

const HEX = Array.from({ length: 256 }, (_, i) => i.toString(16).padStart(2, '0'));
export const ID_BYTES = 16;

function format(bytes: Uint8Array, offset: number): string {
  const h = (i: number) => HEX[bytes[offset + i]!]!;
  return (h(0) + h(1) + h(2) + h(3) + '-' + h(4) + h(5) + '-' + h(6) + h(7) + '-' + h(8) + h(9) + '-' +
    h(10) + h(11) + h(12) + h(13) + h(14) + h(15)); // prettier-ignore
}

/**
 * The same few ids come again and again; a string made anew must also be hashed anew by every map that it is looked up
 * in. So the last ones are kept, each in the slot that its bytes name (382 ns become 84 with the look-up).
 */
const CACHE_SLOTS = 4096;
const cachedWords = new Int32Array(CACHE_SLOTS * 4);
const cachedIds: (string | undefined)[] = Array.from({ length: CACHE_SLOTS });

/** 16 bytes at `offset` as a UUID string. The caller names the brand: `bytesToId<PageId>(…)`. */
export function bytesToId<T extends string>(bytes: Uint8Array, offset = 0): T {
  const word = (at: number) =>
    (bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!;
  const [a, b, c, d] = [word(offset), word(offset + 4), word(offset + 8), word(offset + 12)];
  const slot = (a ^ b ^ c ^ d ^ (d >>> 12)) & (CACHE_SLOTS - 1);
  const at = slot * 4;
  const cached = cachedIds[slot];
  const hit =
    cachedWords[at] === a &&
    cachedWords[at + 1] === b &&
    cachedWords[at + 2] === c &&
    cachedWords[at + 3] === d;
  if (cached !== undefined && hit) return cached as T;
  const id = format(bytes, offset);
  cachedWords.set([a, b, c, d], at);
  cachedIds[slot] = id;
  return id as T;
}

const nibble = (code: number) => (code < 58 ? code - 48 : code - 87);

/** Writes the 16 bytes of an id at `offset`. The id must be well formed (it came from `bytesToId` or `parse-id.ts`). */
export function writeId(id: string, target: Uint8Array, offset: number): void {
  for (let i = 0, at = 0; i < ID_BYTES; i++, at += 2) {
    if (i === 4 || i === 6 || i === 8 || i === 10) at++;
    target[offset + i] = (nibble(id.charCodeAt(at)) << 4) | nibble(id.charCodeAt(at + 1));
  }
}

export function idToBytes(id: string): Uint8Array {
  const bytes = new Uint8Array(ID_BYTES);
  writeId(id, bytes, 0);
  return bytes;
}

/** A UUIDv7 (RFC 9562): 48 bits of ms, then 74 random bits. Sorts by time of making. */
export function newId<T extends string>(nowMs: number, random: Random): T {
  const bytes = random.bytes(ID_BYTES);
  for (let i = 5, rest = nowMs; i >= 0; i--) {
    bytes[i] = rest % 256;
    rest = Math.floor(rest / 256);
  }
  bytes[6] = 0x70 | (bytes[6]! & 0x0f);
  bytes[8] = 0x80 | (bytes[8]! & 0x3f);
  return bytesToId<T>(bytes);
}
