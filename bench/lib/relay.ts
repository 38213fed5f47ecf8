/**
 * A bare relay: uWebSockets.js and nothing else, every socket on one topic. What a socket takes here is what no server on
 * it can do without. Run as a process of its own; prints its port.
 */
import { App, us_socket_local_port } from 'uWebSockets.js';

App()
  .ws('/*', {
    upgrade(response, request, context) {
      const key = request.getHeader('sec-websocket-key');
      const [protocol] = request.getHeader('sec-websocket-protocol').split(',');
      response.upgrade({}, key, protocol ?? '', request.getHeader('sec-websocket-extensions'), context);
    },
    open: (socket) => void socket.subscribe('all'),
    message: (socket, message) => void socket.publish('all', message, true),
  })
  .listen('127.0.0.1', 0, (listening) => {
    process.stdout.write(`${us_socket_local_port(listening as never)}\n`);
  });
