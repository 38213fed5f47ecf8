/**
 * The gateway: sockets in, shards behind. It authenticates, limits, and routes a frame by its first bytes; what is in it
 * the shard reads. From the shards come sends, publishes, and the instructions to join and leave topics, in one stream
 * whose order is kept. It holds no page state.
 */
import type { Log } from '../base/log.ts';
import type { Random } from '../base/random.ts';
import type { Clock, Millis, Timer } from '../base/time.ts';
import { decodeClientMessage, isMalformed } from '../protocol/decode.ts';
import {
  bytesToId,
  type EpochId,
  type NodeId,
  type PageId,
  type ShardIndex,
  SERVER_REPLICA,
} from '../protocol/ids.ts';
import type { Limits } from '../protocol/limits.ts';
import { CLIENT_KIND, type ClientMessage, PROTOCOL_VERSION, type Role } from '../protocol/messages.ts';
import { readRouteHead } from '../protocol/route.ts';
import { FROM_SHARD, TO_SHARD } from '../workers/envelope.ts';
import { writeCh, writeSlowed } from '../workers/number-records.ts';
import { writeRole, writeSubscribeHead } from '../workers/records.ts';
import type { Shards } from '../workers/shard-pool.ts';
import type { VerifyToken } from './auth.ts';
import { Authentication } from './authentication.ts';
import { Connection, type OpenPage, type Rated, type Ready } from './connection.ts';
import { Farewell } from './farewell.ts';
import { type OutboxOptions, unreadBytes } from './outbox.ts';
import { ShardRecords } from './shard-records.ts';
import { SlowReaders } from './slow-readers.ts';
import { Replies } from './replies.ts';
import { createGatewayMetrics, type GatewayMetrics } from './gateway-metrics.ts';
import { type Revocation, Revocations } from './revocations.ts';
import { SocketCounts } from './socket-counts.ts';
import type { Transport, TransportSocket } from './transport.ts';
import type { UpgradeContext } from './upgrade.ts';
import { UserRates } from './user-rates.ts';

export interface GatewayOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly limits: Limits;
  readonly node: NodeId;
  readonly epoch: EpochId;
  readonly verify: VerifyToken;
  /** For simulations: left out, it is what a server has. */
  readonly createMetrics?: typeof createGatewayMetrics;
}

const SWEEP_MS = 1000;
const TOO_FAST = 'more frames or bytes than a user may send; WELCOME has the rates';
const NOTHING = new Uint8Array(0);

export class Gateway {
  readonly #options: GatewayOptions;
  readonly #connections = new Map<number, Connection>();
  readonly #userRates: UserRates;
  readonly #revocations = new Revocations();
  readonly #counts: SocketCounts;
  readonly metrics: GatewayMetrics;
  readonly farewell: Farewell;
  #transport!: Transport;
  #shards!: Shards;
  #sweepTimer: Timer | undefined;
  readonly #replies: Replies;
  readonly #authentication: Authentication;
  readonly #slow: SlowReaders;
  readonly #shardRecords: ShardRecords;
  readonly #outbox: OutboxOptions;

