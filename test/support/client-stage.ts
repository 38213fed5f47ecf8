/**
 * The client on a stage: a server that the test plays by hand, frame by frame, under a clock that the test moves.
 */
import { seededRandom } from '../../src/base/random.ts';
import { type Clock, sleep, type Timer } from '../../src/base/time.ts';
import { connect, type OctavoError, type Page } from '../../src/client/index.ts';
import type { SocketEvents } from '../../src/client/socket.ts';
import type { TokenProvider } from '../../src/client/token.ts';
import { BlockTable } from '../../src/document/blocks.ts';
import { decodeOps, encodeOps, type OpDraft } from '../../src/document/ops.ts';
import { decodeClientMessage, isMalformed } from '../../src/protocol/decode.ts';
import { encodeServerMessage } from '../../src/protocol/encode.ts';
import {
  type BlockId,
  type EpochId,
  type NodeId,
  type PageId,
  type ReplicaId,
  seq,
  type UserId,
} from '../../src/protocol/ids.ts';
import type { ClientMessage, ServerMessage, WireChange } from '../../src/protocol/messages.ts';

export const uuid = <T extends string>(n: number) =>
  `01900000-0000-7000-8000-${String(n).padStart(12, '0')}` as T;
export const PAGE = uuid<PageId>(1);
export const OTHER = uuid<ReplicaId>(2);
export const EPOCH = uuid<EpochId>(3);
export const T0 = 1_700_000_000_000;

export class FakeClock implements Clock {
  time = 0;
  #timers: { at: number; callback: () => void }[] = [];
  get pending(): number {
    return this.#timers.length;
  }
  now = () => T0 + this.time;
  monotonic = () => this.time;
  after(delayMs: number, callback: () => void): Timer {
    const timer = { at: this.time + delayMs, callback };
    this.#timers.push(timer);
    return { cancel: () => void (this.#timers = this.#timers.filter((one) => one !== timer)) };
  }
  async advance(ms: number): Promise<void> {
    const end = this.time + ms;
    for (;;) {
      const next = this.#timers.filter(({ at }) => at <= end).sort((a, b) => a.at - b.at)[0];
      if (!next) break;
      this.time = Math.max(this.time, next.at);
      this.#timers = this.#timers.filter((one) => one !== next);
      next.callback();
      await settle();
    }
    this.time = end;
    await settle();
  }
}

export const settle = () => sleep(1);

interface Peer {
  readonly token: string;
  readonly events: SocketEvents;
  readonly got: ClientMessage[];
  closed: boolean;
}

export class Stage {
  readonly clock = new FakeClock();
  readonly peers: Peer[] = [];
  /** Whether new sockets open by themselves, are refused, or wait for the test to do one of these. */
  reachable: boolean | 'later' = true;
  answersPings = true;
  readonly client;
  readonly errors: OctavoError[] = [];
  readonly statuses: string[] = [];
  readonly log: WireChange[] = [];

  constructor(token: TokenProvider = 'token') {
    this.client = connect({
      url: 'ws://test',
      token,
      clock: this.clock,
      random: seededRandom(7),
      openSocket: (_url, given, events) => {
        const peer: Peer = { token: given, events, got: [], closed: false };
        this.peers.push(peer);
        const { reachable } = this;
        if (reachable !== 'later') queueMicrotask(() => (reachable ? events.open() : events.close(1006, 'unreachable'))); // prettier-ignore
        return {
          bufferedAmount: 0,
          send: (bytes) => {
            const message = decodeClientMessage(bytes);
            if (isMalformed(message)) throw new Error(message.malformed);
            peer.got.push(message);
            if (message.kind === 'ping' && this.answersPings)
              void this.say({ kind: 'pong', t: message.t, time: this.clock.now() });
          },
          close: () => (peer.closed = true),
        };
      },
    });
    this.client.on('error', (error) => this.errors.push(error));
    this.client.on('status', (status) => this.statuses.push(status));
  }

  get peer(): Peer {
    return this.peers.at(-1)!;
  }

  say(...messages: ServerMessage[]): Promise<void> {
    for (const message of messages) this.peer.events.message(encodeServerMessage(message));
    return settle();
  }

  welcome(time = this.clock.now()): Promise<void> {
    return this.say({ kind: 'welcome', version: 1, node: uuid<NodeId>(9), time, limits: {}, epoch: EPOCH });
  }

  all<Kind extends ClientMessage['kind']>(kind: Kind): Extract<ClientMessage, { kind: Kind }>[] {
    return this.peer.got.filter((one): one is Extract<ClientMessage, { kind: Kind }> => one.kind === kind);
  }

  last<Kind extends ClientMessage['kind']>(kind: Kind): Extract<ClientMessage, { kind: Kind }> {
    return this.all(kind).at(-1)!;
  }

  subscribed(options: Partial<ServerMessage & { kind: 'subscribed' }> = {}): Promise<void> {
    const { ch } = this.last('subscribe');
    const head = seq(this.log.length);
    return this.say({
      kind: 'subscribed',
      ch,
      role: 'editor',
      head,
      lastN: 0,
      epoch: EPOCH,
      lastHlc: null,
      ...options,
    });
  }

  /** A page open and at the head of an empty log. */
  async page(): Promise<Page> {
    const opening = this.client.open(PAGE, { create: 'blocks' });
    await settle();
    await this.welcome();
    await this.subscribed();
    return opening;
  }

  /** Adds somebody's change to the log. */
  foreign(...drafts: OpDraft[]): void {
    const n = this.log.filter((change) => change.replica === OTHER).length + 1;
    const hlc = { ms: this.clock.now() + this.log.length, counter: 0 };
    this.log.push({ replica: OTHER, n, hlc, author: 'ann' as UserId, at: 1, ops: encodeOps(drafts) });
  }

  /** Takes what was sent, of number `n` on, into the log. */
  take(from: number, to = from): void {
    for (let n = from; n <= to; n++) {
      const { hlc, ops } = this.all('change').findLast((change) => change.n === n)!;
      this.log.push({ replica: this.client.replica, n, hlc, author: 'me' as UserId, at: 1, ops });
    }
  }

  tell(from: number, to = this.log.length): Promise<void> {
    return this.say({
      kind: 'changes',
      page: PAGE,
      firstSeq: seq(from),
      changes: this.log.slice(from - 1, to),
    });
  }

  reject(n: number, code: string, retryAfterMs: number | null = null): Promise<void> {
    const { ch } = this.last('subscribe');
    const { replica } = this.client;
    return this.say({ kind: 'reject', ch, n, code: code as 'busy', message: code, retryAfterMs, replica });
  }

  fold(): BlockTable {
    const table = new BlockTable(PAGE);
    for (const { ops, hlc, replica } of this.log) {
      for (const op of decodeOps(ops) as Exclude<ReturnType<typeof decodeOps>, { malformed: string }>) {
        table.apply(op, { ...hlc, replica });
      }
    }
    return table;
  }
}

export const paragraph = (n: number): OpDraft => ({
  op: 'insert',
  block: uuid<BlockId>(100 + n),
  parent: PAGE as string as BlockId,
  key: `a${n}`,
  type: 'paragraph',
  props: { n },
  text: null,
});
export const marks = (page: Page) => page.root.children.map((child) => child.props['n']);
