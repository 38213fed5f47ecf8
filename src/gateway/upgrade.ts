/**
 * The WebSocket handshake: path, origin, subprotocol, and where a token may stand (the header, `?token=`, or a second offered
 * subprotocol `bearer.<jwt>`, which is all that a browser can set). The query may hold `page` too, for load balancers to hash on;
 * here it means nothing.
 */
import { SUBPROTOCOL, SYNC_PATH } from '../protocol/messages.ts';
import { WIRE } from '../protocol/limits.ts';
import { isOriginAllowed, type OriginPolicy } from './origin.ts';
import type { UpgradeDecision, UpgradeRequest } from './transport.ts';
import type { TrustedProxies } from './trusted-proxies.ts';

export interface UpgradePolicy {
  readonly origins: OriginPolicy;
  readonly proxies: TrustedProxies;
}

/** What the handshake says of a socket. */
export interface UpgradeContext {
  readonly token: string | null;
  /** Of the client; the socket's own peer may be a proxy. */
  readonly address: string;
}

const BEARER_PROTOCOL = 'bearer.';
const BEARER_HEADER = /^bearer +(\S+)$/i;

const NOT_ALLOWED =
  'origin_not_allowed: web pages of this origin may not connect here; the server’s ALLOWED_ORIGINS names those that may\n';

export function decideUpgrade(
  request: UpgradeRequest,
  { origins, proxies }: UpgradePolicy,
): UpgradeDecision<UpgradeContext> {
  if (request.path !== SYNC_PATH)
    return { accept: false, status: 404, body: `WebSockets are served at ${SYNC_PATH}\n` };
  if (!isOriginAllowed(origins, request.header('origin'), request.header('host'))) {
    return { accept: false, status: 403, body: NOT_ALLOWED };
  }
  if (!request.protocols.includes(SUBPROTOCOL)) {
    return { accept: false, status: 400, body: `offer the subprotocol ${SUBPROTOCOL}\n` };
  }
  const offered = request.protocols.find((protocol) => protocol.startsWith(BEARER_PROTOCOL));
  const token =
    BEARER_HEADER.exec(request.header('authorization'))?.[1] ??
    request.query.get('token') ??
    offered?.slice(BEARER_PROTOCOL.length) ??
    null;
  if (token !== null && token.length > WIRE.tokenBytesMax) {
    return { accept: false, status: 400, body: `a token has at most ${WIRE.tokenBytesMax} bytes\n` };
  }
  const address = proxies.clientAddress(request.address, request.header('x-forwarded-for'));
  return { accept: true, protocol: SUBPROTOCOL, context: { token, address } };
}
