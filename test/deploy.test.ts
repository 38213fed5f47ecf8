/**
 * What operators are given: Dockerfile, docker-compose.yml, deploy/. They run where no test does, so what can be known of them
 * without running them is held against the code: names, values, addresses, times.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { parseAllDocuments } from 'yaml';
import { type Config, readConfig, VARIABLES } from '../src/config.ts';
import { LIMIT_TABLE } from '../src/protocol/limits.ts';
import { SYNC_PATH } from '../src/protocol/messages.ts';
import { documentedMetrics } from './support/metrics.ts';
import { hasPrometheus } from './support/prometheus.ts';

interface Service {
  readonly image: string;
  readonly ports?: readonly string[];
  readonly networks: readonly string[] | Readonly<Record<string, { ipv4_address?: string }>>;
  readonly environment?: Readonly<Record<string, string>>;
  readonly extra_hosts?: readonly string[];
  readonly [key: string]: unknown;
}

interface Composition {
  readonly services: Readonly<Record<string, Service>>;
  readonly networks: Readonly<Record<string, { readonly internal?: boolean }>>;
}

const read = (path: string): string => readFileSync(path, 'utf8');

function documentsIn(path: string): unknown[] {
  return parseAllDocuments(read(path), { merge: true }).map((document) => {
    expect([...document.errors, ...document.warnings], path).toEqual([]);
    return document.toJS();
  });
}

/** Every variable that a node reads. */
const known = new Set(
  [...VARIABLES, ...Object.values(LIMIT_TABLE).map(({ env }) => ({ name: env }))].map(({ name }) => name),
);
const VARIABLE = /\$\{(\w+)(?::([-?])([^}]*))?\}/g;
const given: Readonly<Record<string, string>> = {
  JWT_SECRET: 's'.repeat(32),
  POSTGRES_PASSWORD: 'p'.repeat(24),
};
/** As Compose does: `${NAME}`, `${NAME:-default}`, `${NAME:?message}`. */
const filled = (text: string) => text.replaceAll(VARIABLE, (_, name: string, kind: string, word: string) => given[name] ?? (kind === '-' ? word : '')); // prettier-ignore
const networksOf = ({ networks }: Service) =>
  Array.isArray(networks) ? (networks as string[]) : Object.keys(networks);
const seconds = (text: unknown) => Number(/^(\d+)s$/.exec(String(text))?.[1]);
/** What a stop may take: the clients' time to move, and 5 s for the rest. */
const stopSeconds = ({ drainMs }: Config) => drainMs / 1000 + 5;

