/**
 * /metrics as a test reads it, and the tables of docs/operations.md.
 */
import { readFileSync } from 'node:fs';

/** Values hold no equals signs. */
const LABEL = /(\w+)=/g;

export interface Told {
  readonly type: string;
  /** In the order of their appearance; without `le`. */
  readonly labels: readonly string[];
  /** Of each sample, by its name and labels as they stand there. */
  readonly values: ReadonlyMap<string, number>;
}

export function metricsIn(text: string): Map<string, Told> {
  const found = new Map<string, Told & { labels: string[]; values: Map<string, number> }>();
  let current: { labels: string[]; values: Map<string, number> } | undefined;
  for (const line of text.split('\n')) {
    const [, name, type] = /^# TYPE (\w+) (\w+)$/.exec(line) ?? [];
    if (name !== undefined) found.set(name, (current = Object.assign({ type: type! }, { labels: [], values: new Map() })) as never);
    if (line === '' || line.startsWith('#')) continue;
    const end = line.lastIndexOf(' ');
    const sample = line.slice(0, end);
    current!.values.set(sample, Number(line.slice(end + 1)));
    for (const [, label] of sample.matchAll(LABEL))
      if (label !== 'le' && !current!.labels.includes(label!)) current!.labels.push(label!);
  }
  return found;
} // prettier-ignore

export async function fetchMetrics(http: string): Promise<Map<string, Told>> {
  return metricsIn(await (await fetch(`${http}/metrics`)).text());
}

export interface Documented extends Pick<Told, 'type' | 'labels'> {
  readonly onlyWithRedis: boolean;
}

/** The rows of the tables under “Metrics”. */
export function documentedMetrics(): Map<string, Documented> {
  const text = readFileSync('docs/operations.md', 'utf8');
  const section = /^## Metrics\n[\s\S]*?(?=^## )/m.exec(text)![0];
  const rows = [...section.matchAll(/^\| `(\w+)` +\| (\w+) +\| ([^|]*?) *\| (.*?) *\|$/gm)];
  return new Map(
    rows.map(([, name, type, labels, what]) => [
      name!,
      { type: type!, labels: labels!.split(/[`, ]+/).filter(Boolean), onlyWithRedis: what!.includes('with Redis only') },
    ]),
  );
} // prettier-ignore
