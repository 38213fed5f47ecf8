/**
 * The network: the transport of every node (the port of `src/gateway/transport.ts`) and the sockets of every client,
 * joined by links that delay, cut, and read slowly. Within one direction of one connection nothing is overtaken; between
 * connections anything is. A cut loses what is in flight from some point on, and each half hears of it in its own time.
 */
import type { Socket, SocketEvents } from '../../src/client/socket.ts';
import type { Timer } from '../../src/base/time.ts';
import {
  DroppedSockets,
  type SendResult,
  type Transport,
  type TransportHandlers,
  type TransportSocket,
} from '../../src/gateway/transport.ts';
import type { UpgradeContext } from '../../src/gateway/upgrade.ts';
import { SUBPROTOCOL, SYNC_PATH } from '../../src/protocol/messages.ts';
import type { Dice } from './dice.ts';
import type { Weather } from './plan.ts';
import { Lane, type Timeline } from './timeline.ts';
import type { Trace } from './trace.ts';

export interface NetworkOptions {
  readonly timeline: Timeline;
  readonly dice: Dice;
  readonly trace: Trace;
  readonly bufferBytesMax: number;
  weather(): Weather['net'];
  /** Every frame that a node sends, when it leaves. */
  sent(bytes: Uint8Array): void;
}

const NEVER = Infinity;

export class Network {
  readonly options: NetworkOptions;
  readonly transports: SimTransport[] = [];
  readonly connections = new Set<Connection>();
  readonly offline = new Set<number>();
  /** `client * 100 + node` that cannot reach each other. */
  readonly partitioned = new Set<number>();
  #lastId = 0;

  constructor(options: NetworkOptions) {
    this.options = options;
  }

  nextId(): number {
    return ++this.#lastId;
  }

  delay(): number {
    const { delayMs, jitterMs } = this.options.weather();
    const { dice } = this.options;
    const usual = dice.between(delayMs[0], delayMs[1]);
    return jitterMs > 0 && dice.chance(0.1) ? usual + dice.between(0, jitterMs) : usual;
  }

