/**
 * What a node answers to HTTP on the port of its sockets: whether it lives, whether it can commit, its metrics, its busiest
 * pages. For operators: a balancer leads none of it to the outside.
 */
import { PAGE_SORTS, type PageSort } from './actors/page-figures.ts';
import type { Clock } from './base/time.ts';
import type { AdminRefusal } from './gateway/admin.ts';
import type { HttpReply, HttpRequest } from './gateway/transport.ts';
import type { PagesQuery } from './workers/port.ts';
import type { NodePage } from './workers/shard-pool.ts';

export interface HttpSources {
  readonly clock: Clock;
  /** Rejects with the reason while the node is not ready. */
  ready(): Promise<void>;
  metrics(): Promise<string>;
  pages(query: PagesQuery): Promise<NodePage[]>;
  /** Undefined: who asks may see it. */
  refuse(request: HttpRequest): AdminRefusal | undefined;
}

const METRICS_TYPE = 'text/plain; version=0.0.4; charset=utf-8';
const PAGES_DEFAULT = 20;
const PAGES_MAX = 100;
const text = (status: number, body: string): HttpReply => ({ status, contentType: 'text/plain; charset=utf-8', body }); // prettier-ignore

export async function answerHttp(request: HttpRequest, sources: HttpSources): Promise<HttpReply> {
  switch (request.path) {
    case '/healthz':
      return text(200, 'ok\n');
    case '/readyz':
      return sources.ready().then(
        () => text(200, 'ready\n'),
        (error: Error) => text(503, `not ready: ${error.message}`),
      );
    case '/metrics':
      return { status: 200, contentType: METRICS_TYPE, body: await sources.metrics() };
    case '/debug/pages': {
      const refused = sources.refuse(request);
      return refused ? text(refused.status, refused.body) : busiestPages(request.query, sources);
    }
    default:
      return text(404, 'here are /healthz, /readyz, /metrics, /debug/pages, and WebSockets at /v1/sync\n');
  }
}

async function busiestPages(query: URLSearchParams, { clock, pages }: HttpSources): Promise<HttpReply> {
  const asked = readQuery(query);
  if (typeof asked === 'string') return text(400, asked);
  const at = new Date(clock.now()).toISOString();
  const body = { at, ...asked, pages: await pages(asked) };
  return { status: 200, contentType: 'application/json', body: `${JSON.stringify(body)}\n` };
}

/** Or what is wrong with it. */
function readQuery(query: URLSearchParams): PagesQuery | string {
  const sort = (query.get('sort') ?? 'changes') as PageSort;
  if (!PAGE_SORTS.includes(sort)) return `sort is one of ${PAGE_SORTS.join(', ')}\n`;
  const limit = Number(query.get('limit') ?? PAGES_DEFAULT);
  if (!Number.isInteger(limit) || limit < 1 || limit > PAGES_MAX)
    return `limit is a whole number from 1 to ${PAGES_MAX}\n`;
  return { sort, limit };
}
