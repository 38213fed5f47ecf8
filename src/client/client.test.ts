/**
 * The client against a server that the test plays by hand, frame by frame, under a clock that the test moves.
 */
import { deflateSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { seededRandom } from '../base/random.ts';
import { type Clock, sleep, type Timer } from '../base/time.ts';
import { BlockTable } from '../document/blocks.ts';
import { decodeOps, encodeOps, type OpDraft } from '../document/ops.ts';
import { encodeSnapshot } from '../document/snapshot.ts';
import { decodeClientMessage, isMalformed } from '../protocol/decode.ts';
import { encodeServerMessage } from '../protocol/encode.ts';
import {
  type BlockId,
  type EpochId,
  type NodeId,
  type PageId,
  type ReplicaId,
  seq,
  type UserId,
} from '../protocol/ids.ts';
import type { ClientMessage, ServerMessage, WireChange } from '../protocol/messages.ts';
import { MsgpackWriter } from '../protocol/msgpack-writer.ts';
import { connect, type OctavoError, type Page, type RejectedEvent } from './index.ts';
import type { SocketEvents } from './socket.ts';
import type { TokenProvider } from './token.ts';

const uuid = <T extends string>(n: number) => `01900000-0000-7000-8000-${String(n).padStart(12, '0')}` as T;
const PAGE = uuid<PageId>(1);
const OTHER = uuid<ReplicaId>(2);
const EPOCH = uuid<EpochId>(3);
const T0 = 1_700_000_000_000;

class FakeClock implements Clock {
  time = 0;
  #timers: { at: number; callback: () => void }[] = [];
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

const settle = () => sleep(1);

interface Peer {
  readonly token: string;
  readonly events: SocketEvents;
  readonly got: ClientMessage[];
  closed: boolean;
}

class Stage {
  readonly clock = new FakeClock();
  readonly peers: Peer[] = [];
  /** Whether new sockets open by themselves. */
  reachable = true;
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
        queueMicrotask(() => (this.reachable ? events.open() : events.close(1006, 'unreachable')));
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
    return this.say({ kind: 'subscribed', ch, role: 'editor', head, lastN: 0, epoch: EPOCH, ...options });
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

const paragraph = (n: number): OpDraft => ({
  op: 'insert',
  block: uuid<BlockId>(100 + n),
  parent: PAGE as string as BlockId,
  key: `a${n}`,
  type: 'paragraph',
  props: { n },
  text: null,
});
const marks = (page: Page) => page.root.children.map((child) => child.props['n']);

describe('joining', () => {
  it('says HELLO and SUBSCRIBE in one go, and resolves at the head', async () => {
    const stage = new Stage();
    const opening = stage.client.open(PAGE, { create: 'blocks' });
    await settle();
    expect(stage.peer.got.map(({ kind }) => kind)).toEqual(['hello', 'subscribe']);
    expect(stage.last('subscribe')).toMatchObject({ page: PAGE, since: null, epoch: null, create: 'blocks' });
    stage.foreign(paragraph(1));
    await stage.welcome();
    await stage.subscribed();
    await stage.tell(1);
    const page = await opening;
    expect([page.seq, page.role, marks(page), page.saved]).toEqual([1, 'editor', [1], true]);
    expect(stage.statuses).toEqual(['online']);
  });

  it('rejects with the code when the server refuses for good, and tries again when it asks to wait', async () => {
    const stage = new Stage();
    const opening = stage.client.open(PAGE);
    const outcome = expect(opening).rejects.toMatchObject({ code: 'unknown_page', class: 'final' });
    await settle();
    await stage.welcome();
    const first = stage.last('subscribe').ch;
    await stage.say({ kind: 'error', code: 'unavailable', message: '', retryAfterMs: 700, ch: first });
    await stage.clock.advance(699);
    expect(stage.all('subscribe').length).toBe(1);
    await stage.clock.advance(2);
    const { ch } = stage.last('subscribe');
    expect(ch).not.toBe(first);
    await stage.say({ kind: 'error', code: 'unknown_page', message: '', retryAfterMs: null, ch });
    await outcome;
  });

  it('takes a snapshot in parts, with changes between them, and ignores an older one', async () => {
    const stage = new Stage();
    const opening = stage.client.open(PAGE);
    await settle();
    await stage.welcome();
    for (let n = 1; n <= 3; n++) stage.foreign(paragraph(n));
    const packed = deflateSync(encodeSnapshot(stage.fold()));
    stage.foreign(paragraph(4));
    await stage.subscribed();
    const { ch } = stage.last('subscribe');
    const part = (i: number): ServerMessage => ({ kind: 'snapshot', ch, seq: seq(3), encoding: 1, part: i, parts: 2, bytes: packed.subarray(i * 40, i ? undefined : 40) }); // prettier-ignore
    await stage.say(part(0), part(0));
    stage.foreign(paragraph(5));
    await stage.tell(5);
    expect(stage.all('sync')).toEqual([]);
    await stage.say(part(1));
    await stage.tell(4, 4);
    const page = await opening;
    expect([page.seq, marks(page)]).toEqual([5, [1, 2, 3, 4, 5]]);
    await stage.say(part(0), part(1));
    await settle();
    expect(page.seq).toBe(5);
  });
});

describe('the log', () => {
  it('asks once for what is missing, and keeps what comes meanwhile', async () => {
    const stage = new Stage();
    const page = await stage.page();
    for (let n = 1; n <= 5; n++) stage.foreign(paragraph(n));
    await stage.tell(1, 1);
    await stage.tell(4, 4);
    await stage.tell(5, 5);
    expect(stage.all('sync')).toMatchObject([{ since: 1 }]);
    await stage.tell(2, 3);
    expect([page.seq, marks(page)]).toEqual([5, [1, 2, 3, 4, 5]]);
    await stage.tell(2);
    expect(page.seq).toBe(5);
  });

  it('resumes after a loss from where it is, and sends again what is not in the log', async () => {
    const stage = new Stage();
    const page = await stage.page();
    page.insert({ type: 'paragraph', props: { n: 1 } });
    await settle();
    page.insert({ type: 'paragraph', props: { n: 2 } });
    await settle();
    expect(stage.all('change').map(({ n }) => n)).toEqual([1, 2]);
    expect(page.saved).toBe(false);
    stage.take(1);
    stage.peer.events.close(4000, 'going away');
    await settle();
    expect(stage.statuses.at(-1)).toBe('offline');
    page.insert({ type: 'paragraph', props: { n: 3 } });
    await stage.clock.advance(400);
    expect(stage.peers.length).toBe(2);
    await stage.welcome();
    expect(stage.last('subscribe')).toMatchObject({ since: null, epoch: EPOCH });
    await stage.subscribed({ lastN: 1 });
    expect(stage.all('change')).toEqual([]);
    await stage.tell(1);
    expect(stage.all('change').map(({ n }) => n)).toEqual([2, 3]);
    stage.take(2, 3);
    await stage.tell(2);
    expect([page.saved, page.seq, marks(page)]).toEqual([true, 3, [1, 2, 3]]);
  });

  it('starts over in another epoch, and keeps what is pending', async () => {
    const stage = new Stage();
    const page = await stage.page();
    const id = page.insert({ type: 'paragraph', text: 'one' });
    await settle();
    stage.take(1);
    await stage.tell(1);
    page.text(id).insert(3, ' two');
    await settle();
    stage.peer.events.close(1006, '');
    await stage.clock.advance(400);
    await stage.welcome();
    const lost = stage.log.splice(0);
    stage.foreign(paragraph(7));
    stage.log.push({ ...lost[0]!, replica: uuid<ReplicaId>(8) });
    await stage.subscribed({ epoch: uuid<EpochId>(33) });
    await stage.tell(1);
    expect(page.block(id)!.plainText).toBe('one two');
    expect(marks(page)).toContain(7);
    expect(stage.last('change').n).toBe(1);
  });

  it('merges text typed while the window is full, and keeps 16 in flight', async () => {
    const stage = new Stage();
    const page = await stage.page();
    const id = page.insert({ type: 'paragraph' });
    await settle();
    for (let i = 0; i < 40; i++) {
      page.text(id).insert(i, 'x');
      await Promise.resolve();
    }
    await settle();
    expect(stage.all('change').length).toBe(16);
    stage.take(1, 16);
    await stage.tell(1);
    expect(stage.all('change').map(({ n }) => n)).toEqual(Array.from({ length: 17 }, (_, i) => i + 1));
    stage.take(17);
    await stage.tell(17);
    expect(page.saved).toBe(true);
    expect(stage.fold().get(id)!.text!.updates.length).toBeGreaterThan(0);
    expect(page.block(id)!.plainText).toBe('x'.repeat(40));
  });
});

describe('refusals', () => {
  it('wait: keeps the change and what follows, and sends them after the time', async () => {
    const stage = new Stage();
    const page = await stage.page();
    for (const n of [1, 2]) {
      page.insert({ type: 'paragraph', props: { n } });
      await settle();
    }
    await stage.reject(1, 'busy', 500);
    await stage.reject(2, 'out_of_order');
    expect(stage.all('change').length).toBe(2);
    await stage.clock.advance(501);
    expect(stage.all('change').map(({ n }) => n)).toEqual([1, 2, 1, 2]);
    expect(page.pendingChanges).toBe(2);
  });

  it('clock_skew: stamps anew, below the wrong clock, in order', async () => {
    const stage = new Stage();
    const opening = stage.client.open(PAGE);
    await settle();
    await stage.welcome(stage.clock.now() + 3_600_000);
    await stage.subscribed();
    const page = await opening;
    page.insert({ type: 'paragraph' });
    await settle();
    const wrong = stage.last('change').hlc;
    await stage.say({ kind: 'pong', t: 0, time: stage.clock.now() });
    await stage.reject(1, 'clock_skew');
    await stage.clock.advance(1000);
    const again = stage.last('change');
    expect([again.n, again.hlc.ms < wrong.ms - 3_000_000]).toEqual([1, true]);
  });

  it('final: hands the change back, numbers the next anew, and makes its text again', async () => {
    const stage = new Stage();
    const page = await stage.page();
    const rejected: RejectedEvent[] = [];
    page.on('rejected', (event) => rejected.push(event));
    const id = page.insert({ type: 'paragraph', text: 'base' });
    await settle();
    stage.take(1);
    await stage.tell(1);
    const stale = page.text(id);
    stale.insert(0, 'REFUSED ');
    await settle();
    stale.insert(stale.length, ' kept');
    await settle();
    await stage.reject(2, 'missing');
    await stage.reject(3, 'out_of_order');
    await stage.clock.advance(1);
    expect(rejected).toMatchObject([{ code: 'missing', ops: [{ op: 'text', block: id }] }]);
    expect(rejected[0]!.texts.has(id)).toBe(true);
    await stage.subscribed({ lastN: 1 });
    expect(stage.last('change').n).toBe(2);
    stage.take(2);
    await stage.tell(2);
    expect(page.saved).toBe(true);
    expect(page.block(id)!.plainText).toBe('base kept');
    expect(page.text(id)).not.toBe(stale);
    expect(page.text(id).toString()).toBe('base kept');
  });

  it('forbidden: hands back everything at once, and the view is what the log says', async () => {
    const stage = new Stage();
    const page = await stage.page();
    const rejected: RejectedEvent[] = [];
    page.on('rejected', (event) => rejected.push(event));
    for (const n of [1, 2, 3]) {
      page.insert({ type: 'paragraph', props: { n } });
      await settle();
    }
    await stage.reject(1, 'forbidden');
    expect(rejected.map(({ code, ops }) => [code, ops.length])).toEqual([['forbidden', 3]]);
    expect([page.saved, marks(page)]).toEqual([true, []]);
    await stage.say({ kind: 'role', ch: null, role: 'viewer' });
    expect(page.role).toBe('viewer');
    expect(() => page.insert({ type: 'paragraph' })).toThrow(expect.objectContaining({ code: 'forbidden' }));
  });
});

describe('the connection', () => {
  it('comes back with back-off, and stays away when told so', async () => {
    const stage = new Stage();
    const page = await stage.page();
    stage.reachable = false;
    stage.peer.events.close(1006, '');
    await stage.clock.advance(20_000);
    const tries = stage.peers.length;
    expect(tries).toBeGreaterThan(4);
    expect(tries).toBeLessThan(12);
    stage.reachable = true;
    while (stage.peer.got.length === 0) await stage.clock.advance(500);
    await stage.welcome();
    await stage.subscribed();
    expect(page.live).toBe(true);
    const over: OctavoError[] = [];
    page.on('error', (error) => over.push(error));
    stage.peer.events.close(4500, 'no');
    await settle();
    expect([stage.client.status, over[0]?.code, stage.errors.at(-1)?.code]).toEqual(['closed', 'unauthorized', 'unauthorized']); // prettier-ignore
    const count = stage.peers.length;
    await stage.clock.advance(60_000);
    expect(stage.peers.length).toBe(count);
    await expect(stage.client.open(PAGE)).rejects.toMatchObject({ code: 'unauthorized' });
  });

  it('pings in silence, and gives up on a server that does not answer', async () => {
    const stage = new Stage();
    stage.answersPings = false;
    await stage.page();
    await stage.clock.advance(21_000);
    expect(stage.all('ping').length).toBeGreaterThan(0);
    const { peer } = stage;
    await stage.clock.advance(15_000);
    expect(peer.closed).toBe(true);
    expect(stage.peers.length).toBeGreaterThan(1);
  });

  it('sends a fresh token before the old one expires, and when the server says it has', async () => {
    let given = 0;
    const token = () => {
      const payload = { exp: (T0 + stage.clock.time) / 1000 + 100, given: ++given };
      return `x.${Buffer.from(JSON.stringify(payload)).toString('base64url')}.y`;
    };
    const stage: Stage = new Stage(token);
    const page = await stage.page();
    await stage.clock.advance(60_000);
    expect(stage.all('auth')).toEqual([]);
    await stage.clock.advance(16_000);
    expect(stage.all('auth').length).toBe(1);
    await stage.clock.advance(3000);
    page.insert({ type: 'paragraph' });
    await settle();
    await stage.reject(1, 'expired', 300);
    await stage.say({ kind: 'error', code: 'expired', message: '', retryAfterMs: null, ch: null });
    expect(stage.all('auth').length).toBe(2);
    await stage.clock.advance(301);
    expect(stage.all('change').map(({ n }) => n)).toEqual([1, 1]);
  });

  it('closes', async () => {
    const stage = new Stage();
    const page = await stage.page();
    page.insert({ type: 'paragraph' });
    const waiting = expect(page.whenSaved()).rejects.toMatchObject({ code: 'closed' });
    await stage.client.close();
    await waiting;
    expect([stage.peer.closed, stage.client.status]).toEqual([true, 'closed']);
  });
});

describe('presence', () => {
  it('shows others, never me; sends the latest only, and again after a reconnect', async () => {
    const stage = new Stage();
    const page = await stage.page();
    const state = new MsgpackWriter().json({ cursor: 1 }).take();
    const me = { replica: stage.client.replica, user: 'me' as UserId, state };
    const ann = { replica: OTHER, user: 'ann' as UserId, state };
    await stage.say({ kind: 'presence', page: PAGE, states: [me, ann] });
    expect([...page.presence.others]).toEqual([[OTHER, { user: 'ann', state: { cursor: 1 } }]]);
    for (let i = 0; i < 50; i++) page.presence.set({ i });
    await stage.clock.advance(99);
    expect(stage.all('presence').length).toBe(1);
    await stage.clock.advance(10);
    expect(stage.all('presence').length).toBe(2);
    await stage.say({ kind: 'presence', page: PAGE, states: [{ ...ann, state: null }] });
    expect(page.presence.others.size).toBe(0);
    stage.peer.events.close(4000, '');
    await stage.clock.advance(500);
    await stage.welcome();
    await stage.subscribed();
    await stage.clock.advance(200);
    expect(stage.all('presence').length).toBe(1);
  });
});
