/**
 * What the servers say of themselves while they are under load, from `/metrics`: read every second, and summed where there are
 * several. A server that does not let us look costs nothing but the charts.
 */
import type { Millis } from '../base/time.ts';

export interface ServerSample {
  /** CPU seconds since the processes began, all threads. */
  readonly cpuSeconds: number;
  readonly residentBytes: number;
  readonly sockets: number;
  readonly pages: number;
  /** Changes in the log since the processes began. */
  readonly committed: number;
  readonly queued: number;
  readonly rejects: number;
  /** The latest event loop of all threads since the last look, ms. */
  readonly loopDelayMs: Millis;
}

/** All samples of a text in Prometheus' format whose name this is. */
function valuesOf(text: string, name: string): number[] {
  const values: number[] = [];
  for (const line of text.split('\n')) {
    if (!line.startsWith(name)) continue;
    const match = /^(?:\{[^}]*\})? (\S+)/.exec(line.slice(name.length));
    if (match && Number.isFinite(Number(match[1]))) values.push(Number(match[1]));
  }
  return values;
}

const sum = (values: readonly number[]): number => values.reduce((all, one) => all + one, 0);

/** undefined: this is no Octavo server's metrics. */
export function parseMetrics(text: string): ServerSample | undefined {
  if (!text.includes('octavo_sockets')) return undefined;
  const total = (name: string) => sum(valuesOf(text, name));
  const delays = valuesOf(
    text
      .split('\n')
      .filter((line) => line.startsWith('octavo_event_loop_delay_seconds{') && line.includes('of="max"'))
      .join('\n'),
    'octavo_event_loop_delay_seconds',
  );
  return {
    cpuSeconds: total('process_cpu_user_seconds_total') + total('process_cpu_system_seconds_total'),
    residentBytes: total('process_resident_memory_bytes'),
    sockets: total('octavo_sockets'),
    pages: total('octavo_pages_live'),
    committed: total('octavo_changes_committed_total'),
    queued: total('octavo_changes_queued'),
    rejects: total('octavo_rejects_total'),
    loopDelayMs: 1000 * Math.max(0, ...delays),
  };
}

/** Looks at all servers at once; undefined when any of them does not answer. */
export async function readMetrics(urls: readonly string[], timeoutMs: Millis): Promise<ServerSample | undefined> {
  if (urls.length === 0) return undefined;
  try {
    const samples = await Promise.all(
      urls.map(async (url) => {
        const response = await fetch(url, { signal: AbortSignal.timeout(timeoutMs) });
        return response.ok ? parseMetrics(await response.text()) : undefined;
      }),
    );
    return samples.reduce((all, one) => all && one && added(all, one));
  } catch {
    // The outside world: a proxy that keeps them to itself, a server too busy to answer in time.
    return undefined;
  }
} // prettier-ignore

function added(a: ServerSample, b: ServerSample): ServerSample {
  const keys = Object.keys(a) as (keyof ServerSample)[];
  const total = Object.fromEntries(keys.map((key) => [key, a[key] + b[key]])) as unknown as ServerSample;
  return { ...total, loopDelayMs: Math.max(a.loopDelayMs, b.loopDelayMs) };
}

/** Where the metrics of a server with this WebSocket address are. */
export function metricsUrlOf(url: URL): string {
  return `${url.protocol === 'wss:' ? 'https' : 'http'}://${url.host}/metrics`;
}