  /** When a half hears that the other is gone. */
  #notice(): number {
    const { dice, weather } = this.options;
    return dice.chance(weather().halfOpen) ? dice.between(1000, 45_000) : dice.between(0, 50);
  }

  canReach(client: number, node: number): boolean {
    const transport = this.transports[node];
    return transport !== undefined && transport.listens && !this.offline.has(client) && !this.partitioned.has(client * 100 + node); // prettier-ignore
  }

  /** A client's `openSocket`. `nodes`: where it tries, in this order; the first that answers is taken. */
  connect(client: number, nodes: readonly number[], token: string, events: SocketEvents): Socket {
    const { timeline, dice, weather, trace } = this.options;
    const connection = new Connection(this, client, events);
    timeline.after(this.delay(), () => {
      const node = nodes.find((one) => this.canReach(client, one));
      if (node === undefined || dice.chance(weather().refuse))
        return connection.closeClient(1006, 'unreachable');
      trace.note('connect', client, node);
      const transport = this.transports[node]!;
      connection.meet(transport, token);
    });
    return connection.socket;
  }

  /** Cuts one connection; each half hears of it some time later. */
  cut(connection: Connection): void {
    if (connection.isOver) return;
    const { timeline, dice, trace } = this.options;
    trace.note('cut', connection.id);
    const lossFrom = timeline.now + (dice.chance(0.5) ? 0 : dice.between(0, 2 * this.delay()));
    connection.cutAt(lossFrom, dice.chance(0.5) ? lossFrom : timeline.now);
    timeline.after(this.#notice(), () => connection.closeServer(1006));
    timeline.after(this.#notice(), () => connection.closeClient(1006, 'lost'));
  }

  cutWhere(matches: (connection: Connection) => boolean): void {
    for (const connection of this.connections) if (matches(connection)) this.cut(connection);
  }
}

/** One WebSocket: the client's half and the node's. */
export class Connection {
  readonly id: number;
  readonly client: number;
  readonly socket: Socket;
  transport: SimTransport | null = null;
  readonly #network: Network;
  readonly #events: SocketEvents;
  readonly #up: Lane;
  readonly #down: Lane;
  #server: ServerSocket | null = null;
  #clientOpen = true;
  #lostUpFrom = NEVER;
  #lostDownFrom = NEVER;
  #readRate = Infinity;

  constructor(network: Network, client: number, events: SocketEvents) {
    this.#network = network;
    this.id = network.nextId();
    this.client = client;
    this.#events = events;
    this.#up = new Lane(network.options.timeline);
    this.#down = new Lane(network.options.timeline);
    network.connections.add(this);
    this.socket = {
      bufferedAmount: 0,
      send: (bytes) => this.#sendUp(bytes),
      close: (code = 1005) => this.#closeByClient(code),
    };
  }

  /** Bytes a ms that the client reads; Infinity: as they come. */
  get readRate(): number {
    return this.#readRate;
  }

  set readRate(bytesPerMs: number) {
    this.#readRate = bytesPerMs;
    this.#server?.writeOn();
  }

  get isOver(): boolean {
    return !this.#clientOpen && (this.#server === null || this.#server.isClosed);
  }

  #forgetIfOver(): void {
    if (this.isOver) this.#network.connections.delete(this);
  }

  meet(transport: SimTransport, token: string): void {
    if (!this.#clientOpen) return this.#forgetIfOver();
    const decision = transport.handlers.upgrade({
      path: SYNC_PATH,
      query: new URLSearchParams(),
      header: () => '',
      protocols: [SUBPROTOCOL, `bearer.${token}`],
      address: `client-${this.client}`,
    });
    if (!decision.accept) return this.closeClient(1006, 'not upgraded');
    this.transport = transport;
    const server = new ServerSocket(this.#network, this, transport);
    this.#server = server;
    transport.sockets.add(server);
    transport.handlers.open(server, decision.context);
    this.down(() => this.#clientOpen && this.#events.open());
  }

  /** What goes down, in order; lost if it would arrive after the cut. */
  down(arrive: () => void): void {
    const { timeline } = this.#network.options;
    this.#down.send(this.#network.delay(), () => timeline.now < this.#lostDownFrom && arrive());
  }

  receive(bytes: Uint8Array): void {
    if (!this.#clientOpen) return;
    this.#network.options.trace.frame('down', this.id, bytes);
    this.#events.message(bytes);
  }

  #sendUp(bytes: Uint8Array): void {
    if (!this.#clientOpen) return;
    const { timeline, trace } = this.#network.options;
    const copy = bytes.slice();
    this.#up.send(this.#network.delay(), () => {
      const server = this.#server;
      if (timeline.now >= this.#lostUpFrom || !server || server.isClosed) return;
      trace.frame('up', this.id, copy);
      server.transport.handlers.message(server, copy, true);
      // The bytes are the transport's: whoever kept them sees it here.
      copy.fill(0xc1);
    });
  }

  #closeByClient(code: number): void {
    if (!this.#clientOpen) return;
    this.#clientOpen = false;
    const { timeline } = this.#network.options;
    const arrived = () => {
      if (timeline.now < this.#lostUpFrom) this.closeServer(code);
      this.#forgetIfOver();
    };
    this.#up.send(this.#network.delay(), arrived);
  }

  cutAt(up: number, down: number): void {
    this.#lostUpFrom = Math.min(this.#lostUpFrom, up);
    this.#lostDownFrom = Math.min(this.#lostDownFrom, down);
  }

  closeServer(code: number): void {
    this.#server?.closed(code);
    this.#forgetIfOver();
  }

  closeClient(code: number, reason: string): void {
    if (!this.#clientOpen) return;
    this.#clientOpen = false;
    this.#forgetIfOver();
    this.#events.close(code, reason);
  }

  /** The node is gone, without a word: what it has sent may still come. */
  serverDied(): void {
    if (this.#server) this.#server.isClosed = true;
    this.#network.cut(this);
  }
}

/** A node's half. */
class ServerSocket implements TransportSocket {
  readonly id: number;
  readonly transport: SimTransport;
  readonly topics = new Set<string>();
  isClosed = false;
  readonly #network: Network;
  readonly #connection: Connection;
  #buffered = 0;
  readonly #unwritten: { readonly bytes: number; readonly arrive: () => void }[] = [];
  #writing: Timer | null = null;

  constructor(network: Network, connection: Connection, transport: SimTransport) {
    this.#network = network;
    this.#connection = connection;
    this.transport = transport;
    this.id = connection.id;
  }

  send(bytes: Uint8Array): SendResult {
    if (this.isClosed) return 'dropped';
    this.#network.options.sent(bytes);
    return this.deliver(bytes.slice());
  }

  /** Like `send`, of a frame that was seen already. The bytes must stay as they are. */
  deliver(frame: Uint8Array): SendResult {
    if (this.isClosed) return 'dropped';
    if (this.#buffered > this.#network.options.bufferBytesMax) {
      this.transport.dropped.add(this);
      return 'dropped';
    }
    this.#write(frame.length, () => this.#connection.receive(frame));
    return this.#buffered > 0 ? 'queued' : 'sent';
  }

  /** Writes to the network, as fast as the peer reads. */
  #write(bytes: number, arrive: () => void): void {
    if (this.#unwritten.length === 0 && this.#connection.readRate === Infinity) this.#connection.down(arrive);
    else {
      this.#unwritten.push({ bytes, arrive });
      this.#buffered += bytes;
      if (this.#unwritten.length === 1) this.writeOn();
    }
  }

  /** Goes on writing; at another rate, perhaps. */
  writeOn(): void {
    this.#writing?.cancel();
    const next = this.#unwritten[0];
    if (!next) return;
    this.#writing = this.#network.options.timeline.after(next.bytes / this.#connection.readRate, () => {
      this.#unwritten.shift();
      this.#buffered -= next.bytes;
      this.#connection.down(next.arrive);
      this.writeOn();
      if (!this.isClosed) this.transport.handlers.drain(this);
    });
  }

  cork(write: () => void): void {
    write();
  }

  join(topic: string): void {
    this.topics.add(topic);
    this.transport.join(topic, this);
  }

  leave(topic: string): void {
    this.topics.delete(topic);
    this.transport.leave(topic, this);
  }

  bufferedBytes(): number {
    return this.#buffered;
  }

  end(code: number, reason: string): void {
    if (this.isClosed) return;
    this.#write(reason.length, () => this.#connection.closeClient(code, reason));
    this.closed(code);
  }

  terminate(): void {
    if (this.isClosed) return;
    this.closed(1006);
    this.#network.cut(this.#connection);
  }

  closed(code: number): void {
    if (this.isClosed) return;
    this.isClosed = true;
    for (const topic of this.topics) this.transport.leave(topic, this);
    this.transport.dropped.forget(this);
    this.transport.sockets.delete(this);
    this.transport.handlers.close(this, code);
  }
}

export class SimTransport implements Transport {
  readonly name = 'sim';
  readonly handlers: TransportHandlers<UpgradeContext>;
  readonly sockets = new Set<ServerSocket>();
  readonly dropped: DroppedSockets<ServerSocket>;
  listens = true;
  readonly #network: Network;
  readonly #topics = new Map<string, Set<ServerSocket>>();

  constructor(network: Network, handlers: TransportHandlers<UpgradeContext>) {
    this.#network = network;
    this.handlers = handlers;
    const later = (flush: () => void) => void network.options.timeline.after(0, flush);
    this.dropped = new DroppedSockets((socket) => handlers.dropped(socket), later);
  }

  async listen(_host: string, port: number): Promise<number> {
    return port;
  }

  join(topic: string, socket: ServerSocket): void {
    const sockets = this.#topics.get(topic);
    if (sockets) sockets.add(socket);
    else this.#topics.set(topic, new Set([socket]));
  }

  leave(topic: string, socket: ServerSocket): void {
    this.#topics.get(topic)?.delete(socket);
  }

  publish(topic: string, bytes: Uint8Array): void {
    this.dropped.flush();
    this.#network.options.sent(bytes);
    const sockets = this.#topics.get(topic);
    if (!sockets || sockets.size === 0) return;
    const frame = bytes.slice();
    for (const socket of sockets) socket.deliver(frame);
  }

  stopListening(): void {
    this.listens = false;
  }

  async close(): Promise<void> {
    this.listens = false;
    for (const socket of this.sockets) socket.end(1001, 'the server stops');
  }
}
