/**
 * A peer's server as its own process: started with its settings in the environment, bound to the server's core, ended
 * after its run. Its standard input is a pipe, whose end tells it that this process is gone.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { BenchError } from '../../lib/must.ts';
import { pinTo } from '../../lib/processes.ts';
import { SERVER_CORE } from '../../lib/server-process.ts';

/** What `ready.ts` prints. */
const PORT_LINE = /^port (\d+)$/m;
const START_MS = 30_000;
const STOP_MS = 10_000;

export interface PeerProcess {
  readonly pid: number;
  readonly url: string;
  stop(): Promise<void>;
}

/** `server`: a file of `bench/peers/servers`, without its ending. */
export async function startPeer(
  server: string,
  env: Readonly<Record<string, string>>,
  pin: boolean,
): Promise<PeerProcess> {
  const file = fileURLToPath(new URL(`../servers/${server}.js`, import.meta.url));
  const { DATABASE_URL: _, ...inherited } = process.env;
  const child = spawn(process.execPath, [file], {
    stdio: ['pipe', 'pipe', 'inherit'],
    env: { ...inherited, NODE_ENV: 'production', ...env },
  });
  child.stdin.on('error', () => {});
  const stop = () => ended(child);
  try {
    const port = await portOf(child, server);
    if (pin) pinTo(SERVER_CORE, child.pid!);
    return { pid: child.pid!, url: `ws://127.0.0.1:${port}`, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

function portOf(child: ChildProcess, server: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new BenchError(`${server} did not start in ${START_MS} ms`)), START_MS);
    let said = '';
    child.stdout!.on('data', (data: Buffer) => {
      said = (said + data.toString()).slice(-1000);
      const port = PORT_LINE.exec(said)?.[1];
      if (port === undefined) return;
      clearTimeout(timer);
      resolve(Number(port));
    });
    child.once('exit', (code) => {
      clearTimeout(timer);
      reject(new BenchError(`${server} ended with ${code} at its start`));
    });
  });
} // prettier-ignore

/** A server under load may need a while; one that does not end is made to. */
async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exit = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  child.stdin!.end();
  const timer = setTimeout(() => child.kill('SIGKILL'), STOP_MS);
  await exit;
  clearTimeout(timer);
}
