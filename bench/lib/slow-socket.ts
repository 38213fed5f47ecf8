/**
 * A client that opens a page and then does not read, or reads a little each second. What it has not read stays in the
 * kernel's buffers and, when those are full, with the server.
 */
import { connect, type Socket } from 'node:net';
import type { PageId } from '../../src/protocol/ids.ts';
import { SUBPROTOCOL } from '../../src/protocol/messages.ts';
import { newReplica, opening } from './joiner.ts';
import { must } from './must.ts';

export class SlowSocket {
  readonly #socket: Socket;
  #timer: NodeJS.Timeout | undefined;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('error', () => {});
  }

  /** Resolves after the server's 101; nothing is read from then on but so many bytes each second. */
  static async open(url: string, token: string, page: PageId, bytesPerSecond: number): Promise<SlowSocket> {
    const { hostname, port, pathname } = new URL(url);
    const socket = connect({ host: hostname, port: Number(port) });
    const slow = new SlowSocket(socket);
    socket.write(
      `GET ${pathname} HTTP/1.1\r\nHost: ${hostname}:${port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n` +
        `Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n` +
        `Sec-WebSocket-Protocol: ${SUBPROTOCOL}\r\nAuthorization: Bearer ${token}\r\n\r\n`,
    );
    await new Promise<void>((resolve) => socket.once('readable', resolve));
    must(String(socket.read()).startsWith('HTTP/1.1 101'), 'the server takes the socket');
    socket.write(opening(newReplica(), page, false));
    if (bytesPerSecond > 0) slow.#timer = setInterval(() => socket.read(bytesPerSecond), 1000);
    return slow;
  }

  close(): void {
    clearInterval(this.#timer);
    this.#socket.destroy();
  }
}