  constructor(options: GatewayOptions) {
    this.#options = options;
    const { limits, verify, log, clock } = options;
    this.metrics = (options.createMetrics ?? createGatewayMetrics)(() => ({
      ...unreadBytes(this.#connections.values()),
      sockets: this.#connections.size,
      paused: this.#slow.paused,
    }));
    this.#counts = new SocketCounts(limits);
    this.#userRates = new UserRates(limits);
    const bytesMax = limits.socketBufferBytesMax;
    this.#slow = new SlowReaders({
      clock,
      bytesMax,
      resume: ({ id }, { shard, ch }) => this.#shards.post(shard, TO_SHARD.resume, id, writeCh(ch)),
      close: (connection) => this.#replies.close(connection, 'too_slow'),
      counts: this.metrics.slow,
    });
    this.#outbox = {
      bytesMax,
      pull: ({ id }, ch) => {
        const connection = this.#connections.get(id);
        const open = connection?.pageUnder(ch);
        if (open) this.#shards.post(open.shard, TO_SHARD.pull, id, writeCh(ch));
        else connection?.outbox.pulled(ch);
      },
    };
    this.#replies = new Replies(
      log,
      this.metrics,
      (connection) => this.#leaveAll(connection),
      (connection) => this.#slow.watch(connection),
    );
    this.farewell = new Farewell({ ...options, replies: this.#replies, connections: this.#connections });
    this.#shardRecords = new ShardRecords(this.#replies, this.#slow);
    this.#authentication = new Authentication({
      verify,
      limits,
      log,
      replies: this.#replies,
      countUser: (connection, user) => this.#counts.openUser(connection.socket, user),
      frame: (connection, state, bytes) => this.#frame(connection, state, bytes),
      setRole: (connection, open, identity) =>
        this.#setRole(connection, open, this.#revocations.roleOn(identity, open.page)),
    });
    this.#sweepLater();
  }

  /** Transport and shards know the gateway and it knows them: they are handed in once all are made. */
  attach(transport: Transport, shards: Shards): void {
    this.#transport = transport;
    this.#shards = shards;
  }

  // ── sockets ────────────────────────────────────────────────────────────────────────────────────────────────────

  open(socket: TransportSocket, { token, address }: UpgradeContext): void {
    const connection = new Connection(socket, this.#outbox, this.#options.clock.monotonic());
    this.#connections.set(socket.id, connection);
    if (this.farewell.begun) return this.#replies.close(connection, 'going_away');
    if (!this.#counts.openAddress(socket, address)) {
      return this.#replies.refuse(connection, 'too_many', 'too many sockets from this address', 'too_many');
    }
    if (token !== null) this.#authentication.begin(connection, token);
  }

  message(socket: TransportSocket, bytes: Uint8Array, isBinary: boolean): void {
    const connection = this.#connections.get(socket.id);
    if (!connection) return;
    this.metrics.hot.framesIn++;
    this.metrics.hot.bytesIn += bytes.length;
    const { state } = connection;
    if (state.tag === 'closed') return;
    const now = this.#options.clock.monotonic();
    if (state.tag === 'ready' && !this.#userRates.takeFrame(state.identity.user, bytes.length, now))
      return this.#replies.refuse(connection, 'rate', TOO_FAST, 'too_fast');
    if (!isBinary) {
      if (state.tag === 'ready') return this.#replies.error(connection, 'malformed', 'frames are binary');
      // Nobody's socket gets one answer to a frame of 1 MiB, not one each.
      return this.#replies.refuse(connection, 'malformed', 'frames are binary', 'malformed');
    }
    if (state.tag === 'ready') this.#frame(connection, state, bytes);
    else this.#authentication.early(connection, state, bytes);
  }

  dropped(socket: TransportSocket): void {
    const connection = this.#connections.get(socket.id);
    if (connection && connection.state.tag !== 'closed') this.#slow.dropped(connection);
  }

  drained(socket: TransportSocket): void {
    const connection = this.#connections.get(socket.id);
    if (!connection || connection.state.tag === 'closed') return;
    connection.outbox.drained();
    this.#slow.drained(connection);
  }

  closed(socket: TransportSocket): void {
    const connection = this.#connections.get(socket.id);
    if (!connection) return;
    this.#connections.delete(socket.id);
    this.#leaveAll(connection);
    this.#counts.close(socket);
  }

  /** Tells the shards that this socket is gone. */
  #leaveAll(connection: Connection): void {
    const shards = new Set(connection.pages.map((open) => open.shard));
    for (const shard of shards) this.#shards.post(shard, TO_SHARD.closed, connection.id, NOTHING);
    connection.closeAll();
    connection.outbox.clear();
    this.#slow.forget(connection);
    connection.state = { tag: 'closed' };
    this.farewell.left(connection);
  }

  // ── frames ─────────────────────────────────────────────────────────────────────────────────────────────────────

  #frame(connection: Connection, state: Ready, bytes: Uint8Array): void {
    const head = readRouteHead(bytes);
    if (!head) return this.#replies.error(connection, 'malformed', 'a message is a MessagePack array that begins with its kind');
    if (head.kind < CLIENT_KIND.subscribe) return this.#control(connection, state, bytes);
    if (head.kind > CLIENT_KIND.sync && head.kind !== CLIENT_KIND.diverged) return this.#replies.error(connection, 'malformed', `kind ${head.kind} is not for clients to send`);
    if (state.replica === null) return this.#replies.error(connection, 'malformed', 'HELLO comes first', head.ch);
    if (head.kind === CLIENT_KIND.subscribe) return this.#subscribe(connection, state, head.ch, bytes);
    const open = connection.pageUnder(head.ch);
    if (!open) return this.#replies.error(connection, 'not_open', `no page is open under ch ${head.ch}`, head.ch);
    if (head.kind === CLIENT_KIND.unsubscribe) {
      connection.closePage(head.ch);
      return this.#shards.post(open.shard, TO_SHARD.unsubscribe, connection.id, writeCh(head.ch));
    }
    if (head.kind === CLIENT_KIND.change) return this.#change(connection, state, open.shard, bytes);
    if (!this.#inRate(connection, state, head.kind === CLIENT_KIND.presence ? 'presence' : 'sync', head.ch)) return;
    this.#shards.post(open.shard, TO_SHARD.frame, connection.id, bytes);
  } // prettier-ignore

  /** Token and rate, which are the gateway's to know; whether a change past the rate is a duplicate the page knows. */
  #change(connection: Connection, state: Ready, shard: ShardIndex, bytes: Uint8Array): void {
    const { clock } = this.#options;
    const { user, expiresMs } = state.identity;
    if (expiresMs <= clock.now()) return this.#authentication.rejectExpired(connection, state, bytes);
    const waitMs = this.#userRates.take(user, 'change', clock.monotonic());
    if (waitMs === 0) this.#shards.post(shard, TO_SHARD.frame, connection.id, bytes);
    else this.#shards.post(shard, TO_SHARD.slowed, connection.id, writeSlowed(waitMs, bytes));
  }

  /** Presence is counted by user, the others by socket. */
  #inRate(connection: Connection, { identity }: Ready, what: Rated | 'presence', ch: number): boolean {
    const { clock, limits } = this.#options;
    const now = clock.monotonic();
    const waitMs = what === 'presence' ? this.#userRates.take(identity.user, what, now) : connection.take(what, limits, now);
    if (waitMs > 0) this.#replies.error(connection, 'rate', `${what} comes too often`, ch, waitMs);
    return waitMs === 0;
  } // prettier-ignore

  #control(connection: Connection, state: Ready, bytes: Uint8Array): void {
    const message = decodeClientMessage(bytes);
    if (isMalformed(message)) return this.#replies.error(connection, 'malformed', message.malformed);
    switch (message.kind) {
      case 'hello':
        return this.#hello(connection, state, message);
      case 'ping': {
        const time = this.#options.clock.now();
        return this.#replies.send(connection, { kind: 'pong', t: message.t, time });
      }
      case 'auth':
        return this.#authentication.renew(connection, state, message.token);
    }
  }

  #hello(
    connection: Connection,
    state: Ready,
    { version, replica }: ClientMessage & { kind: 'hello' },
  ): void {
    const { node, clock, limits, epoch } = this.#options;
    if (version !== PROTOCOL_VERSION) {
      const reason = `this server speaks version ${PROTOCOL_VERSION}, not ${version}`;
      return this.#replies.refuse(connection, 'unsupported', reason, 'unsupported');
    }
    if (state.replica !== null) return this.#replies.error(connection, 'malformed', 'HELLO is sent once');
    if (replica === SERVER_REPLICA)
      return this.#replies.error(connection, 'not_yours', 'this replica id is the server’s own');
    state.replica = replica;
    const time = clock.now();
    this.#replies.send(connection, { kind: 'welcome', version: PROTOCOL_VERSION, node, time, limits, epoch });
  }

  #subscribe(connection: Connection, state: Ready, ch: number, bytes: Uint8Array): void {
    const message = decodeClientMessage(bytes);
    if (isMalformed(message)) return this.#replies.error(connection, 'malformed', message.malformed, ch);
    if (message.kind !== 'subscribe') return;
    const { page } = message;
    const { identity, replica } = state;
    if (!connection.isFreshCh(ch)) return this.#replies.error(connection, 'already_open', `ch ${ch} is not above all before it`, ch);
    if (connection.pageOf(page)) return this.#replies.error(connection, 'already_open', 'the page is open on this socket', ch);
    if (connection.pages.length >= this.#options.limits.subscriptionsMax) {
      return this.#replies.error(connection, 'too_many', 'too many pages are open on this socket', ch);
    }
    if (identity.expiresMs <= this.#options.clock.now()) {
      return this.#replies.error(connection, 'expired', 'the token has expired; send AUTH with a fresh one', ch);
    }
    const role = this.#revocations.roleOn(identity, page);
    if (!role) return this.#replies.error(connection, 'forbidden', 'the token does not grant this page, or no longer', ch);
    if (!this.#inRate(connection, state, 'subscribe', ch)) return;
    const waitMs = this.#shards.unavailableMs(page);
    if (waitMs > 0) return this.#replies.error(connection, 'unavailable', 'the page cannot be served just now', ch, waitMs);
    const shard = this.#shards.shardOf(page);
    connection.openPage(ch, page, shard, role);
    const record = writeSubscribeHead({ user: identity.user, role, replica: replica!, frame: bytes });
    this.#shards.post(shard, TO_SHARD.subscribe, connection.id, record);
  } // prettier-ignore

  // ── roles ──────────────────────────────────────────────────────────────────────────────────────────────────────

  /** Grants were taken away, lowered, or given back: pages that are open hear of it from their shards. */
  revoked(rows: readonly Revocation[]): void {
    const users = this.#revocations.apply(rows);
    for (const connection of this.#connections.values()) {
      const { state } = connection;
      if (state.tag !== 'ready' || !users.has(state.identity.user)) continue;
      for (const open of connection.pages) {
        const role = this.#revocations.roleOn(state.identity, open.page);
        if (role !== open.role) this.#setRole(connection, open, role);
      }
    }
  }

  #setRole(connection: Connection, open: OpenPage, role: Role | null): void {
    open.role = role;
    this.#shards.post(open.shard, TO_SHARD.role, connection.id, writeRole(open.ch, role));
  }

  // ── from the shards ────────────────────────────────────────────────────────────────────────────────────────────

  /** One record of a shard's stream, in its order. */
  record(type: number, connectionId: number, bytes: Uint8Array): void {
    if (type !== FROM_SHARD.publish) {
      const connection = this.#connections.get(connectionId);
      if (connection) this.#shardRecords.forOne(connection, type, bytes);
      return;
    }
    this.metrics.hot.published++;
    this.#transport.publish(bytesToId<PageId>(bytes), bytes.subarray(16));
  }

  /** A shard died and is back: what was open on it is closed, and its clients open it again. */
  shardLost(shard: ShardIndex, retryMs: Millis): void {
    for (const connection of this.#connections.values())
      this.#shardRecords.shardLost(connection, shard, retryMs);
  }

  // ── time ───────────────────────────────────────────────────────────────────────────────────────────────────────

  #sweepLater(): void {
    this.#sweepTimer = this.#options.clock.after(SWEEP_MS, () => {
      this.#sweep();
      this.#sweepLater();
    });
  }

  #sweep(): void {
    const { clock } = this.#options;
    const [now, monotonic] = [clock.now(), clock.monotonic()];
    for (const connection of this.#connections.values())
      this.#authentication.sweep(connection, now, monotonic);
    this.#slow.sweep();
    this.#userRates.sweep(monotonic);
  }

  /** Closes every socket that is left with "come back". */
  end(): void {
    this.#sweepTimer?.cancel();
    for (const connection of this.#connections.values()) this.#replies.close(connection, 'going_away');
  }
}
