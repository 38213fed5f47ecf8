/**
 * A thin client for tests of the wire: sends what it is told, good or bad, and hands out what comes. No resume, no
 * queue, no merging: what the SDK would mend on the quiet is visible here.
 *
 * Frames wait in an inbox in their order. `next(kind)` takes the first of that kind and leaves the others; `settle` and
 * `quiet` prove that nothing else came, by a question whose answer must arrive after it.
 */
import WebSocket from 'ws';
import { systemRandom } from '../../src/base/random.ts';
import { encodeOps, type OpDraft } from '../../src/document/ops.ts';
import { decodeServerMessage, isMalformed } from '../../src/protocol/decode.ts';
import { encodeClientMessage } from '../../src/protocol/encode.ts';
import {
  type BlockId,
  type EpochId,
  newId,
  type PageId,
  type ReplicaId,
  type Seq,
} from '../../src/protocol/ids.ts';
import { type ClientMessage, type ServerMessage, SUBPROTOCOL, type WireName, type WireStamp } from '../../src/protocol/messages.ts'; // prettier-ignore

type Kind = ServerMessage['kind'];
type Of<K extends Kind> = Extract<ServerMessage, { kind: K }>;

const TIMEOUT_MS = 10_000;

export const newPage = (): PageId => newId<PageId>(Date.now(), systemRandom);
export const newBlock = (): BlockId => newId<BlockId>(Date.now(), systemRandom);
export const newReplica = (): ReplicaId => newId<ReplicaId>(Date.now(), systemRandom);

export interface OpenOptions {
  readonly token?: string;
  /** Where the token stands; `frame`: an AUTH as the first frame. */
  readonly where?: 'header' | 'query' | 'subprotocol' | 'frame';
  readonly replica?: ReplicaId;
  /** The local address to come from: loopback has many. */
  readonly localAddress?: string;
  /** What a proxy would say of where it comes from. */
  readonly forwardedFor?: string;
  readonly traceparent?: string;
}

export interface ChangeOptions {
  readonly hlc?: WireStamp;
  readonly replica?: ReplicaId;
}

interface Waiter {
  check(): boolean;
}

export class RawClient {
  readonly replica: ReplicaId;
  readonly inbox: ServerMessage[] = [];
  readonly closed: Promise<{ readonly code: number; readonly reason: string }>;
  isClosed = false;
  readonly #socket: WebSocket;
  readonly #waiters = new Set<Waiter>();
  #lastN = 0;
  #barriers = 0;
  #badFrame: string | undefined;

  constructor(socket: WebSocket, replica: ReplicaId) {
    this.#socket = socket;
    this.replica = replica;
    socket.on('message', (data: Buffer) => this.#receive(new Uint8Array(data)));
    this.closed = new Promise((resolve) => {
      socket.on('close', (code, reason) => {
        this.isClosed = true;
        resolve({ code, reason: String(reason) });
        this.#wake();
      });
    });
    socket.on('error', () => {});
  }

  #receive(bytes: Uint8Array): void {
    const message = decodeServerMessage(bytes);
    if (isMalformed(message)) this.#badFrame = message.malformed;
    else this.inbox.push(message);
    this.#wake();
  }

  #wake(): void {
    for (const waiter of this.#waiters) if (waiter.check()) this.#waiters.delete(waiter);
  }

  send(message: ClientMessage): void {
    this.sendBytes(encodeClientMessage(message));
  }

  sendBytes(bytes: Uint8Array): void {
    this.#socket.send(bytes);
  }

  sendText(text: string): void {
    this.#socket.send(text);
  }

  /** Stops reading: what comes stays in the buffers of the connection. */
  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  get bufferedBytes(): number {
    return this.#socket.bufferedAmount;
  }

  /** The first unread frame that `matches`; fails with what came instead. */
  take<T extends ServerMessage>(what: string, matches: (message: ServerMessage) => message is T, timeoutMs = TIMEOUT_MS): Promise<T> {
    return new Promise((resolve, reject) => {
      const failed = (why: string) => reject(new Error(`${why} while waiting for ${what}; unread: ${JSON.stringify(this.inbox.map(brief))}`));
      const check = (): boolean => {
        const at = this.inbox.findIndex(matches);
        if (at >= 0) resolve(this.inbox.splice(at, 1)[0] as T);
        else if (this.#badFrame) failed(`a frame that cannot be read (${this.#badFrame}) came`);
        else if (this.isClosed) failed('the socket closed');
        else return false;
        clearTimeout(timer);
        return true;
      };
      const waiter = { check };
      const timer = setTimeout(() => {
        this.#waiters.delete(waiter);
        failed(`${timeoutMs} ms went by`);
      }, timeoutMs);
      if (!check()) this.#waiters.add(waiter);
    });
  } // prettier-ignore

  next<K extends Kind>(kind: K, timeoutMs = TIMEOUT_MS): Promise<Of<K>> {
    return this.take(kind, (message): message is Of<K> => message.kind === kind, timeoutMs);
  }

  /** The code of the next ERROR or REJECT. */
  async refusal(timeoutMs = TIMEOUT_MS): Promise<string> {
    const isRefusal = (m: ServerMessage): m is Of<'error'> | Of<'reject'> => m.kind === 'error' || m.kind === 'reject';
    return (await this.take('a refusal', isRefusal, timeoutMs)).code;
  } // prettier-ignore

  /** HELLO, and its WELCOME. */
  async hello(): Promise<Of<'welcome'>> {
    this.send({ kind: 'hello', version: 1, replica: this.replica, clientName: 'raw' });
    return this.next('welcome');
  }

  /** SUBSCRIBE without waiting for the answer. */
  ask(ch: number, page: PageId, { since = null, epoch = null, create = null }: { since?: Seq | null; epoch?: EpochId | null; create?: string | null } = {}): void {
    this.send({ kind: 'subscribe', ch, page, since, epoch, create });
  } // prettier-ignore

  /** SUBSCRIBE, its SUBSCRIBED, and all that a joiner is sent, which is thrown away. */
  async subscribe(ch: number, page: PageId, options: { create?: string } = {}): Promise<Of<'subscribed'>> {
    this.ask(ch, page, options);
    const subscribed = await this.take('subscribed', (m): m is Of<'subscribed'> => m.kind === 'subscribed' && m.ch === ch);
    this.#lastN = Math.max(this.#lastN, subscribed.lastN);
    await this.settle(ch, page);
    this.#drop((m) => (m.kind === 'snapshot' && m.ch === ch) || (m.kind === 'changes' && m.page === page));
    return subscribed;
  } // prettier-ignore

  #drop(matches: (message: ServerMessage) => boolean): void {
    for (let at = this.inbox.length - 1; at >= 0; at--)
      if (matches(this.inbox[at]!)) this.inbox.splice(at, 1);
  }

