/**
 * From which web pages a browser may open a socket. Browsers name the page's origin at the handshake, other programs
 * name none, and are let in: their token decides. Pure.
 *
 * Without a list (ALLOWED_ORIGINS) that is the server's own host, as the Host header calls it, on any port, and pages of
 * this machine while the server listens on loopback. With a list it is those of the list and nobody else.
 */

export interface OriginPolicy {
  /** As `normalOrigin` spells them, or `*` for all; null: no list. */
  readonly allowed: readonly string[] | null;
  /** Whether the server can be reached from its own machine only. */
  readonly loopback: boolean;
}

export const ANY_ORIGIN: OriginPolicy = { allowed: ['*'], loopback: false };

/** `host` without a port; an IPv6 address with or without brackets. */
export function isLoopback(host: string): boolean {
  return /^(127\.\d+\.\d+\.\d+|\[?::1\]?|localhost)$/i.test(host);
}

/** `https://app.example`, lower case, without the scheme's own port; undefined for what is no origin. */
export function normalOrigin(text: string): string | undefined {
  // What pages in sandboxes and local files send.
  if (text === 'null') return text;
  if (!URL.canParse(text)) return undefined;
  const { protocol, host, username, password, pathname, search, hash } = new URL(text);
  const more = username || password || search || hash || pathname.replace('/', '');
  return more || !host ? undefined : `${protocol}//${host}`;
}

/** `origin` and `host` as the headers have them, '' if absent. */
export function isOriginAllowed({ allowed, loopback }: OriginPolicy, origin: string, host: string): boolean {
  if (origin === '' || allowed?.includes('*')) return true;
  const normal = normalOrigin(origin);
  if (normal === undefined) return false;
  if (allowed) return allowed.includes(normal);
  if (normal === 'null') return false;
  const { hostname } = new URL(normal);
  return (loopback && isLoopback(hostname)) || hostname === hostnameOf(host);
}

function hostnameOf(host: string): string | undefined {
  return URL.canParse(`http://${host}`) ? new URL(`http://${host}`).hostname : undefined;
}
