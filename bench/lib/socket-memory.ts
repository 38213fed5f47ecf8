/**
 * What an idle socket takes: the growth of the server's resident memory from some sockets, each subscribed to one page of
 * many, to many more; beside a bare relay on uWebSockets.js that does nothing but hold sockets on a topic.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { dirname, join as joinPath } from 'node:path';
import { fileURLToPath } from 'node:url';
import { newId, type PageId } from '../../src/protocol/ids.ts';
import { systemRandom } from '../../src/base/random.ts';
import { openBenchDatabase } from './database.ts';
import { figure, type Figure, type SuiteOptions } from './figures.ts';
import { newReplica, opening } from './joiner.ts';
import { must } from './must.ts';
import { RawSocket } from './raw-socket.ts';
import { startServer } from './server-process.ts';

const PAGES = 100;
const WARM_UP = 1000;
const SOCKETS = 8000;
const AT_ONCE = 50;
const SETTLE_MS = 8000;
const RELAY = joinPath(dirname(fileURLToPath(import.meta.url)), 'relay.js');

function residentBytes(pid: number): number {
  const match = /^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'));
  must(match, 'the kernel tells the resident memory');
  return Number(match![1]) * 1024;
}

/** Opens sockets, some at a time; each resolves when the server has answered what it was asked. */
async function openMany(count: number, open: (i: number) => Promise<RawSocket>): Promise<RawSocket[]> {
  const sockets: RawSocket[] = [];
  for (let at = 0; at < count; at += AT_ONCE) {
    sockets.push(...(await Promise.all(Array.from({ length: Math.min(AT_ONCE, count - at) }, (_, i) => open(at + i)))));
  }
  return sockets;
} // prettier-ignore

async function perSocket(pid: number, open: (i: number) => Promise<RawSocket>): Promise<number> {
  const settled = () => new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
  const sockets = await openMany(WARM_UP, open);
  await settled();
  const before = residentBytes(pid);
  sockets.push(...(await openMany(SOCKETS, open)));
  await settled();
  const bytes = (residentBytes(pid) - before) / SOCKETS;
  for (const socket of sockets) socket.close();
  return bytes;
}

async function ofRelay(): Promise<number> {
  const child = spawn(process.execPath, [RELAY], { stdio: ['ignore', 'pipe', 'inherit'] });
  try {
    const [port] = (await once(child.stdout, 'data')) as [Buffer];
    const url = `ws://127.0.0.1:${String(port).trim()}/v1/sync`;
    return await perSocket(child.pid!, () => RawSocket.open(url, 'none', () => {}));
  } finally {
    child.kill();
  }
}

async function ofServer(options: SuiteOptions): Promise<number> {
  const database = await openBenchDatabase();
  const server = await startServer(options, database.url, { ADDRESS_SOCKETS_MAX: '1000000', SHARDS: '1' });
  try {
    const pages = Array.from({ length: PAGES }, () => newId<PageId>(Date.now(), systemRandom));
    const tokens = await Promise.all(Array.from({ length: PAGES }, (_, i) => server.token(`user-${i}`)));
    const open = async (i: number): Promise<RawSocket> => {
      let answers = 0;
      let joined: () => void = () => {};
      const done = new Promise<void>((resolve) => (joined = resolve));
      // WELCOME and SUBSCRIBED: the page is empty.
      const socket = await RawSocket.open(server.url, tokens[i % PAGES]!, () => ++answers === 2 && joined());
      socket.write(opening(newReplica(), pages[i % PAGES]!, true));
      await done;
      return socket;
    };
    const bytes = await perSocket(server.pid, open);
    await server.stop();
    return bytes;
  } finally {
    server.kill();
    await database.drop();
  }
}

export async function socketFigures(options: SuiteOptions): Promise<{ figures: Figure[]; notes: string[]; settings: Record<string, number> }> {
  const relay = await ofRelay();
  const server = await ofServer(options);
  return {
    settings: { 'idle sockets': SOCKETS, 'pages they are on': PAGES },
    notes: [],
    figures: [
      figure('an idle socket of a bare relay', 'bytes', 'lower', [relay]),
      figure('an idle socket on a page', 'bytes', 'lower', [server]),
      figure('  beyond that of the relay', 'bytes', 'lower', [server - relay]),
    ],
  };
} // prettier-ignore
