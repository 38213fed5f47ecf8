/**
 * What the gateway reads of a frame: its kind, ch and n, from the first bytes, without touching the rest. A frame
 * whose head is not of that shape gives `undefined`, and its socket is told `malformed`.
 */
import { CLIENT_KIND } from './messages.ts';
import { MsgpackError, MsgpackReader } from './msgpack-reader.ts';
import { WIRE } from './limits.ts';

export interface RouteHead {
  readonly kind: number;
  /** 0 for the kinds that name no page. */
  readonly ch: number;
  /** A change's number, else 0. */
  readonly n: number;
}

export function readRouteHead(bytes: Uint8Array): RouteHead | undefined {
  try {
    const reader = new MsgpackReader(bytes);
    if (reader.array() === 0) return undefined;
    const kind = reader.uint(127);
    if (kind < CLIENT_KIND.subscribe) return { kind, ch: 0, n: 0 };
    const ch = reader.uint(WIRE.chMax);
    return { kind, ch, n: kind === CLIENT_KIND.change ? reader.uint() : 0 };
  } catch (error) {
    // Bad input; anything else is a bug and goes on.
    if (error instanceof MsgpackError) return undefined;
    throw error;
  }
}
