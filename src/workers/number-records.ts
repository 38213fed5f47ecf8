/**
 * The bodies of the records between gateway and shard that are a number of 32 bits, or begin with one (see `envelope.ts`).
 */

/** `[ch u32]` */
export function writeCh(ch: number): Uint8Array {
  return Uint8Array.of(ch & 255, (ch >>> 8) & 255, (ch >>> 16) & 255, ch >>> 24);
}

export function readCh(bytes: Uint8Array): number {
  return (bytes[0]! | (bytes[1]! << 8) | (bytes[2]! << 16) | (bytes[3]! << 24)) >>> 0;
}

/** `[wait ms u32] [frame]` */
export function writeSlowed(waitMs: number, frame: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(4 + frame.length);
  bytes.set(writeCh(Math.min(waitMs, 0xffff_ffff)));
  bytes.set(frame, 4);
  return bytes;
}

export function readSlowed(bytes: Uint8Array): { waitMs: number; frame: Uint8Array } {
  return { waitMs: readCh(bytes), frame: bytes.subarray(4) };
}
