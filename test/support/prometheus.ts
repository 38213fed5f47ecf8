/**
 * A Prometheus of a test's own: on a free port, with a folder that is gone afterwards.
 */
import { spawn, spawnSync } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort } from './free-port.ts';
import { until } from './wait.ts';

/** Whether `prometheus` and `promtool` can be started here. Where tests must not be left out (CI) they have to be. */
export function hasPrometheus(): boolean {
  const missing = ['prometheus', 'promtool'].filter((name) => spawnSync(name, ['--version']).status !== 0);
  if (missing.length > 0 && process.env['CI'])
    throw new Error(`${missing.join(' and ')} are not in PATH: apt-get install prometheus`);
  if (missing.length > 0) process.stderr.write(`left out: ${missing.join(' and ')} are not in PATH\n`);
  return missing.length === 0;
}

export interface Answer {
  readonly metric: Readonly<Record<string, string>>;
  readonly value: number;
}

export interface Prometheus {
  /** Rejects with what Prometheus says of a query that is wrong. */
  query(expression: string): Promise<Answer[]>;
  dispose(): Promise<void>;
}

/** Scrapes that server once a second, and evaluates `rules` (a file) as often. */
export async function startPrometheus(target: string, rules: string): Promise<Prometheus> {
  const folder = await mkdtemp(join(tmpdir(), 'octavo-test-prometheus-'));
  const port = await freePort();
  const config = {
    global: { scrape_interval: '1s', evaluation_interval: '1s' },
    rule_files: [rules],
    scrape_configs: [{ job_name: 'octavo', static_configs: [{ targets: [new URL(target).host] }] }],
  };
  // JSON is YAML.
  await writeFile(join(folder, 'prometheus.yml'), JSON.stringify(config));
  const flags = [`--config.file=${folder}/prometheus.yml`, `--storage.tsdb.path=${folder}/data`, `--web.listen-address=127.0.0.1:${port}`];
  const child = spawn('prometheus', [...flags, '--log.level=warn'], { stdio: ['ignore', 'ignore', 'pipe'] });
  let log = '';
  child.stderr.on('data', (chunk: Buffer) => (log += String(chunk)));
  const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  const kill = () => void child.kill('SIGKILL');
  process.once('exit', kill);
  const url = `http://127.0.0.1:${port}`;
  const isReady = () => fetch(`${url}/-/ready`).then(({ ok }) => ok, () => child.exitCode !== null);
  await until(isReady, () => `prometheus is ready: ${log}`);
  return {
    async query(expression) {
      const answer = await fetch(`${url}/api/v1/query`, { method: 'POST', body: new URLSearchParams({ query: expression }) });
      const { data, error } = (await answer.json()) as { data?: { result: { metric: Answer['metric']; value: [number, string] }[] }; error?: string };
      if (!data) throw new Error(`${expression}: ${error}`);
      return data.result.map(({ metric, value }) => ({ metric, value: Number(value[1]) }));
    },
    async dispose() {
      process.off('exit', kill);
      kill();
      await exited;
      await rm(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
    },
  };
} // prettier-ignore
