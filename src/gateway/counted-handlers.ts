/**
 * The transport's handlers, with what comes and goes counted: handshakes, sockets, HTTP answers. `main` puts it around them.
 */
import type { Clock, Millis } from '../base/time.ts';
import type { GatewayMetrics } from './gateway-metrics.ts';
import type { TransportHandlers } from './transport.ts';

export interface HandlerCounts {
  readonly clock: Clock;
  readonly metrics: Pick<GatewayMetrics, 'handshake' | 'opened' | 'gone'>;
  /** An HTTP request was answered. */
  answered(path: string, status: number, ms: Millis): void;
}

export function countedHandlers<Context>(
  handlers: TransportHandlers<Context>,
  { clock, metrics, answered }: HandlerCounts,
): TransportHandlers<Context> {
  return {
    ...handlers,
    upgrade(request) {
      const decision = handlers.upgrade(request);
      metrics.handshake(decision.accept ? 101 : decision.status);
      return decision;
    },
    open(socket, context) {
      metrics.opened();
      handlers.open(socket, context);
    },
    close(socket, code) {
      metrics.gone(code);
      handlers.close(socket, code);
    },
    async http(request) {
      const started = clock.monotonic();
      const reply = await handlers.http(request);
      answered(request.path, reply.status, clock.monotonic() - started);
      return reply;
    },
  };
}
