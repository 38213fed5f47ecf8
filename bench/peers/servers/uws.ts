/**
 * The limit: a relay on uWebSockets.js that reads nothing. A frame goes to all sockets of its path, the sender's too, as
 * the other servers do it. So that there is something to join, the last sync step 2 is kept as bytes, and sent to who
 * sends a step 1.
 */
import { App, type us_listen_socket, us_socket_local_port } from 'uWebSockets.js';
import { isStep1, isStep2 } from '../lib/relay-frames.ts';
import { ready } from '../lib/ready.ts';

interface Peer {
  readonly room: string;
}

const stored = new Map<string, Buffer>();

const app = App();
app
  .ws<Peer>('/*', {
    maxPayloadLength: 64 << 20,
    maxBackpressure: 64 << 20,
    idleTimeout: 0,
    upgrade(response, request, context) {
      const key = request.getHeader('sec-websocket-key');
      const room = request.getUrl();
      response.upgrade({ room }, key, '', request.getHeader('sec-websocket-extensions'), context);
    },
    open: (socket) => void socket.subscribe(socket.getUserData().room),
    message(socket, message) {
      const { room } = socket.getUserData();
      const bytes = new Uint8Array(message);
      if (isStep2(bytes)) stored.set(room, Buffer.from(bytes));
      else if (!isStep1(bytes)) app.publish(room, message, true);
      else if (stored.has(room)) socket.send(stored.get(room)!, true);
    },
  })
  .listen('127.0.0.1', 0, (listening: us_listen_socket) => ready(us_socket_local_port(listening)));
