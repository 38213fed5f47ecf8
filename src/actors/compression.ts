/**
 * How snapshots are packed (zlib, RFC 1950), as a parameter: the real one works on threads of its own, so when its
 * answer comes is not in our hands; the simulation of a cluster takes a twin that answers in the order of the calls.
 */
import { promisify } from 'node:util';
import { deflate, inflate, inflateSync } from 'node:zlib';

export interface Compression {
  pack(plain: Uint8Array): Promise<Uint8Array>;
  /** Rejects when the bytes are damaged, or would be more than `bytesMax`. */
  unpack(packed: Uint8Array, bytesMax: number): Promise<Uint8Array>;
  /** At once, on this thread: of what was unpacked before. */
  unpackNow(packed: Uint8Array): Uint8Array;
}

const pack = promisify<Uint8Array, { level: number }, Buffer>(deflate);
const unpack = promisify<Uint8Array, { maxOutputLength: number }, Buffer>(inflate);

/** In a buffer of its own size: what is small comes from zlib as a view of 16 KiB, and pages live long. */
const trimmed = (bytes: Uint8Array): Uint8Array =>
  bytes.buffer.byteLength > bytes.length ? new Uint8Array(bytes) : bytes;

export const threadedCompression: Compression = {
  pack: async (plain) => trimmed(await pack(plain, { level: 3 })),
  unpack: async (packed, bytesMax) => trimmed(await unpack(packed, { maxOutputLength: bytesMax })),
  unpackNow: (packed) => trimmed(inflateSync(packed)),
};
