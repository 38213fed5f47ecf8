/**
 * The gateway: sockets in, shards behind. It authenticates, limits, and routes a frame by its first bytes; what is in it
 * the shard reads. From the shards come sends, publishes, and the instructions to join and leave topics, in one stream
 * whose order is kept. It holds no page state.
 */
import type { Log } from '../base/log.ts';
import { TokenBucket } from '../base/token-bucket.ts';
import type { Clock, Timer } from '../base/time.ts';
import { decodeClientMessage, isMalformed } from '../protocol/decode.ts';
import {
  bytesToId,
  type EpochId,
  type NodeId,
  type PageId,
  type ShardIndex,
  type UserId,
} from '../protocol/ids.ts';
import type { Limits } from '../protocol/limits.ts';
import { CLIENT_KIND, type ClientMessage, PROTOCOL_VERSION } from '../protocol/messages.ts';
import { readRouteHead } from '../protocol/route.ts';
import { FROM_SHARD, TO_SHARD } from '../workers/envelope.ts';
import { readCh, writeCh, writeRole, writeSlowed, writeSubscribeHead } from '../workers/records.ts';
import type { ShardPool } from '../workers/shard-pool.ts';
import { roleOn, type VerifyToken } from './auth.ts';
import { Authentication } from './authentication.ts';
import { Connection, type Ready } from './connection.ts';
import { Replies } from './replies.ts';
import { createGatewayMetrics } from './gateway-metrics.ts';
import { SocketCounts } from './socket-counts.ts';
import type { Transport, TransportSocket } from './transport.ts';

export interface GatewayOptions {
  readonly clock: Clock;
  readonly log: Log;
  readonly limits: Limits;
  readonly node: NodeId;
  readonly epoch: EpochId;
  readonly verify: VerifyToken;
}

/** Time for a fresh token after the old one has expired, in which changes wait. */
const EXPIRY_GRACE_MS = 10_000;
const SWEEP_MS = 1000;
const NOTHING = new Uint8Array(0);
/** After a shard died its clients come back within this. */
const SHARD_RETRY_MS = 250;

