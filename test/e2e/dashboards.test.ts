/**
 * The dashboards of deploy/grafana and the alerts of deploy/prometheus, asked of a real Prometheus that scrapes a real server
 * under a little load: no panel stays empty, and each alert would see what it is about.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parseAllDocuments } from 'yaml';
import { connect, type Client } from '../../src/client/index.ts';
import { OwnRedis } from '../support/own-redis.ts';
import { hasPrometheus, type Prometheus, startPrometheus } from '../support/prometheus.ts';
import { newPage } from '../support/raw-client.ts';
import { startServer, testToken, type TestServer } from '../support/server.ts';
import { until } from '../support/wait.ts';

const DASHBOARDS = 'deploy/grafana/dashboards';
const ALERTS = 'deploy/prometheus/alerts.yml';

interface Panel {
  readonly title: string;
  readonly targets: readonly { readonly expr: string }[];
}

const panels = readdirSync(DASHBOARDS).flatMap((file) => {
  const { panels: found } = JSON.parse(readFileSync(join(DASHBOARDS, file), 'utf8')) as { panels: Panel[] };
  return found.flatMap(({ title, targets }) =>
    targets.map(({ expr }) => ({ name: `${file}: ${title}`, expr })),
  );
});
const [rules] = parseAllDocuments(readFileSync(ALERTS, 'utf8'), { merge: true });
const { groups } = rules!.toJS() as {
  groups: { rules: { alert: string; expr: string }[] }[];
};
const alerts = groups.flatMap(({ rules }) => rules.map(({ alert, expr }) => ({ name: alert, expr })));

/** As Grafana fills them in; ranges that hold what has happened in the test. */
const asPanel = (expr: string) => expr.replaceAll('$instance', '.+').replaceAll('$__rate_interval', '1m');
/** What the alert looks at, whatever its threshold says of it. */
const asSeen = (expr: string) => expr.replaceAll(/ ([<>]) (?=[\d.]+$)/g, ' $1 bool ');

describe.skipIf(!hasPrometheus())('with a real Prometheus', () => {
  let redis: OwnRedis;
  let server: TestServer;
  let prometheus: Prometheus;
  let clients: Client[];

  beforeAll(async () => {
    redis = await OwnRedis.start();
    server = await startServer({ env: { SHARDS: '1', REDIS_URL: redis.url } });
    prometheus = await startPrometheus(server.http, resolve(ALERTS));
    clients = [connect({ url: server.url, token: await testToken('ann') }), connect({ url: server.url, token: await testToken('bob') })];
    const id = newPage();
    const [ann, bob] = clients as [Client, Client];
    const page = await ann.open(id, { create: 'blocks' });
    // A snapshot is made of so many.
    for (let i = 0; i < 120; i++) page.update(page.root.id, { title: `${i}` });
    await page.whenSaved();
    await bob.open(id);
    const scrapes = async () => (await prometheus.query('count_over_time(up[1m])'))[0]?.value ?? 0;
    // What was before the first scrape is in no rate.
    await until(async () => (await scrapes()) > 0, () => 'a scrape', 30_000);
    const seen = await scrapes();
    for (let i = 0; i < 10; i++) page.update(page.root.id, { title: `again ${i}` });
    await page.whenSaved();
    await until(async () => (await scrapes()) >= seen + 2, () => 'two more scrapes', 30_000);
  }); // prettier-ignore

  afterAll(async () => {
    await Promise.all(clients?.map((client) => client.close()) ?? []);
    await prometheus?.dispose();
    await server?.dispose();
    await redis?.dispose();
  });

  test('G134 no query of a panel is without an answer', async () => {
    expect(panels.length).toBeGreaterThan(60);
    const answers = await Promise.all(panels.map(async ({ name, expr }) => ({ name, expr, series: await prometheus.query(asPanel(expr)) })));
    expect(answers.filter(({ series }) => series.length === 0).map(({ name, expr }) => `${name}: ${expr}`)).toEqual([]);
    const value = (title: string) => answers.find(({ name }) => name.endsWith(title))!.series[0]!.value;
    expect(value('sync.json: Changes a second')).toBeGreaterThan(0);
    expect(value('sync.json: Commit p99')).toBeGreaterThan(0);
    expect(value('sync.json: Divergences, 1 h')).toBe(0);
    expect(value('sync.json: People on the busiest pages')).toBe(2);
  }); // prettier-ignore

  test('G134 no alert looks at what is not there, and none fires on a server that is well', async () => {
    for (const { name, expr } of alerts) {
      const seen = asSeen(expr);
      expect(seen, `${name}: a comparison with a number, at the end`).not.toBe(expr);
      const series = await prometheus.query(seen);
      expect(series, `${name}: ${seen}`).not.toEqual([]);
    }
    expect(await prometheus.query('ALERTS{alertstate="firing"}')).toEqual([]);
  });
});
