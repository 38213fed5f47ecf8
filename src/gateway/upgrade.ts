/**
 * The WebSocket handshake: path, subprotocol, and where a token may stand (the header, `?token=`, or a second offered
 * subprotocol `bearer.<jwt>`, which is all that a browser can set).
 */
import { SUBPROTOCOL, SYNC_PATH } from '../protocol/messages.ts';
import { WIRE } from '../protocol/limits.ts';
import type { UpgradeDecision, UpgradeRequest } from './transport.ts';

export interface UpgradeContext {
  readonly token: string | null;
}

const BEARER_PROTOCOL = 'bearer.';
const BEARER_HEADER = /^bearer +(\S+)$/i;

export function decideUpgrade(request: UpgradeRequest): UpgradeDecision<UpgradeContext> {
  if (request.path !== SYNC_PATH)
    return { accept: false, status: 404, body: `WebSockets are served at ${SYNC_PATH}\n` };
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
  return { accept: true, protocol: SUBPROTOCOL, context: { token } };
}
