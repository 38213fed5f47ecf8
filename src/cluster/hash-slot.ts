/**
 * Which of a Redis Cluster's slots a channel belongs to: CRC-16/XMODEM of its name, modulo 16384. Our names hold no braces, so
 * the whole name counts. Pure.
 */

export const SLOTS = 16384;

const TABLE = Uint16Array.from({ length: 256 }, (_, byte) => {
  let crc = byte << 8;
  for (let bit = 0; bit < 8; bit++) crc = crc & 0x8000 ? (crc << 1) ^ 0x1021 : crc << 1;
  return crc;
});

/** The name is of ASCII characters, without braces. */
export function hashSlot(name: string): number {
  let crc = 0;
  for (let i = 0; i < name.length; i++) {
    crc = ((crc << 8) ^ TABLE[((crc >> 8) ^ name.charCodeAt(i)) & 0xff]!) & 0xffff;
  }
  return crc % SLOTS;
}
