/**
 * nginx with the configuration of deploy/, as it stands there but for its places: ports, the nodes' addresses, files.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort } from './free-port.ts';
import { until } from './wait.ts';

const CONFIGURATION = 'deploy/nginx/nginx.conf';

/** Many machines have none: what needs it is skipped there. */
export const hasNginx = spawnSync('nginx', ['-v']).error === undefined;

export interface Nginx {
  /** `ws://…/v1/sync`. */
  readonly url: string;
  readonly http: string;
  /** What it wrote of requests that are over. */
  accessLog(): Promise<string>;
  dispose(): Promise<void>;
}

/** In front of two nodes, whose ports these are. */
export async function startNginx(nodePorts: readonly [number, number]): Promise<Nginx> {
  const folder = await mkdtemp(join(tmpdir(), 'octavo-nginx-'));
  const port = await freePort();
  const places: readonly [string, string][] = [
    ['/tmp/', `${folder}/`],
    ['listen 8080;', `listen 127.0.0.1:${port};`],
    ['octavo-1:3002', `127.0.0.1:${nodePorts[0]}`],
    ['octavo-2:3002', `127.0.0.1:${nodePorts[1]}`],
    // Pipes of tests are sockets, which cannot be opened by path.
    ['/dev/stdout', join(folder, 'access.log')],
  ];
  let text = await readFile(CONFIGURATION, 'utf8');
  for (const [place, ours] of places) {
    if (!text.includes(place)) throw new Error(`${CONFIGURATION} has no “${place}” any more`);
    text = text.replaceAll(place, ours);
  }
  const file = join(folder, 'nginx.conf');
  await writeFile(file, text);
  const checked = spawnSync('nginx', ['-t', '-q', '-c', file], { encoding: 'utf8' });
  if (checked.status !== 0) throw new Error(`nginx refuses ${CONFIGURATION}: ${checked.stderr}`);
  const child = spawn('nginx', ['-c', file, '-g', 'daemon off;'], { stdio: ['ignore', 'ignore', 'pipe'] });
  let errors = '';
  child.stderr!.on('data', (chunk: Buffer) => (errors += String(chunk)));
  const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  const http = `http://127.0.0.1:${port}`;
  await until(() => fetch(`${http}/nothing`).then(() => true, () => child.exitCode !== null), () => errors); // prettier-ignore
  return {
    url: `ws://127.0.0.1:${port}/v1/sync`,
    http,
    accessLog: () => readFile(join(folder, 'access.log'), 'utf8'),
    async dispose() {
      stop(child);
      await exited;
      await rm(folder, { recursive: true, force: true });
    },
  };
}

function stop(child: ChildProcess): void {
  if (child.exitCode === null) child.kill('SIGTERM');
}
