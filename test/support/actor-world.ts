/**
 * A world for one page actor in which nothing happens by itself: every effect is noted, in order and readable, and the
 * test answers for the database. Time stands still unless the test moves it.
 */
import { threadedCompression } from '../../src/actors/compression.ts';
import { PageActor } from '../../src/actors/page-actor.ts';
import { defaultSnapshotPolicy } from '../../src/actors/snapshot-policy.ts';
import type { ActorWorld, LoadedPage, PageMessage, SubscribeRequest } from '../../src/actors/world.ts';
import { silentLog } from '../../src/base/log.ts';
import { BlocksModel } from '../../src/document/blocks-model.ts';
import { encodeOps, type OpDraft } from '../../src/document/ops.ts';
import type { LogEntry, StoredChange } from '../../src/persistence/log-store.ts';
import { decodeServerMessage, isMalformed } from '../../src/protocol/decode.ts';
import { type ReplicaId, seq, type UserId } from '../../src/protocol/ids.ts';
import { defaultLimits, type Limits } from '../../src/protocol/limits.ts';
import type { Role, ServerMessage } from '../../src/protocol/messages.ts';
import { blockId, EPOCH, PAGE, replicaId, ROOT, userId } from './pages.ts';
import { silentCounts } from './silent-counts.ts';

export type Effect =
  | { effect: 'send'; to: number; message: ServerMessage }
  | { effect: 'publish'; message: ServerMessage }
  | { effect: 'join' | 'leave' | 'offer'; connection: number }
  | { effect: 'forget'; connection: number; ch: number }
  | { effect: 'load'; create: string | null }
  | { effect: 'dirty' }
  | { effect: 'settle'; known: number }
  | { effect: 'save'; seq: number; plain: Uint8Array; private: Uint8Array };

const messageOf = (frame: Uint8Array): ServerMessage => {
  const message = decodeServerMessage(frame);
  if (isMalformed(message)) throw new Error(message.malformed);
  return message;
};

export class ActorBench {
  readonly actor: PageActor;
  readonly backlog = { bytes: 0 };
  now = 1_000_000;
  /** How often others had their turn. */
  othersWrote = 0;
  /** What other nodes were told of presence: `change ann bob`. */
  readonly shared: string[] = [];
  #effects: Effect[] = [];

  readonly #stallMs: number;
  #untold = false;
  #forNodes: ServerMessage[] = [];