describe('docker-compose.yml', () => {
  const { services, networks } = documentsIn('docker-compose.yml')[0] as Composition;
  const nodes = Object.entries(services).filter(([name]) => name.startsWith('octavo-'));
  const addressOf = (name: string) => filled((services[name]!.networks as Record<string, { ipv4_address: string }>)['edge']!.ipv4_address);
  const configOf = ({ environment }: Service) => readConfig(Object.fromEntries(Object.entries(environment!).map(([name, value]) => [name, filled(value)])));

  test('G123 every variable of a node is one that it reads, and it takes the values', () => {
    expect(nodes).toHaveLength(2);
    for (const [name, node] of nodes) {
      expect(Object.keys(node.environment!).filter((variable) => !known.has(variable)), name).toEqual([]);
      const { databaseUrl, redis, trustedProxies } = configOf(node);
      expect(services[new URL(databaseUrl!).hostname]!.image).toMatch(/^postgres:16\./);
      expect(services[redis!.servers[0]!.host]!.image).toMatch(/^redis:7\./);
      expect(trustedProxies).toEqual([addressOf('nginx')]);
    }
  });

  test('G123 nothing starts without secrets of the operator’s, and none is written down', () => {
    const settings = Object.values(services).flatMap(({ environment }) => Object.entries(environment ?? {}));
    const secret = settings.filter(([name]) => /PASSWORD|SECRET|DATABASE_URL|KEY/.test(name));
    expect(secret.map(([name]) => name).sort()).toEqual(['DATABASE_URL', 'DATABASE_URL', 'JWT_SECRET', 'JWT_SECRET', 'POSTGRES_PASSWORD']);
    for (const [name, value] of secret) expect(value, name).toMatch(/\$\{(JWT_SECRET|POSTGRES_PASSWORD):\?[^}]+\}/);
    const used = new Set([...read('docker-compose.yml').matchAll(VARIABLE)].map(([, name]) => name!));
    const offered = new Map([...read('deploy/env.example').matchAll(/^(\w+)=(.*)$/gm)].map(([, name, value]) => [name!, value!]));
    expect([...offered.keys()].sort()).toEqual([...used].sort());
    expect([offered.get('JWT_SECRET'), offered.get('POSTGRES_PASSWORD')]).toEqual(['', '']);
    expect(read('.gitignore')).toMatch(/^\.env$/m);
  });

  test('G124 only nginx can be reached, and the databases by nobody but the nodes', () => {
    const published = Object.entries(services).filter(([, { ports }]) => ports);
    expect(published.map(([name]) => name)).toEqual(['nginx', 'grafana']);
    expect(filled(services['grafana']!.ports![0]!)).toMatch(/^127\.0\.0\.1:/);
    expect(networks['observed']!.internal).toBe(true);
    expect(networks['data']!.internal).toBe(true);
    const members = (network: string) => Object.keys(services).filter((name) => networksOf(services[name]!).includes(network));
    expect(members('edge')).toEqual(['nginx', 'octavo-1', 'octavo-2']);
    expect(members('data')).toEqual(['octavo-1', 'octavo-2', 'postgres', 'redis']);
    expect(members('observed')).toEqual(['octavo-1', 'octavo-2', 'prometheus', 'jaeger', 'grafana']);
    expect(members('screen')).toEqual(['grafana']);
  });

  test('every service is pinned, looked after, and has time to stop', () => {
    for (const [name, service] of Object.entries(services)) {
      expect(service.image, name).toMatch(/:v?\d+\.\d+(\.\d+)?(-[a-z]+)?$/);
      expect(Object.keys(service), name).toEqual(expect.arrayContaining(['healthcheck', 'restart', 'logging']));
    }
    const own = (JSON.parse(read('package.json')) as { version: string }).version;
    for (const [, node] of nodes) {
      expect(node.image).toBe(`octavo:${own}`);
      expect(seconds(node['stop_grace_period'])).toBeGreaterThan(stopSeconds(configOf(node)));
      expect(node).toMatchObject({ init: true, read_only: true, cap_drop: ['ALL'] });
    }
  });

  test('nginx knows the nodes, where they are, and what they serve', () => {
    const conf = read('deploy/nginx/nginx.conf');
    const upstreams = [...conf.matchAll(/^\s*server ([\w-]+):(\d+)/gm)].map(([, host, port]) => ({ host, port }));
    expect(upstreams).toEqual(nodes.map(([name]) => ({ host: name, port: '3002' })));
    expect(services['nginx']!.extra_hosts!.map(filled)).toEqual(nodes.map(([name]) => `${name}:${addressOf(name)}`));
    expect(conf).toContain(`location = ${SYNC_PATH} {`);
    expect(conf).toMatch(/listen 8080;/);
    expect(filled(services['nginx']!.ports![0]!)).toBe('127.0.0.1:8080:8080');
  });
}); // prettier-ignore

