/**
 * Puts a snapshot together from its parts and unpacks it. Part 0 discards earlier parts; a part out of order discards
 * all (the rest of an older one). Unpacking is asynchronous, on the platform's own zlib (`DecompressionStream`).
 */
import type { Seq } from '../protocol/ids.ts';
import { ENCODING, type ServerMessage } from '../protocol/messages.ts';

type SnapshotMessage = ServerMessage & { kind: 'snapshot' };

/** A bound on what a snapshot may unpack to, against a server gone wrong. */
const SNAPSHOT_BYTES_MAX = 1 << 30;

export interface PackedSnapshot {
  readonly seq: Seq;
  readonly encoding: number;
  readonly bytes: Uint8Array;
}

export class SnapshotParts {
  #parts: Uint8Array[] = [];
  #first: SnapshotMessage | null = null;

  /** Whether a snapshot is half here. */
  get pending(): boolean {
    return this.#first !== null;
  }

  clear(): void {
    this.#parts = [];
    this.#first = null;
  }

  /** Takes a part; the whole, when it was the last. */
  add(message: SnapshotMessage): PackedSnapshot | null {
    if (message.part === 0) {
      this.#first = message;
      this.#parts = [];
    } else if (this.#first?.seq !== message.seq || message.part !== this.#parts.length) {
      this.clear();
      return null;
    }
    this.#parts.push(message.bytes);
    if (this.#parts.length < message.parts) return null;
    const bytes = joined(this.#parts);
    this.clear();
    return { seq: message.seq, encoding: message.encoding, bytes };
  }
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  if (parts.length === 1) return parts[0]!;
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

export type Unpack = (packed: PackedSnapshot) => Promise<Uint8Array>;

/** The plain bytes. Rejects with an `Error` if they are damaged or of an unknown encoding. */
export const unpackSnapshot: Unpack = async ({ encoding, bytes }) => {
  if (encoding === ENCODING.plain) return bytes;
  if (encoding !== ENCODING.zlib) throw new Error(`a snapshot of encoding ${encoding}`);
  const packed = new Blob([bytes as Uint8Array<ArrayBuffer>]).stream();
  const reader = packed.pipeThrough(new DecompressionStream('deflate')).getReader();
  const parts: Uint8Array[] = [];
  for (let length = 0; ;) {
    const { done, value } = await reader.read();
    if (done) return joined(parts.length > 0 ? parts : [new Uint8Array()]);
    length += value.length;
    if (length > SNAPSHOT_BYTES_MAX) {
      await reader.cancel();
      throw new Error('a snapshot that unpacks to more than 1 GiB');
    }
    parts.push(value);
  }
};
