/**
 * The transport's handlers with a line in the log for each request, and for each socket that comes and goes. At debug only:
 * `main` puts it around them when that is written. Of a request the log has its number and, where it is one that is served
 * here, its path: any other may hold anything, a token too.
 */
import type { Log } from '../base/log.ts';
import type { Clock } from '../base/time.ts';
import type { TransportHandlers } from './transport.ts';

/** What is known of a socket from its handshake. */
interface WithAddress {
  readonly address: string;
}

export function loggedHandlers<Context extends WithAddress>(
  handlers: TransportHandlers<Context>,
  log: Log,
  clock: Clock,
): TransportHandlers<Context> {
  let requests = 0;
  return {
    ...handlers,
    upgrade(request) {
      const decision = handlers.upgrade(request);
      if (!decision.accept) {
        const fields = { request: ++requests, status: decision.status, address: request.address };
        log.debug(fields, 'a handshake was refused');
      }
      return decision;
    },
    open(socket, context) {
      log.debug({ connection: socket.id, address: context.address }, 'a socket was opened');
      handlers.open(socket, context);
    },
    close(socket, code) {
      log.debug({ connection: socket.id, closeCode: code }, 'a socket has ended');
      handlers.close(socket, code);
    },
    async http(asked) {
      const request = ++requests;
      const { path } = asked;
      const started = clock.monotonic();
      const reply = await handlers.http(asked);
      const { status } = reply;
      const ms = Math.round(clock.monotonic() - started);
      log.debug({ request, path: status === 404 ? undefined : path, status, ms }, 'a request was answered');
      return reply;
    },
  };
}