describe('deploy/kubernetes', () => {
  interface Manifest {
    readonly kind: string;
    readonly [key: string]: any;
  }
  const root = 'deploy/kubernetes';
  const files = readdirSync(root, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
  const manifests = new Map(files.map((path) => [path, documentsIn(path) as Manifest[]]));
  const all = [...manifests.values()].flat();
  const find = (kind: string) => all.find((manifest) => manifest.kind === kind)!;
  const pod = find('Deployment')['spec'].template.spec;
  const [container] = pod.containers;
  const literals = (path: string): string[] => manifests.get(join(root, path))![0]!['configMapGenerator'][0].literals;

  test('every file belongs to a kustomization, and every kustomization to the example', () => {
    const named = [...manifests].flatMap(([path, [first]]) =>
      [...(first!['resources'] ?? []), ...(first!['components'] ?? [])].map((entry: string) => join(dirname(path), entry)),
    );
    expect(named.filter((path) => !existsSync(path))).toEqual([]);
    const used = named.map((path) => (path.endsWith('.yaml') ? path : join(path, 'kustomization.yaml')));
    expect([...used, join(root, 'example/kustomization.yaml')].sort()).toEqual(files.sort());
  });

  test('G123 every variable is one that a node reads, it takes the values, and secrets come from the operator', () => {
    const plain = [...literals('base/kustomization.yaml'), ...literals('example/kustomization.yaml')].map((literal) => literal.split(/=(.*)/s));
    const secret: { name: string; valueFrom: { secretKeyRef: { name: string; key: string } } }[] = container.env;
    const names = [...plain.map(([name]) => name!), ...secret.map(({ name }) => name)];
    expect(names.filter((name) => !known.has(name))).toEqual([]);
    const env = { ...Object.fromEntries(plain), HOST: '0.0.0.0', JWT_SECRET: 's'.repeat(32), DATABASE_URL: 'postgres://h/d', REDIS_URL: 'redis://h' };
    const config = readConfig(env);
    expect(secret.map(({ name }) => name)).toEqual(['DATABASE_URL', 'JWT_SECRET', 'REDIS_URL']);
    for (const { name, valueFrom } of secret) expect(valueFrom.secretKeyRef).toMatchObject({ name: 'octavo', key: name });
    expect(all.map(({ kind }) => kind)).not.toContain('Secret');
    // It stops in time, and its shards' heaps have room.
    const [, before] = container.lifecycle.preStop.exec.command;
    expect(pod.terminationGracePeriodSeconds).toBeGreaterThan(Number(before) + stopSeconds(config) + 5);
    expect(parseInt(container.resources.limits.memory) * 1024).toBeGreaterThan(config.shards * config.shardHeapMb + 512);
  });

  test('G124 nodes run as nobody special on a file system that is not theirs, and only the sockets’ path is led in', () => {
    expect(pod.securityContext).toMatchObject({ runAsNonRoot: true, runAsUser: 1000, seccompProfile: { type: 'RuntimeDefault' } });
    expect(container.securityContext).toEqual({ allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: { drop: ['ALL'] } });
    expect(pod.automountServiceAccountToken).toBe(false);
    const paths = find('Ingress')['spec'].rules.flatMap(({ http }: any) => http.paths);
    expect(paths).toEqual([expect.objectContaining({ path: SYNC_PATH, pathType: 'Exact' })]);
  });

  test('probes, budget, and autoscaling are of things that exist', () => {
    const pathOf = (probe: string) => container[probe].httpGet.path;
    expect([pathOf('startupProbe'), pathOf('livenessProbe'), pathOf('readinessProbe')]).toEqual(['/healthz', '/healthz', '/readyz']);
    expect(container.ports).toEqual([{ name: 'sync', containerPort: 3002 }]);
    expect(find('PodDisruptionBudget')['spec'].maxUnavailable).toBe(1);
    const { scaleTargetRef, minReplicas } = find('HorizontalPodAutoscaler')['spec'];
    expect(scaleTargetRef).toMatchObject({ kind: 'Deployment', name: find('Deployment')['metadata'].name });
    expect(minReplicas).toBeGreaterThan(1);
  });

  const hasKubectl = spawnSync('kubectl', ['version', '--client']).status === 0;
  test.skipIf(!hasKubectl)('kubectl builds the base and the example', () => {
    for (const [folder, kinds] of [['base', 5], ['example', 7]] as const) {
      const { status, stdout, stderr } = spawnSync('kubectl', ['kustomize', join(root, folder)], { encoding: 'utf8' });
      expect([status, stderr], folder).toEqual([0, '']);
      const built = parseAllDocuments(stdout, { merge: true }).map((document) => document.toJS() as Manifest);
      expect(new Set(built.map(({ kind }) => kind)).size).toBe(kinds);
    }
  });
}); // prettier-ignore

describe('Dockerfile', () => {
  const text = read('Dockerfile').replaceAll('\\\n', ' ');
  const lines = text.split('\n');

  test('a pinned image with glibc, not root at the end, with a health check', () => {
    expect(text).toMatch(/^ARG NODE_IMAGE=node:22\.\d+\.\d+-bookworm-slim$/m);
    for (const from of lines.filter((line) => line.startsWith('FROM ')))
      expect(from).toContain('${NODE_IMAGE}');
    expect(lines.filter((line) => line.startsWith('USER '))).toEqual(['USER 1000:1000']);
    expect(text).toMatch(/^HEALTHCHECK .*\/healthz/m);
    expect(lines.filter((line) => /^(ENV|ARG) .*(SECRET|PASSWORD|KEY)/.test(line))).toEqual([]);
  });

  test('what it copies is there, and let in', () => {
    const copied = lines
      .filter((line) => line.startsWith('COPY ') && !line.includes('--from='))
      .flatMap((line) => line.split(/\s+/).slice(1, -1));
    expect(copied.filter((path) => !existsSync(path))).toEqual([]);
    const admitted = [...read('.dockerignore').matchAll(/^!(.+)$/gm)].map(([, path]) => path);
    expect([...new Set(copied)].sort()).toEqual(admitted.sort());
  });
});

describe('deploy/grafana and deploy/prometheus', () => {
  const alerts = [...read('deploy/prometheus/alerts.yml').matchAll(/alert: (\w+)/g)].map(([, name]) => name!);

  test('what Prometheus and Grafana are given is where they look for it', () => {
    const [{ services }] = documentsIn('docker-compose.yml') as [Composition];
    const [{ scrape_configs: jobs, rule_files: rules }] = documentsIn('deploy/prometheus/prometheus.yml') as [Record<string, any>];
    const nodes = Object.keys(services).filter((name) => name.startsWith('octavo-'));
    expect(jobs[0].static_configs[0].targets).toEqual(nodes.map((name) => `${name}:3002`));
    expect(rules).toEqual(['/etc/prometheus/alerts.yml']);
    const [{ datasources }] = documentsIn('deploy/grafana/provisioning/datasources/octavo.yaml') as [{ datasources: { uid: string; url: string }[] }];
    for (const { url } of datasources) expect(services).toHaveProperty(new URL(url).hostname);
    const [{ providers }] = documentsIn('deploy/grafana/provisioning/dashboards/octavo.yaml') as [{ providers: { options: { path: string } }[] }];
    expect(services['grafana']!['volumes']).toContain(`./deploy/grafana/dashboards:${providers[0]!.options.path}:ro`);
    for (const name of ['prometheus', 'jaeger', 'grafana']) expect(services[name]!['profiles']).toEqual(['observe']);
    const uids = new Set(datasources.map(({ uid }) => uid));
    const files = readdirSync('deploy/grafana/dashboards');
    const ids = files.map((file) => {
      const { uid, panels } = JSON.parse(read(`deploy/grafana/dashboards/${file}`)) as { uid: string; panels: { id: number; datasource: { uid: string } }[] };
      for (const { datasource } of panels) expect(uids).toContain(datasource.uid);
      expect(new Set(panels.map(({ id }) => id)).size).toBe(panels.length);
      return uid;
    });
    expect(ids.sort()).toEqual(['octavo-health', 'octavo-nodes', 'octavo-storage', 'octavo-sync']);
  });

  test('G135 every alert stands in docs/operations.md with what to do, and no other does', () => {
    const section = /^## Alarms\n[\s\S]*?(?=^## )/m.exec(read('docs/operations.md'))![0];
    const told = [...section.matchAll(/^\| `(Octavo\w+)`/gm)].map(([, name]) => name!);
    expect(told).toEqual(alerts);
  });

  test.skipIf(!hasPrometheus())('G135 each alert fires for a node that is unwell, in its time, and for no other', () => {
    for (const [command, file] of [['check', 'alerts.yml'], ['test', 'tests.yml']] as const) {
      const { status, stdout, stderr } = spawnSync('promtool', [command, 'rules', `deploy/prometheus/${file}`], { encoding: 'utf8' });
      expect([status, status === 0 ? '' : stdout + stderr]).toEqual([0, '']);
    }
    for (const name of alerts) expect(read('deploy/prometheus/tests.yml')).toContain(`alertname="${name}"`);
  });
}); // prettier-ignore

test('G125 metrics that documents and manifests name are among those that are at /metrics', () => {
  const made = new Set(documentedMetrics().keys());
  const dashboards = readdirSync('deploy/grafana/dashboards').map((file) => `deploy/grafana/dashboards/${file}`);
  const pages = ['docs/operations.md', 'CHANGELOG.md', 'deploy/prometheus/alerts.yml', 'deploy/prometheus/tests.yml', 'deploy/kubernetes/components/autoscale-on-sockets/kustomization.yaml', ...dashboards];
  const named = pages.flatMap((path) => [...read(path).matchAll(/\boctavo_[a-z_]+/g)].map(([name]) => name.replace(/_(bucket|sum|count)$/, '')));
  expect(new Set(named).size).toBeGreaterThan(20);
  expect(named.filter((name) => !made.has(name))).toEqual([]);
}); // prettier-ignore