  constructor(limits: Partial<Limits> = {}, stallMs = 100) {
    this.#stallMs = stallMs;
    this.actor = new PageActor(PAGE, this.#world({ ...defaultLimits, ...limits }));
    this.actor.start();
  }

  #world(limits: Limits): ActorWorld {
    const note = (effect: Effect) => void this.#effects.push(effect);
    const [now, nothing] = [() => this.now, () => {}];
    return {
      clock: { now, monotonic: now, after: () => ({ cancel: nothing }) },
      limits,
      log: silentLog,
      snapshotPolicy: defaultSnapshotPolicy,
      unpack: threadedCompression.unpackNow,
      counts: silentCounts,
      send: (to, frame) => note({ effect: 'send', to, message: messageOf(frame) }),
      sendBulk: (to, frame) => note({ effect: 'send', to, message: messageOf(frame) }),
      offerBulk: (connection) => note({ effect: 'offer', connection }),
      publish: (_page, frame) => note({ effect: 'publish', message: messageOf(frame) }),
      join: (connection) => note({ effect: 'join', connection }),
      leave: (connection) => note({ effect: 'leave', connection }),
      forget: (connection, ch) => note({ effect: 'forget', connection, ch }),
      load: (_page, create) => note({ effect: 'load', create }),
      markDirty: () => note({ effect: 'dirty' }),
      othersWrote: () => void this.othersWrote++,
      settle: (_page, _epoch, known) => note({ effect: 'settle', known }),
      saveSnapshot: (_page, { seq: at, plain, private: own }) =>
        note({ effect: 'save', seq: at, plain, private: own }),
      stallMs: this.#stallMs,
      backlog: this.backlog,
      tellNodes: (_page, frame) => void this.#forNodes.push(messageOf(frame)),
      sharePresence: (_page, kind, states) =>
        void (states.length > 0 && this.shared.push(`${kind} ${states.map(({ user }) => user).join(' ')}`)),
      watch: nothing,
      markUntold: () => void (this.#untold = true),
      markPresence: nothing,
      telling: nothing,
    };
  }

  /** What happened since the last call, as a turn of its own. What went to other nodes is apart, in `forNodes`. */
  take(): Effect[] {
    if (this.#untold) this.actor.tellVolatile();
    this.#untold = false;
    const effects = this.#effects;
    this.#effects = [];
    return effects;
  }

  /** The same in words: `send 1 ack n=2 seq=5`. */
  story(): string[] {
    return this.take().map(describe);
  }

  /** What went to other nodes since the last call. */
  forNodes(): string[] {
    const messages = this.#forNodes;
    this.#forNodes = [];
    return messages.map(describeMessage);
  }

  /** Sends a message and tells what came of it. */
  tell(message: PageMessage): string[] {
    this.actor.receive(message);
    return this.story();
  }

  load(tail: LogEntry[] = [], more: Partial<LoadedPage> = {}): string[] {
    const model = new BlocksModel(PAGE, defaultLimits);
    const own = { latestMs: 0, replicas: new Map(), model: new Uint8Array() };
    const page = {
      kind: 'blocks',
      epoch: EPOCH,
      closed: false,
      model,
      private: own,
      snapshot: null,
      tail,
      ...more,
    } as const;
    return this.tell({ type: 'loaded', page });
  }

  subscribe(connection: number, more: Partial<Omit<SubscribeRequest, 'subscriber'>> & { role?: Role; user?: UserId } = {}): string[] {
    const { role = 'editor', user = userId(`user${connection}`), ...rest } = more;
    const subscriber = { connection, ch: 10 * connection, user, replica: replicaId(connection), role };
    return this.tell({ type: 'subscribe', request: { subscriber, since: null, epoch: null, create: null, at: 0, ...rest } });
  } // prettier-ignore

  change(connection: number, n: number, drafts: OpDraft[] = [title(`${connection}.${n}`)], more: { replica?: ReplicaId; ms?: number } = {}): string[] {
    const { replica = null, ms = this.now } = more;
    const ops = encodeOps(drafts);
    return this.tell({ type: 'change', connection, n, hlc: { ms, counter: 0 }, ops, replica, userWaitMs: 0 });
  } // prettier-ignore

  /** The reader has room for a window. */
  pull(connection: number): string[] {
    return this.tell({ type: 'pull', connection });
  }

  /** What the actor hands to the database, in words: `after 3: 1.1 1.2`. */
  batch(): string | undefined {
    const batch = this.actor.takeBatch();
    return batch && `after ${batch.known}: ${batch.changes.map(nameOf).join(' ')}`;
  }
}

const nameOf = ({ replica, n }: { replica: ReplicaId; n: number }) =>
  `${Number.parseInt(replica.slice(-6), 16)}.${n}`;

function describe(effect: Effect): string {
  switch (effect.effect) {
    case 'send':
      return `send ${effect.to} ${describeMessage(effect.message)}`;
    case 'publish':
      return `publish ${describeMessage(effect.message)}`;
    case 'forget':
      return `forget ${effect.connection}/${effect.ch}`;
    case 'join':
    case 'leave':
    case 'offer':
      return `${effect.effect} ${effect.connection}`;
    case 'load':
      return `load${effect.create ? ` or create ${effect.create}` : ''}`;
    case 'settle':
      return `settle after ${effect.known}`;
    case 'save':
      return `save at ${effect.seq}`;
    case 'dirty':
      return 'dirty';
  }
}

function describeMessage(message: ServerMessage): string {
  switch (message.kind) {
    case 'subscribed':
      return `subscribed head=${message.head} lastN=${message.lastN} role=${message.role}`;
    case 'snapshot':
      return `snapshot seq=${message.seq} part=${message.part + 1}/${message.parts}`;
    case 'changes':
      return `changes ${message.firstSeq}: ${message.changes.map(nameOf).join(' ')}`;
    case 'committed':
      return `committed ${message.firstSeq}: ${message.changes.map(nameOf).join(' ')}`;
    case 'ack':
      return `ack n=${message.n} seq=${message.seq}`;
    case 'reject':
      return `reject n=${message.n} ${message.code}`;
    case 'notice':
      return `notice n=${message.n} op=${message.opIndex} ${message.code}`;
    case 'presence':
      return `presence ${message.states.map(({ user, state }) => `${user}=${state ? 'here' : 'gone'}`).join(' ')}`;
    case 'error':
      return `error ${message.code}${message.retryAfterMs === null ? '' : ` retry=${message.retryAfterMs}`}`;
    case 'role':
      return `role ${message.role}`;
    default:
      return message.kind;
  }
}

export const title = (value: string): OpDraft => ({
  op: 'update',
  block: ROOT,
  props: { title: value },
  type: null,
});

export const paragraph = (n: number, parent = ROOT): OpDraft => ({
  op: 'insert',
  block: blockId(n),
  parent,
  key: 'a0',
  type: 'paragraph',
  props: {},
  text: null,
});

/** A change as the log has it, by the user of that connection number unless another is named. */
export function entry(at: number, replica: number, n: number, drafts?: OpDraft[], author = userId(`user${replica}`)): LogEntry {
  const body = encodeOps(drafts ?? [title(`${replica}.${n}`)]);
  const change: StoredChange = { replica: replicaId(replica), n, hlcMs: 500 + at, hlcCounter: 0, author, at: 0, body };
  return { ...change, seq: seq(at) };
} // prettier-ignore
