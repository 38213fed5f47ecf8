/**
 * The links of `octavo chaos` fail as they say, and what comes through is whole and in order.
 */
import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { sleep, systemClock } from '../base/time.ts';
import { until } from '../../test/support/wait.ts';
import { Link } from './link.ts';

let server: Server;
let link: Link;
let port: number;
const clients: Socket[] = [];
/** What the server got, by connection; it answers each piece in capitals. */
let got: string[];

beforeEach(async () => {
  got = [];
  server = createServer((socket) => {
    const i = got.push('') - 1;
    socket.on('error', () => {});
    socket.on('data', (bytes) => {
      got[i] += String(bytes);
      socket.write(String(bytes).toUpperCase());
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  port = (server.address() as { port: number }).port;
  link = await Link.open(() => [1, port]); // Nobody listens at 1.
});

afterEach(async () => {
  for (const client of clients.splice(0)) client.destroy();
  link.close();
  await new Promise((resolve) => server.close(resolve));
});

interface Peer {
  readonly socket: Socket;
  text: string;
  closed: boolean;
}

function dial(): Peer {
  const peer: Peer = { socket: connect(link.port, '127.0.0.1'), text: '', closed: false };
  clients.push(peer.socket);
  peer.socket.on('error', () => {});
  peer.socket.on('data', (bytes) => (peer.text += String(bytes)));
  peer.socket.on('close', () => (peer.closed = true));
  return peer;
}

const hears = (peer: Peer, text: string) => until(() => peer.text === text, () => `“${peer.text}” instead of “${text}”`, 5000); // prettier-ignore
const isClosed = (peer: Peer) => until(() => peer.closed, () => 'it is open', 5000); // prettier-ignore
const says = (peer: Peer, text: string) => void peer.socket.write(text);

test('sound: bytes pass both ways, and an end is told', async () => {
  const peer = dial();
  says(peer, 'hello');
  await hears(peer, 'HELLO');
  expect(link.farPorts).toEqual([port]);
  peer.socket.end();
  await isClosed(peer);
  await until(() => link.farPorts.length === 0, () => 'the other side is open'); // prettier-ignore
});

test('cut: what is open is reset, and what comes too, until it heals', async () => {
  const [before, during] = [dial(), () => dial()];
  says(before, 'a');
  await hears(before, 'A');
  link.set({ kind: 'cut' });
  await isClosed(before);
  await isClosed(during());
  link.heal();
  const after = dial();
  says(after, 'b');
  await hears(after, 'B');
});

test('half-open: nothing passes and nobody is told, until it heals with a reset', async () => {
  const before = dial();
  says(before, 'a');
  await hears(before, 'A');
  link.set({ kind: 'half-open' });
  says(before, 'b');
  const during = dial();
  says(during, 'c');
  await sleep(150);
  expect([before.text, before.closed, during.text, during.closed, got]).toEqual([
    'A',
    false,
    '',
    false,
    ['a'],
  ]);
  link.heal();
  await Promise.all([isClosed(before), isClosed(during)]);
});

test('deaf: one way only', async () => {
  const peer = dial();
  says(peer, 'a');
  await hears(peer, 'A');
  link.set({ kind: 'deaf', direction: 'down' });
  says(peer, 'b');
  await until(() => got[0] === 'ab', () => `the server got ${got[0]}`); // prettier-ignore
  await sleep(50);
  expect([peer.text, peer.closed]).toEqual(['A', false]);
  link.heal();
  await isClosed(peer);
});

test('slow: later, not faster than it may, whole and in order; what waits comes when it heals', async () => {
  const peer = dial();
  says(peer, 'a');
  await hears(peer, 'A');
  link.set({ kind: 'slow', delayMs: 80, bytesPerSecond: 1_000_000 });
  const began = systemClock.monotonic();
  says(peer, 'b');
  says(peer, 'c');
  await hears(peer, 'ABC');
  expect(systemClock.monotonic() - began).toBeGreaterThan(150);
  link.set({ kind: 'slow', delayMs: 60_000, bytesPerSecond: 1000 });
  const large = 'x'.repeat(3_000_000);
  says(peer, large);
  await sleep(50);
  expect(got[0]!.length).toBe(3);
  link.heal();
  await hears(peer, `ABC${large.toUpperCase()}`);
});
