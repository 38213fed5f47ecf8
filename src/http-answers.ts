/**
 * What a node answers to HTTP on the port of its sockets: whether it lives, whether it can commit, its metrics. For operators:
 * a balancer leads none of it to the outside.
 */
import type { HttpReply } from './gateway/transport.ts';

export interface HttpSources {
  /** Rejects with the reason while the node is not ready. */
  ready(): Promise<void>;
  metrics(): Promise<string>;
}

const METRICS_TYPE = 'text/plain; version=0.0.4; charset=utf-8';
const text = (status: number, body: string): HttpReply => ({ status, contentType: 'text/plain; charset=utf-8', body }); // prettier-ignore

export async function answerHttp(path: string, { ready, metrics }: HttpSources): Promise<HttpReply> {
  switch (path) {
    case '/healthz':
      return text(200, 'ok\n');
    case '/readyz':
      return ready().then(
        () => text(200, 'ready\n'),
        (error: Error) => text(503, `not ready: ${error.message}`),
      );
    case '/metrics':
      return { status: 200, contentType: METRICS_TYPE, body: await metrics() };
    default:
      return text(404, 'here are /healthz, /readyz, /metrics, and WebSockets at /v1/sync\n');
  }
}
