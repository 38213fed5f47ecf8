/**
 * One socket as the gateway knows it: a tagged union of what it may do, and the pages open on it. No page state here.
 *
 *      anonymous ──AUTH──▶ verifying ──ok──▶ ready ──HELLO──▶ ready with a replica
 *          └── 5 s, 16 KB ──▶ closed  └─ wrong token ─▶ closed
 */
import { TokenBucket } from '../base/token-bucket.ts';
import type { PageId, ReplicaId, ShardIndex } from '../protocol/ids.ts';
import { type Limits, SOCKET_RATES } from '../protocol/limits.ts';
import type { Identity } from './auth.ts';
import { Outbox } from './outbox.ts';
import type { TransportSocket } from './transport.ts';

export type ConnectionState =
  | { readonly tag: 'anonymous'; readonly since: number; bytes: number }
  /** Frames that came while the token is looked at; handled in order afterwards. */
  | { readonly tag: 'verifying'; readonly since: number; bytes: number; readonly frames: Uint8Array[] }
  | { readonly tag: 'ready'; identity: Identity; replica: ReplicaId | null; verifying: boolean }
  | { readonly tag: 'closed' };

export type Ready = ConnectionState & { tag: 'ready' };
export type Early = ConnectionState & { tag: 'anonymous' | 'verifying' };

export interface OpenPage {
  readonly page: PageId;
  readonly shard: ShardIndex;
}

/** What one socket may ask for in a second. A few bytes of SUBSCRIBE or SYNC cost as much as the page is large. */
interface Rates {
  readonly presence: TokenBucket;
  readonly subscribe: TokenBucket;
  readonly sync: TokenBucket;
}

export class Connection {
  readonly socket: TransportSocket;
  readonly rates: Rates;
  readonly outbox: Outbox;
  readonly pageByCh = new Map<number, OpenPage>();
  readonly #pages = new Set<PageId>();
  #lastCh = -1;
  state: ConnectionState;

  constructor(socket: TransportSocket, limits: Limits, now: number) {
    const { presencePerSecond, subscriptionsMax } = limits;
    const { subscribesPerSecond, syncsPerSecond } = SOCKET_RATES;
    this.socket = socket;
    this.rates = {
      presence: new TokenBucket(presencePerSecond, presencePerSecond, now),
      subscribe: new TokenBucket(subscribesPerSecond, subscriptionsMax + subscribesPerSecond, now),
      sync: new TokenBucket(syncsPerSecond, syncsPerSecond, now),
    };
    this.outbox = new Outbox(socket, limits.outboxBytesMax);
    this.state = { tag: 'anonymous', since: now, bytes: 0 };
  }

  get id(): number {
    return this.socket.id;
  }

  hasPage(page: PageId): boolean {
    return this.#pages.has(page);
  }

  /** A ch is above all before it on its socket, so that a late frame never meets another page. */
  isFreshCh(ch: number): boolean {
    return ch > this.#lastCh;
  }

  openPage(ch: number, page: PageId, shard: ShardIndex): void {
    this.#lastCh = ch;
    this.pageByCh.set(ch, { page, shard });
    this.#pages.add(page);
  }

  closePage(ch: number): OpenPage | undefined {
    const open = this.pageByCh.get(ch);
    if (!open) return undefined;
    this.pageByCh.delete(ch);
    this.#pages.delete(open.page);
    return open;
  }
}
