/**
 * One socket as the gateway knows it: a tagged union of what it may do, and the pages open on it. No page state here.
 *
 *      anonymous ──AUTH──▶ verifying ──ok──▶ ready ──HELLO──▶ ready with a replica
 *          └── 5 s, 16 KB ──▶ closed  └─ wrong token ─▶ closed
 */
import { TokenBucket } from '../base/token-bucket.ts';
import type { PageId, ReplicaId, ShardIndex } from '../protocol/ids.ts';
import type { Limits } from '../protocol/limits.ts';
import type { Role } from '../protocol/messages.ts';
import type { Identity } from './auth.ts';
import { Outbox, type OutboxOptions } from './outbox.ts';
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
  readonly ch: number;
  readonly page: PageId;
  readonly shard: ShardIndex;
  /** What the page's shard was told last; null: the page is being taken away. */
  role: Role | null;
  /** Not followed for now: the socket does not read (`slow-readers.ts`). */
  paused: boolean;
}

/** What one socket may ask for in a second. A few bytes of SUBSCRIBE or SYNC cost as much as the page is large. */
export type Rated = 'subscribe' | 'sync';

/** [each second, at once] */
function rateOf(what: Rated, limits: Limits): readonly [number, number] {
  const { subscriptionsMax, subscribesPerSecond, syncsPerSecond } = limits;
  switch (what) {
    case 'subscribe':
      return [subscribesPerSecond, subscriptionsMax + subscribesPerSecond];
    case 'sync':
      return [syncsPerSecond, syncsPerSecond];
  }
}

/** Slim, since most sockets are idle: what an idle one does not need is made when it is. */
export class Connection {
  readonly socket: TransportSocket;
  readonly outbox: Outbox;
  /** A few: searched from end to end. */
  #pages: OpenPage[] = NO_PAGES;
  #rates: { [what in Rated]?: TokenBucket } | null = null;
  #lastCh = -1;
  state: ConnectionState;

  constructor(socket: TransportSocket, outbox: OutboxOptions, now: number) {
    this.socket = socket;
    this.outbox = new Outbox(socket, outbox);
    this.state = { tag: 'anonymous', since: now, bytes: 0 };
  }

  get id(): number {
    return this.socket.id;
  }

  get pages(): readonly OpenPage[] {
    return this.#pages;
  }

  pageUnder(ch: number): OpenPage | undefined {
    return this.#pages.find((open) => open.ch === ch);
  }

  pageOf(page: PageId): OpenPage | undefined {
    return this.#pages.find((open) => open.page === page);
  }

  /** A ch is above all before it on its socket, so that a late frame never meets another page. */
  isFreshCh(ch: number): boolean {
    return ch > this.#lastCh;
  }

  openPage(ch: number, page: PageId, shard: ShardIndex, role: Role): void {
    this.#lastCh = ch;
    this.#pages = [...this.#pages, { ch, page, shard, role, paused: false }];
  }

  closePage(ch: number): OpenPage | undefined {
    const open = this.pageUnder(ch);
    if (open) this.#pages = this.#pages.filter((one) => one !== open);
    return open;
  }

  closeAll(): void {
    this.#pages = NO_PAGES;
  }

  /** 0, or the ms until the socket may do this again. */
  take(what: Rated, limits: Limits, now: number): number {
    this.#rates ??= {};
    let bucket = this.#rates[what];
    if (!bucket) {
      const [perSecond, burst] = rateOf(what, limits);
      this.#rates[what] = bucket = new TokenBucket(perSecond, burst, now);
    }
    return bucket.take(now);
  }
}

const NO_PAGES: OpenPage[] = [];
