/**
 * All servers under comparison, in the order in which they take turns. Variants are the same servers at other documented
 * settings: what their makers offer to who wants more durability.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { YjsWire } from '../load/plan.ts';
import { octavoPeers } from './octavo-peer.ts';
import { ownVersions, peerVersions } from './packages.ts';
import type { Peer, RunningPeer, StartContext } from './peer.ts';
import { startPeer } from './peer-process.ts';
import { RunningShareDb } from './sharedb-peer.ts';
import { RunningYjs } from './yjs-peers.ts';

const versions = peerVersions();
const own = ownVersions();
const version = (name: string) => `${name} ${versions[name]}`;

type Env = Readonly<Record<string, string>>;

const yjs = (server: string, wire: YjsWire, env: Env = {}) =>
  async ({ pin, database }: StartContext): Promise<RunningPeer> => {
    const address: Env = database ? { DATABASE_URL: database.url } : {};
    return new RunningYjs(await startPeer(server, { ...address, ...env }, pin), wire);
  }; // prettier-ignore

async function sharedb({ pin, database }: StartContext): Promise<RunningPeer> {
  return new RunningShareDb(await startPeer('sharedb', database ? { DATABASE_URL: database.url } : {}, pin));
} // prettier-ignore

async function yWebsocketOnDisk({ pin }: StartContext): Promise<RunningPeer> {
  const folder = mkdtempSync(join(tmpdir(), 'octavo-bench-leveldb-'));
  const remove = () => rmSync(folder, { recursive: true, force: true });
  try {
    const process = await startPeer('y-websocket', { YPERSISTENCE: folder }, pin);
    const stop = async () => {
      await process.stop();
      remove();
    };
    return new RunningYjs({ ...process, stop }, 'plain');
  } catch (error) {
    remove();
    throw error;
  }
}

const LOST = 'never: pages are in memory only';
const plain = { database: 'none', needsPackages: true, isVariant: false } as const;
const stored = { ...plain, database: 'empty' } as const;
const variant = { ...plain, isVariant: true };
const extension = `${version('@hocuspocus/server')} with ${version('@hocuspocus/extension-database')} on PostgreSQL, a row a page as in its documentation`;

export const PEERS: readonly Peer[] = [
  ...octavoPeers,
  {
    ...plain,
    name: 'hocuspocus',
    about: `${version('@hocuspocus/server')} at its defaults, nothing stored`,
    durable: LOST,
    start: yjs('hocuspocus', 'hocuspocus'),
  },
  {
    ...stored,
    name: 'hocuspocus-postgres',
    about: `${extension}; at its defaults: debounce 2 s, maxDebounce 10 s`,
    durable: '2 to 10 s after it was seen; nobody is told',
    start: yjs('hocuspocus', 'hocuspocus'),
  },
  {
    ...stored,
    isVariant: true,
    name: 'hocuspocus-postgres-eager',
    about: `${extension}; debounce 0, its most durable setting: the page is stored after each change`,
    durable: 'some time after it was seen; nobody is told',
    start: yjs('hocuspocus', 'hocuspocus', { HOCUSPOCUS_DEBOUNCE: '0' }),
  },
  {
    ...plain,
    name: 'y-websocket',
    about: `${version('@y/websocket-server')}, the server of y-websocket, at its defaults`,
    durable: LOST,
    start: yjs('y-websocket', 'plain'),
  },
  {
    ...variant,
    name: 'y-websocket-leveldb',
    about: `${version('@y/websocket-server')} with YPERSISTENCE, its most durable setting: each update goes to LevelDB, not flushed`,
    durable: 'when the system writes it out; nobody is told',
    start: yWebsocketOnDisk,
  },
  {
    ...plain,
    name: 'sharedb',
    about: `${version('sharedb')} on ${version('@teamwork/websocket-json-stream')} and ws ${versions['ws']} at its defaults: in memory`,
    durable: LOST,
    start: sharedb,
  },
  {
    ...stored,
    isVariant: true,
    name: 'sharedb-postgres',
    about: `${version('sharedb')} with ${version('sharedb-postgres')} (which names sharedb 5 as the newest it knows): the most durable setting`,
    durable: 'before anyone sees it',
    start: sharedb,
  },
  {
    ...plain,
    needsPackages: false,
    name: 'ws',
    about: `a bare relay on ws ${own['ws']}: no page, no merge, no order; what joins gets is a stored blob`,
    durable: 'never: there are no pages',
    start: yjs('ws', 'relay'),
  },
  {
    ...plain,
    needsPackages: false,
    name: 'uws',
    about: `a bare relay on uWebSockets.js (${own['uWebSockets.js']}), likewise: the limit`,
    durable: 'never: there are no pages',
    start: yjs('uws', 'relay'),
  },
];
