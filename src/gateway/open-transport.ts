/**
 * Chooses the transport. `auto` takes uWebSockets.js and, where the addon has no build for the platform or does not
 * load, the slower `ws`, saying so once; `uws` and `ws` insist, so that an operator who sized a machine for one of
 * them does not get the other unseen. Called by `main`.
 */
import type { Log } from '../base/log.ts';
import type { Transport, TransportHandlers, TransportLimits } from './transport.ts';
import { openUwsTransport } from './uws-transport.ts';
import { openWsTransport } from './ws-transport.ts';

export type TransportMode = 'auto' | 'uws' | 'ws';

export class TransportUnavailableError extends Error {
  override readonly name = 'TransportUnavailableError';
}

/** `openUws` is a parameter for the tests of the fall-back only. */
export async function openTransport<Context>(
  mode: TransportMode,
  limits: TransportLimits,
  handlers: TransportHandlers<Context>,
  log: Log,
  openUws: typeof openUwsTransport = openUwsTransport,
): Promise<Transport> {
  if (mode === 'ws') return openWsTransport(limits, handlers, log);
  try {
    return await openUws(limits, handlers, log);
  } catch (error) {
    // Outside world: an addon that does not load on this platform.
    const reason = error instanceof Error ? error.message : String(error);
    if (mode === 'uws') {
      throw new TransportUnavailableError(
        `uWebSockets.js does not load here: ${reason} Set the transport to 'auto' or 'ws', ` +
          'or use a Node.js version and platform that the addon is built for.',
        { cause: error },
      );
    }
    log.warn({ reason }, 'uWebSockets.js does not load here: using the ws transport, which is slower');
    return openWsTransport(limits, handlers, log);
  }
}