export class Gateway {
  readonly #options: GatewayOptions;
  readonly #connections = new Map<number, Connection>();
  readonly #rateByUser = new Map<UserId, TokenBucket>();
  readonly #counts: SocketCounts;
  readonly metrics = createGatewayMetrics(() => this.#connections.size);
  #transport!: Transport;
  #shards!: ShardPool;
  #sweepTimer: Timer | undefined;

  readonly #replies: Replies;
  readonly #authentication: Authentication;

  constructor(options: GatewayOptions) {
    this.#options = options;
    const { limits, verify, log } = options;
    this.#counts = new SocketCounts(limits);
    this.#replies = new Replies(this.metrics, (connection) => this.#leaveAll(connection));
    this.#authentication = new Authentication({
      verify,
      limits,
      replies: this.#replies,
      countUser: (connection, user) => this.#counts.openUser(connection.socket, user),
      frame: (connection, state, bytes) => this.#frame(connection, state, bytes),
      failed: (connection, error) => {
        log.error({ err: error, socket: connection.id }, 'authentication threw');
        connection.socket.end(1011, 'internal error');
      },
      setRole: (connection, ch, { page, shard }, grants) =>
        this.#shards.post(shard, TO_SHARD.role, connection.id, writeRole(ch, roleOn(grants, page))),
    });
    this.#sweepLater();
  }

  /** Transport and shards know the gateway and it knows them: they are handed in once all are made. */
  attach(transport: Transport, shards: ShardPool): void {
    this.#transport = transport;
    this.#shards = shards;
  }

  // ── sockets ────────────────────────────────────────────────────────────────────────────────────────────────────

  open(socket: TransportSocket, token: string | null): void {
    const { clock, limits } = this.#options;
    const now = clock.monotonic();
    const connection = new Connection(socket, limits, now);
    this.#connections.set(socket.id, connection);
    if (!this.#counts.openAddress(socket)) {
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
    if (!isBinary) {
      if (state.tag === 'ready') return this.#replies.error(connection, 'malformed', 'frames are binary');
      // Nobody's socket gets one answer to a frame of 1 MiB, not one each.
      return this.#replies.refuse(connection, 'malformed', 'frames are binary', 'malformed');
    }
    if (state.tag === 'ready') this.#frame(connection, state, bytes);
    else this.#authentication.early(connection, state, bytes);
  }

  /** The socket lost frames because it does not read: it is closed, comes back, and resumes where it was. */
  dropped(socket: TransportSocket): void {
    const connection = this.#connections.get(socket.id);
    if (connection && connection.state.tag !== 'closed') this.#replies.close(connection, 'too_slow');
  }

  drained(socket: TransportSocket): void {
    this.#connections.get(socket.id)?.outbox.drained();
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
    const shards = new Set([...connection.pageByCh.values()].map((open) => open.shard));
    for (const shard of shards) this.#shards.post(shard, TO_SHARD.closed, connection.id, NOTHING);
    connection.pageByCh.clear();
    connection.outbox.clear();
    connection.state = { tag: 'closed' };
  }

  // ── frames ─────────────────────────────────────────────────────────────────────────────────────────────────────

  #frame(connection: Connection, state: Ready, bytes: Uint8Array): void {
    const head = readRouteHead(bytes);
    if (!head) return this.#replies.error(connection, 'malformed', 'a message is a MessagePack array that begins with its kind');
    if (head.kind < CLIENT_KIND.subscribe) return this.#control(connection, state, bytes);
    if (head.kind > CLIENT_KIND.sync) return this.#replies.error(connection, 'malformed', `kind ${head.kind} is not for clients to send`);
    if (state.replica === null) return this.#replies.error(connection, 'malformed', 'HELLO comes first', head.ch);
    if (head.kind === CLIENT_KIND.subscribe) return this.#subscribe(connection, state, bytes);
    const open = connection.pageByCh.get(head.ch);
    if (!open) return this.#replies.error(connection, 'not_open', `no page is open under ch ${head.ch}`, head.ch);
    if (head.kind === CLIENT_KIND.unsubscribe) {
      connection.closePage(head.ch);
      return this.#shards.post(open.shard, TO_SHARD.unsubscribe, connection.id, writeCh(head.ch));
    }
    if (head.kind === CLIENT_KIND.change) return this.#change(connection, state, open.shard, bytes);
    if (!this.#inRate(connection, head.kind === CLIENT_KIND.presence ? 'presence' : 'sync', head.ch)) return;
    this.#shards.post(open.shard, TO_SHARD.frame, connection.id, bytes);
  } // prettier-ignore

  /** Token and rate, which are the gateway's to know; whether a change past the rate is a duplicate the page knows. */
  #change(connection: Connection, state: Ready, shard: ShardIndex, bytes: Uint8Array): void {
    const { clock, limits } = this.#options;
    const { user, expiresMs } = state.identity;
    if (expiresMs <= clock.now()) return this.#rejectExpired(connection, state, bytes);
    const now = clock.monotonic();
    let rate = this.#rateByUser.get(user);
    if (!rate) {
      rate = new TokenBucket(limits.userChangesPerSecond, limits.userChangesBurst, now);
      this.#rateByUser.set(user, rate);
    }
    const waitMs = rate.take(now);
    if (waitMs === 0) this.#shards.post(shard, TO_SHARD.frame, connection.id, bytes);
    else this.#shards.post(shard, TO_SHARD.slowed, connection.id, writeSlowed(waitMs, bytes));
  }

  #rejectExpired(connection: Connection, state: Ready, bytes: Uint8Array): void {
    const change = decodeClientMessage(bytes);
    if (isMalformed(change) || change.kind !== 'change') {
      const reason = isMalformed(change) ? change.malformed : 'not a change';
      return this.#replies.error(connection, 'malformed', reason);
    }
    this.metrics.refused('expired');
    const { ch, n } = change;
    const replica = change.replica ?? state.replica!;
    const message = 'the token has expired; send AUTH with a fresh one';
    this.#replies.send(connection, { kind: 'reject', ch, n, code: 'expired', message, retryAfterMs: null, replica });
  } // prettier-ignore

  #inRate(connection: Connection, what: keyof Connection['rates'], ch: number): boolean {
    const waitMs = connection.rates[what].take(this.#options.clock.monotonic());
    if (waitMs > 0) this.#replies.error(connection, 'rate', `${what} comes too often`, ch, waitMs);
    return waitMs === 0;
  }

  #control(connection: Connection, state: Ready, bytes: Uint8Array): void {
    const message = decodeClientMessage(bytes);
    if (isMalformed(message)) return this.#replies.error(connection, 'malformed', message.malformed);
    switch (message.kind) {
      case 'hello':
        return this.#hello(connection, state, message);
      case 'ping':
        return this.#replies.send(connection, {
          kind: 'pong',
          t: message.t,
          time: this.#options.clock.now(),
        });
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
    state.replica = replica;
    this.#replies.send(connection, {
      kind: 'welcome',
      version: PROTOCOL_VERSION,
      node,
      time: clock.now(),
      limits,
      epoch,
    });
  }

  #subscribe(connection: Connection, state: Ready, bytes: Uint8Array): void {
    const message = decodeClientMessage(bytes);
    if (isMalformed(message)) return this.#replies.error(connection, 'malformed', message.malformed);
    if (message.kind !== 'subscribe') return;
    const { ch, page } = message;
    const { identity, replica } = state;
    if (!connection.isFreshCh(ch)) return this.#replies.error(connection, 'already_open', `ch ${ch} is not above all before it`, ch);
    if (connection.hasPage(page)) return this.#replies.error(connection, 'already_open', 'the page is open on this socket', ch);
    if (connection.pageByCh.size >= this.#options.limits.subscriptionsMax) {
      return this.#replies.error(connection, 'too_many', 'too many pages are open on this socket', ch);
    }
    if (identity.expiresMs <= this.#options.clock.now()) {
      return this.#replies.error(connection, 'expired', 'the token has expired; send AUTH with a fresh one', ch);
    }
    const role = roleOn(identity.grants, page);
    if (!role) return this.#replies.error(connection, 'forbidden', 'the token does not grant this page', ch);
    if (!this.#inRate(connection, 'subscribe', ch)) return;
    const shard = this.#shards.shardOf(page);
    connection.openPage(ch, page, shard);
    const record = writeSubscribeHead({ user: identity.user, role, replica: replica!, frame: bytes });
    this.#shards.post(shard, TO_SHARD.subscribe, connection.id, record);
  } // prettier-ignore

  // ── from the shards ────────────────────────────────────────────────────────────────────────────────────────────

  /** One record of a shard's stream, in its order. */
  record(type: number, connectionId: number, bytes: Uint8Array): void {
    if (type === FROM_SHARD.publish) {
      this.metrics.hot.published++;
      return this.#transport.publish(bytesToId<PageId>(bytes), bytes.subarray(16));
    }
    const connection = this.#connections.get(connectionId);
    if (!connection || connection.state.tag === 'closed') return;
    switch (type) {
      case FROM_SHARD.send:
        this.metrics.hot.framesOut++;
        connection.socket.send(bytes);
        return;
      case FROM_SHARD.bulk:
        this.metrics.hot.framesOut++;
        if (!connection.outbox.send(bytes)) this.#replies.close(connection, 'too_slow');
        return;
      case FROM_SHARD.join:
        return connection.socket.join(bytesToId<PageId>(bytes));
      case FROM_SHARD.leave:
        return connection.socket.leave(bytesToId<PageId>(bytes));
      case FROM_SHARD.forget:
        connection.closePage(readCh(bytes));
        return;
    }
  }

  /** A shard died and is back: what was open on it is closed, and its clients open it again. */
  shardLost(shard: ShardIndex): void {
    for (const connection of this.#connections.values()) {
      for (const [ch, open] of connection.pageByCh) {
        if (open.shard !== shard) continue;
        connection.closePage(ch);
        connection.socket.leave(open.page);
        this.#replies.error(
          connection,
          'unavailable',
          'the page’s shard was started anew',
          ch,
          SHARD_RETRY_MS,
        );
      }
    }
  }

  // ── time ───────────────────────────────────────────────────────────────────────────────────────────────────────

  #sweepLater(): void {
    this.#sweepTimer = this.#options.clock.after(SWEEP_MS, () => {
      this.#sweep();
      this.#sweepLater();
    });
  }

  #sweep(): void {
    const { clock, limits } = this.#options;
    const now = clock.now();
    const monotonic = clock.monotonic();
    for (const connection of this.#connections.values()) {
      const { state } = connection;
      if (state.tag === 'ready') {
        if (state.identity.expiresMs + EXPIRY_GRACE_MS <= now)
          this.#replies.close(connection, 'token_expired');
      } else if (state.tag !== 'closed' && monotonic - state.since >= limits.unauthenticatedMs) {
        this.#replies.refuse(
          connection,
          'unauthorized',
          `no token came within ${limits.unauthenticatedMs} ms`,
          'unauthorized',
        );
      }
    }
    for (const [user, rate] of this.#rateByUser) if (rate.isFull(monotonic)) this.#rateByUser.delete(user);
  }

  /** Closes every socket with "come back": the node is going away. */
  farewell(): void {
    this.#sweepTimer?.cancel();
    for (const connection of this.#connections.values()) {
      if (connection.state.tag !== 'closed') this.#replies.close(connection, 'going_away');
    }
  }
}
