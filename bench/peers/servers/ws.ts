/**
 * The same relay as `uws.ts` on `ws`, the package under most servers of its kind: what JavaScript sockets cost.
 */
import type { AddressInfo } from 'node:net';
import { WebSocket, WebSocketServer } from 'ws';
import { isStep1, isStep2 } from '../lib/relay-frames.ts';
import { ready } from '../lib/ready.ts';

interface Room {
  readonly sockets: Set<WebSocket>;
  stored: Buffer | undefined;
}

const rooms = new Map<string, Room>();
const server = new WebSocketServer({ host: '127.0.0.1', port: 0, perMessageDeflate: false });

server.on('listening', () => ready((server.address() as AddressInfo).port));
server.on('connection', (socket, request) => {
  const path = request.url ?? '/';
  const room = rooms.get(path) ?? { sockets: new Set(), stored: undefined };
  rooms.set(path, room);
  room.sockets.add(socket);
  socket.on('close', () => room.sockets.delete(socket));
  socket.on('error', () => socket.terminate());
  socket.on('message', (message: Buffer) => {
    if (isStep2(message)) room.stored = message;
    else if (!isStep1(message)) for (const one of room.sockets) one.send(message, { binary: true });
    else if (room.stored) socket.send(room.stored, { binary: true });
  });
});
