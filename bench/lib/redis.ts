/**
 * The Redis between nodes under measurement: that of REDIS_URL, or one started for the run.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import { BenchError } from './must.ts';

export interface BenchRedis {
  readonly url: string;
  stop(): void;
}

const START_MS = 10_000;

export async function openBenchRedis(): Promise<BenchRedis> {
  const given = process.env['REDIS_URL'];
  if (given) return { url: given, stop() {} };
  const port = await freePort();
  const args = ['--port', String(port), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no'];
  const child = spawn('redis-server', args, { stdio: 'ignore' });
  let failure: Error | undefined;
  child.on('error', (error) => (failure = error));
  for (const until = performance.now() + START_MS; !(await accepts(port));) {
    if (failure || performance.now() > until) {
      child.kill('SIGKILL');
      throw new BenchError('no redis-server can be started: install one, or set REDIS_URL', {
        cause: failure,
      });
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return { url: `redis://127.0.0.1:${port}`, stop: () => stop(child) };
}

function stop(child: ChildProcess): void {
  child.kill('SIGKILL');
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  server.close();
  await once(server, 'close');
  return port;
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => {
      socket.destroy();
      resolve(true);
    });
    socket.on('error', () => resolve(false));
  });
}
