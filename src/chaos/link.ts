/**
 * A TCP proxy that stands for one link of the network, and fails as networks do.
 *
 *     sound       bytes pass
 *     cut         connections are reset, and new ones at once
 *     half-open   connections are taken and stay open, and nothing passes: a firewall that forgot them, a train in a tunnel
 *     deaf        as half-open, but one way only
 *     slow        bytes pass later, and not more than so many a second
 *
 * A connection that has lost bytes cannot go on: it is reset when the link heals. Where a new connection leads is asked
 * anew each time, so that a link may end at whoever is alive.
 */
import { connect, createServer, type Server, type Socket } from 'node:net';
import { systemClock, type Millis } from '../base/time.ts';
import { type Direction, Pipe, type Slowness } from './pipe.ts';

export type LinkState =
  | { readonly kind: 'sound' }
  | { readonly kind: 'cut' }
  | { readonly kind: 'half-open' }
  | { readonly kind: 'deaf'; readonly direction: Direction }
  | ({ readonly kind: 'slow' } & Slowness);

const SOUND: LinkState = { kind: 'sound' };
const CONNECT_TIMEOUT_MS: Millis = 2000;

interface Connection {
  readonly near: Socket;
  far: Socket | null;
  farPort: number | null;
  pipes: readonly Pipe[];
  /** Nothing passes any more. */
  mute: boolean;
  /** Bytes were lost: it cannot go on. */
  spoiled: boolean;
}

export class Link {
  readonly port: number;
  readonly #server: Server;
  readonly #targets: () => readonly number[];
  readonly #connections = new Set<Connection>();
  #state: LinkState = SOUND;

  private constructor(server: Server, targets: () => readonly number[]) {
    this.#server = server;
    this.#targets = targets;
    this.port = (server.address() as { port: number }).port;
    server.on('connection', (near) => this.#accept(near));
  }

  /** `targets` are the ports, on this machine, where a new connection may lead: the first that takes it gets it. */
  static async open(targets: () => readonly number[]): Promise<Link> {
    const server = createServer({ pauseOnConnect: true, noDelay: true });
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(0, '127.0.0.1', resolve);
    });
    return new Link(server, targets);
  }

  /** Where its connections lead now. */
  get farPorts(): number[] {
    return [...this.#connections].flatMap(({ farPort, mute }) => (farPort === null || mute ? [] : farPort));
  }

  set(state: LinkState): void {
    this.#state = state;
    if (state.kind === 'cut') this.reset();
    else if (state.kind === 'half-open') this.mute();
  }

  /** All is well again: what waited goes on, what has lost bytes is reset. */
  heal(): void {
    this.#state = SOUND;
    for (const connection of this.#connections) {
      if (connection.mute || connection.spoiled) end(connection);
      else for (const pipe of connection.pipes) pipe.release();
    }
  }

  /** Resets every connection through it. */
  reset(): void {
    for (const connection of this.#connections) end(connection);
  }

  /** The connections of now stay open, and nothing passes any more; new ones are not concerned. */
  mute(): void {
    for (const connection of this.#connections) connection.mute = true;
  }

  /** Takes no connection any more, and resets those it has. One whose reset fails (it can, while its end is on the way) is not waited for. */
  close(): void {
    this.#server.close();
    this.reset();
  }

  #accept(near: Socket): void {
    near.on('error', () => {}); // 'close' follows.
    if (this.#state.kind === 'cut') return void near.resetAndDestroy();
    const mute = this.#state.kind === 'half-open';
    const connection: Connection = { near, far: null, farPort: null, pipes: [], mute, spoiled: false };
    this.#connections.add(connection);
    near.once('close', () => this.#closed(connection));
    if (!mute) void this.#join(connection);
  }

  async #join(connection: Connection): Promise<void> {
    for (const port of this.#targets()) {
      const far = await connectTo(port);
      if (connection.near.destroyed) return void far?.destroy();
      if (!far) continue;
      connection.far = far;
      connection.farPort = port;
      far.once('close', () => this.#closed(connection));
      const { near } = connection;
      connection.pipes = [this.#pipe(connection, near, far, 'up'), this.#pipe(connection, far, near, 'down')];
      near.resume();
      return;
    }
    end(connection);
  }

  /** One end may stay for a while when the other is gone, and hear nothing of it. */
  #closed(connection: Connection): void {
    if (connection.near.destroyed && (connection.far?.destroyed ?? true))
      this.#connections.delete(connection);
  }

  #pipe(connection: Connection, from: Socket, to: Socket, direction: Direction): Pipe {
    return new Pipe(from, to, systemClock, {
      slowness: () => (this.#state.kind === 'slow' ? this.#state : null),
      isLost: () => {
        const state = this.#state;
        const lost = connection.mute || (state.kind === 'deaf' && state.direction === direction);
        if (lost) connection.spoiled = true;
        return lost;
      },
    });
  }
}

function end({ near, far }: Connection): void {
  near.resetAndDestroy();
  far?.resetAndDestroy();
}

function connectTo(port: number): Promise<Socket | null> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true });
    const timer = systemClock.after(CONNECT_TIMEOUT_MS, () => socket.destroy());
    socket.on('error', () => {}); // 'close' follows.
    socket.once('close', () => resolve(null));
    socket.once('connect', () => {
      timer.cancel();
      socket.pause();
      resolve(socket);
    });
  });
}
