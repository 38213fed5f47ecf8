/**
 * One who floods, for the `flood` suite: in a thread of its own, so that it does not stand in the way of those who are
 * measured. It sends as fast as it is read, comes back when it is closed, and waits for nothing.
 */
import { parentPort, workerData } from 'node:worker_threads';
import WebSocket from 'ws';
import { systemRandom } from '../../src/base/random.ts';
import { encodeOps } from '../../src/document/ops.ts';
import { encodeClientMessage } from '../../src/protocol/encode.ts';
import { type BlockId, newId, type PageId, type ReplicaId } from '../../src/protocol/ids.ts';
import { SUBPROTOCOL } from '../../src/protocol/messages.ts';
import { must } from '../lib/must.ts';

export type FloodKind = 'changes' | 'garbage' | 'large frames';

export interface FloodOrder {
  readonly url: string;
  readonly token: string;
  readonly page: PageId;
  readonly kind: FloodKind;
}

const UNSENT_BYTES_MAX = 1 << 20;
/** Frames of one turn, so that closes are heard of. */
const TURN = 200;
const GARBAGE = new Uint8Array(20).fill(0xc1);
const LARGE = new Uint8Array(200_000).fill(0xc1);

const port = parentPort;
must(port, 'this file runs in a worker thread');
const { url, token, page, kind } = workerData as FloodOrder;
let sent = 0;
let closes = 0;
let stopped = false;

function change(n: number): Uint8Array {
  const ops = encodeOps([{ op: 'restore', block: page as string as BlockId }]);
  const hlc = { ms: Date.now(), counter: 0 };
  return encodeClientMessage({ kind: 'change', ch: 1, n, hlc, ops, replica: null });
}

function flood(): void {
  const socket = new WebSocket(url, [SUBPROTOCOL], { headers: { authorization: `Bearer ${token}` }, perMessageDeflate: false }); // prettier-ignore
  let n = 0;
  const turn = (): void => {
    if (stopped) return socket.terminate();
    if (socket.readyState !== WebSocket.OPEN) return;
    for (let i = 0; i < TURN && socket.bufferedAmount < UNSENT_BYTES_MAX; i++, sent++) {
      socket.send(kind === 'changes' ? change(++n) : kind === 'garbage' ? GARBAGE : LARGE);
    }
    setTimeout(turn, 0);
  };
  socket.on('open', () => {
    const replica = newId<ReplicaId>(Date.now(), systemRandom);
    socket.send(encodeClientMessage({ kind: 'hello', version: 1, replica, clientName: 'flood' }));
    socket.send(encodeClientMessage({ kind: 'subscribe', ch: 1, page, since: null, epoch: null, create: null })); // prettier-ignore
    turn();
  });
  socket.on('message', () => {});
  socket.on('error', () => {});
  socket.on('close', () => {
    closes++;
    if (!stopped) setTimeout(flood, 50);
  });
}

port.on('message', () => {
  stopped = true;
  port.postMessage({ sent, closes });
});
flood();
