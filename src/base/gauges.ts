/**
 * Gauges: what is, asked at each scrape. And counters that something else keeps, such as the system.
 */
import type { Registry } from 'prom-client';
import { expose, type Labels } from './expose.ts';

export function gauge(
  registry: Registry,
  name: string,
  help: string,
  read: () => number | Promise<number>,
  labels: Labels = {},
): void {
  const values = async () => [{ labels, value: await read() }];
  expose(registry, { name, help, type: 'gauge', values });
}

type Series = readonly (readonly [Labels, number])[];

/** Of several series: as many as there are just then, of a number that is bounded. */
export function gauges(
  registry: Registry,
  name: string,
  help: string,
  read: () => Series | Promise<Series>,
): void {
  const values = async () => (await read()).map(([labels, value]) => ({ labels, value }));
  expose(registry, { name, help, type: 'gauge', values });
}

export function keptCounter(registry: Registry, name: string, help: string, read: () => number): void {
  expose(registry, { name, help, type: 'counter', values: () => [{ labels: {}, value: read() }] });
}

/** `read`, once for all that ask in one scrape. */
export function oncePerScrape<T>(read: () => T): () => T {
  let known: { readonly value: T } | undefined;
  return () => {
    if (!known) {
      known = { value: read() };
      queueMicrotask(() => (known = undefined));
    }
    return known.value;
  };
}