  /** CHANGE, as given. */
  change(ch: number, n: number, ops: readonly OpDraft[] | Uint8Array, { hlc, replica }: ChangeOptions = {}): void {
    const bytes = ops instanceof Uint8Array ? ops : encodeOps(ops);
    this.send({ kind: 'change', ch, n, hlc: hlc ?? { ms: Date.now(), counter: 0 }, ops: bytes, replica: replica ?? null });
  } // prettier-ignore

  /** The next change of this socket's replica on the page, and its echo; the seq it got. */
  async write(ch: number, page: PageId, ops: readonly OpDraft[]): Promise<number> {
    const n = ++this.#lastN;
    this.change(ch, n, ops);
    return this.echo(page, n);
  }

  /** Waits for the echo of change n, or for its name where it was told before its commit: its seq. Frames of the page before it are thrown away. */
  async echo(page: PageId, n: number): Promise<number> {
    type Told = Of<'changes'> | Of<'committed'>;
    const isTold = (m: ServerMessage): m is Told => (m.kind === 'changes' || m.kind === 'committed') && m.page === page;
    for (;;) {
      const told = await this.take('an echo or a reject', (m): m is Told | Of<'reject'> => isTold(m) || (m.kind === 'reject' && m.n === n));
      if (told.kind === 'reject') throw new Error(`change ${n} was refused: ${told.code}, ${told.message}`);
      const names: readonly WireName[] = told.changes;
      const at = names.findIndex((change) => change.replica === this.replica && change.n === n);
      if (at >= 0 && told.firstSeq > 0) return told.firstSeq + at;
    }
  } // prettier-ignore

  /** Everything that the page's shard was asked before this has been answered: our presence goes there and back. */
  async settle(ch: number, page: PageId): Promise<void> {
    const mark = 1_000_000 + ++this.#barriers;
    const state = Uint8Array.of(0xce, mark >>> 24, (mark >>> 16) & 255, (mark >>> 8) & 255, mark & 255);
    this.send({ kind: 'presence', ch, state });
    const same = (other: Uint8Array | null) => other !== null && Buffer.from(state).equals(other);
    await this.take('our own presence', (m): m is Of<'presence'> =>
      m.kind === 'presence' && m.page === page && m.states.some((one) => one.replica === this.replica && same(one.state)));
  } // prettier-ignore

  /** Fails if a frame lies unread once the server has answered a PING; presence does not count. */
  async quiet(): Promise<void> {
    this.send({ kind: 'ping', t: 1 });
    await this.next('pong');
    this.#drop((m) => m.kind === 'presence');
    if (this.inbox.length > 0) throw new Error(`unexpected frames: ${JSON.stringify(this.inbox.map(brief))}`);
  }

  async close(): Promise<void> {
    this.#socket.close();
    await this.closed;
  }

  /** Ends the connection without a close frame. */
  async terminate(): Promise<void> {
    this.#socket.terminate();
    await this.closed;
  }
}

function brief(message: ServerMessage): unknown {
  if (message.kind === 'welcome') return 'welcome';
  return JSON.parse(JSON.stringify(message, (_, value: unknown) => (value instanceof Uint8Array ? `${value.length} bytes` : value)));
} // prettier-ignore

/** Opens a socket; HELLO is the caller's. Rejects when the handshake is refused. */
export async function open(url: string, { token, where = 'header', replica = newReplica(), localAddress, forwardedFor, traceparent }: OpenOptions = {}): Promise<RawClient> {
  const target = new URL(url);
  const protocols = [SUBPROTOCOL];
  const headers: Record<string, string> = {};
  if (token !== undefined && where === 'query') target.searchParams.set('token', token);
  if (token !== undefined && where === 'subprotocol') protocols.push(`bearer.${token}`);
  if (token !== undefined && where === 'header') headers['authorization'] = `Bearer ${token}`;
  if (forwardedFor !== undefined) headers['x-forwarded-for'] = forwardedFor;
  if (traceparent !== undefined) headers['traceparent'] = traceparent;
  const socket = new WebSocket(target, protocols, { headers, perMessageDeflate: false, ...(localAddress ? { localAddress } : {}) });
  const client = new RawClient(socket, replica);
  await new Promise<void>((resolve, reject) => {
    socket.once('open', resolve);
    socket.once('error', reject);
  });
  if (token !== undefined && where === 'frame') client.send({ kind: 'auth', token });
  return client;
} // prettier-ignore

/** Opens a socket and says HELLO. */
export async function enter(
  url: string,
  token: string,
  options: Omit<OpenOptions, 'token'> = {},
): Promise<RawClient> {
  const client = await open(url, { ...options, token });
  await client.hello();
  return client;
}
