/**
 * Sameness of bytes.
 */

/** Whether both hold the same bytes; nothing (`null`) is the same as nothing else. */
export function sameBytes(a: Uint8Array | null, b: Uint8Array): boolean {
  if (!a || a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}
