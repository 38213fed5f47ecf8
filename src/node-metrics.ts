/**
 * What a node tells of itself as a whole, beside its gateway and its shards: whether it is ready, and how its HTTP answers
 * are. Used by `main.ts`.
 */
import type { Registry } from 'prom-client';
import { gauge, gauges } from './base/gauges.ts';
import { durations } from './base/spread.ts';
import { Tally } from './base/tally.ts';
import { type Millis, withTimeout } from './base/time.ts';

export interface NodeFacts {
  readonly shards: number;
  /** Rejects while /readyz says no. */
  ready(): Promise<void>;
  /** Those with most people. */
  topPages(limit: number): Promise<readonly { readonly subscribers: number }[]>;
}

/** A scrape is not to wait for a database that is away. */
const READY_WAIT_MS: Millis = 1000;
/** Other paths are counted as `other`: anybody can ask for any. */
const PATHS = ['/healthz', '/readyz', '/metrics', '/debug/pages', 'other'] as const;
/** By rank and not by page: pages come and go, and each would be a series for ever. */
const TOP_PAGES = 10;
const STATUSES = [200, 400, 401, 403, 404, 500, 503] as const;

/** Returns how to count an HTTP answer. */
export function measureNode(registry: Registry, { shards, ready, topPages }: NodeFacts): (path: string, status: number, ms: Millis) => void {
  gauge(registry, 'octavo_shards', 'Shards that the node should have: SHARDS', () => shards);
  gauge(registry, 'octavo_ready', 'Whether the node can commit, and is not about to stop: as /readyz', () =>
    withTimeout(ready(), READY_WAIT_MS, () => new Error('no answer')).then(() => 1, () => 0),
  );
  gauges(registry, 'octavo_top_page_subscribers', 'Sockets on the pages with most of them, by rank; which pages, /debug/pages tells', async () => {
    const top = await topPages(TOP_PAGES);
    return Array.from({ length: TOP_PAGES }, (_, i) => [{ rank: i + 1 }, top[i]?.subscribers ?? 0] as const);
  });
  const answers = PATHS.flatMap((path) => STATUSES.map((status) => ({ path, status })));
  const requests = new Tally(registry, 'octavo_http_requests_total', 'HTTP requests, by path and status', answers);
  const times = durations(registry, 'octavo_http_request_seconds', 'Answering an HTTP request, by path', PATHS.map((path) => ({ path })));
  return (path, status, ms) => {
    const known = PATHS.findIndex((one) => one === path);
    const at = known === -1 ? PATHS.length - 1 : known;
    const code = STATUSES.findIndex((one) => one === status);
    if (code !== -1) requests.add(1, at * STATUSES.length + code);
    times.add(ms, at);
  };
} // prettier-ignore
