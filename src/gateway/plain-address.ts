/**
 * The peer's address as both transports spell it, whatever the socket says.
 */

/**
 * One spelling per address, since limits count by it: IPv4 in dotted form also when it came mapped into IPv6 (a
 * server bound to `::` sees all its IPv4 peers that way), IPv6 compressed, without a zone.
 */
export function plainAddress(text: string): string {
  if (!text.includes(':')) return text;
  const bare = text.split('%', 1)[0] ?? '';
  if (!URL.canParse(`http://[${bare}]/`)) return text;
  const canonical = new URL(`http://[${bare}]/`).hostname.slice(1, -1);
  const mapped = /^::ffff:([0-9a-f]+):([0-9a-f]+)$/.exec(canonical);
  if (!mapped) return canonical;
  const [high, low] = [parseInt(mapped[1] ?? '0', 16), parseInt(mapped[2] ?? '0', 16)];
  return [high >> 8, high & 255, low >> 8, low & 255].join('.');
}
