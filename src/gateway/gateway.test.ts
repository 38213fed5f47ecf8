/**
 * The gateway between a shard's stream and sockets that only note what is done to them.
 */
import { expect, test } from 'vitest';
import { silentLog } from '../base/log.ts';
import { seededRandom } from '../base/random.ts';
import type { Clock } from '../base/time.ts';
import {
  type EpochId,
  idToBytes,
  type NodeId,
  type PageId,
  type ReplicaId,
  SERVER_REPLICA,
  type UserId,
} from '../protocol/ids.ts';
import { decodeServerMessage } from '../protocol/decode.ts';
import { encodeClientMessage } from '../protocol/encode.ts';
import { defaultLimits, type Limits } from '../protocol/limits.ts';
import type { ClientMessage } from '../protocol/messages.ts';
import { FROM_SHARD } from '../workers/envelope.ts';
import type { ShardPool } from '../workers/shard-pool.ts';
import type { Identity, VerifyToken } from './auth.ts';
import { Gateway } from './gateway.ts';
import type { Transport, TransportSocket } from './transport.ts';

const PAGE = '01900000-0000-7000-8000-000000000001' as PageId;
const clock: Clock = { now: () => 0, monotonic: () => 0, after: () => ({ cancel() {} }) };

function stage(verify: VerifyToken = () => new Promise(() => {}), limits: Limits = defaultLimits) {
  const done: string[] = [];
  const sent: Uint8Array[] = [];
  const reader = { bufferedBytes: 0 };
  const gateway = new Gateway({
    clock,
    random: seededRandom(1),
    log: silentLog,
    limits,
    node: PAGE as string as NodeId,
    epoch: PAGE as string as EpochId,
    verify,
  });
  const transport = { publish: (_topic: string, bytes: Uint8Array) => done.push(`publish ${bytes[0]}`) };
  gateway.attach(transport as unknown as Transport, {} as ShardPool);
  const socket = {
    id: 7,
    send: (bytes: Uint8Array) => (sent.push(bytes), done.push(`send ${bytes[0]}`)),
    join: () => done.push('join'),
    leave: () => done.push('leave'),
    bufferedBytes: () => reader.bufferedBytes,
  } as unknown as TransportSocket;
  gateway.open(socket, { token: null, address: '::1' });
  const hear = (message: ClientMessage) => gateway.message(socket, encodeClientMessage(message), true);
  const say = (type: number, byte: number) => {
    const isTopic = type === FROM_SHARD.join || type === FROM_SHARD.leave;
    const topic = idToBytes(PAGE);
    gateway.record(type, 7, isTopic ? topic : type === FROM_SHARD.publish ? Uint8Array.of(...topic, byte) : Uint8Array.of(byte));
  }; // prettier-ignore
  return { gateway, socket, reader, done, sent, hear, say };
}

test('G16 what a shard says takes effect in its order', () => {
  const { done, say } = stage();
  const { send, bulk, join, publish, leave } = FROM_SHARD;
  for (const [i, type] of [send, bulk, bulk, join, publish, send, publish, leave, send].entries())
    say(type, i);
  expect(done).toEqual([
    'send 0',
    'send 1',
    'send 2',
    'join',
    'publish 4',
    'send 5',
    'publish 6',
    'leave',
    'send 8',
  ]);
});

test('G16 while the reader is slow only bulk is overtaken, and it keeps its order', () => {
  const { gateway, socket, reader, done, say } = stage();
  const { send, bulk, publish } = FROM_SHARD;
  reader.bufferedBytes = defaultLimits.socketBufferBytesMax / 2;
  for (const [i, type] of [bulk, send, bulk, publish].entries()) say(type, i);
  expect(done).toEqual(['send 1', 'publish 3']);
  reader.bufferedBytes = 0;
  say(bulk, 4);
  gateway.drained(socket);
  say(bulk, 5);
  expect(done).toEqual(['send 1', 'publish 3', 'send 0', 'send 2', 'send 4', 'send 5']);
});

const ANN: Identity = {
  user: 'ann' as UserId,
  name: 'Ann',
  expiresMs: 1000,
  issuedMs: 0,
  grants: { workspace: 'editor', byPage: new Map() },
};
const turn = () => new Promise<void>((resolve) => setImmediate(resolve));

test('G3 nothing is answered before the token is known to be good; then what came meanwhile, in order', async () => {
  let good: () => void = () => {};
  const { hear, sent } = stage(() => new Promise((resolve) => (good = () => resolve({ identity: ANN }))));
  hear({ kind: 'auth', token: 'x' });
  hear({ kind: 'ping', t: 1 });
  hear({ kind: 'hello', version: 1, replica: PAGE as string as ReplicaId, clientName: '' });
  hear({ kind: 'ping', t: 2 });
  await turn();
  expect(sent).toEqual([]);
  good();
  await turn();
  expect(sent.map(decodeServerMessage)).toMatchObject([
    { kind: 'pong', t: 1 },
    { kind: 'welcome' },
    { kind: 'pong', t: 2 },
  ]);
});

test('W14 WELCOME carries the limits in force, all of them', async () => {
  const limits = { ...defaultLimits, opsPerChangeMax: 7 };
  const { hear, sent } = stage(async () => ({ identity: ANN }), limits);
  hear({ kind: 'auth', token: 'x' });
  hear({ kind: 'hello', version: 1, replica: PAGE as string as ReplicaId, clientName: '' });
  await turn();
  expect(sent.map(decodeServerMessage)).toMatchObject([{ kind: 'welcome', limits }]);
});

test('G11 nobody is the server: its replica id is refused in HELLO, and another may be named then', async () => {
  const { hear, sent } = stage(async () => ({ identity: ANN }));
  hear({ kind: 'auth', token: 'x' });
  hear({ kind: 'hello', version: 1, replica: SERVER_REPLICA, clientName: '' });
  hear({ kind: 'hello', version: 1, replica: PAGE as string as ReplicaId, clientName: '' });
  await turn();
  expect(sent.map(decodeServerMessage)).toMatchObject([
    { kind: 'error', code: 'not_yours', ch: null },
    { kind: 'welcome' },
  ]);
});
