/**
 * A world for one page actor in which nothing happens by itself: every effect is noted, in order and readable, and the
 * test answers for the database. Time stands still unless the test moves it.
 */
import { PageActor } from '../../src/actors/page-actor.ts';
import type { ActorWorld, LoadedPage, PageMessage, SubscribeRequest } from '../../src/actors/world.ts';
import { silentLog } from '../../src/base/log.ts';
import { BlocksModel } from '../../src/document/blocks-model.ts';
import { encodeOps, type OpDraft } from '../../src/document/ops.ts';
import type { LogEntry, StoredChange } from '../../src/persistence/log-store.ts';
import { decodeServerMessage, isMalformed } from '../../src/protocol/decode.ts';
import { type EpochId, type ReplicaId, seq, type UserId } from '../../src/protocol/ids.ts';
import { defaultLimits, type Limits } from '../../src/protocol/limits.ts';
import type { Role, ServerMessage } from '../../src/protocol/messages.ts';
import { blockId, PAGE, replicaId, ROOT, userId, uuid } from './pages.ts';

export const EPOCH = uuid<EpochId>(1, 9);

export type Effect =
  | { effect: 'send'; to: number; message: ServerMessage }
  | { effect: 'publish'; message: ServerMessage }
  | { effect: 'join' | 'leave'; connection: number }
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
  now = 1_000_000;
  #effects: Effect[] = [];

  constructor(limits: Partial<Limits> = {}) {
    this.actor = new PageActor(PAGE, this.#world({ ...defaultLimits, ...limits }));
  }

  #world(limits: Limits): ActorWorld {
    const note = (effect: Effect) => void this.#effects.push(effect);
    const [now, nothing] = [() => this.now, () => {}];
    return {
      clock: { now, monotonic: now, after: () => ({ cancel: nothing }) },
      limits,
      epoch: EPOCH,
      log: silentLog,
      counts: { change: nothing, committed: nothing, commitMs: nothing, notice: nothing, join: nothing },
      send: (to, frame) => note({ effect: 'send', to, message: messageOf(frame) }),
      sendBulk: (to, frame) => note({ effect: 'send', to, message: messageOf(frame) }),
      publish: (_page, frame) => note({ effect: 'publish', message: messageOf(frame) }),
      join: (connection) => note({ effect: 'join', connection }),
      leave: (connection) => note({ effect: 'leave', connection }),
      forget: (connection, ch) => note({ effect: 'forget', connection, ch }),
      load: (_page, create) => note({ effect: 'load', create }),
      markDirty: () => note({ effect: 'dirty' }),
      settle: (_page, known) => note({ effect: 'settle', known }),
      saveSnapshot: (_page, at, _version, plain, own) =>
        note({ effect: 'save', seq: at, plain, private: own }),
      markPresence: nothing,
    };
  }

  /** What happened since the last call. */
  take(): Effect[] {
    const effects = this.#effects;
    this.#effects = [];
    return effects;
  }

  /** The same in words: `send 1 ack n=2 seq=5`. */
  story(): string[] {
    return this.take().map(describe);
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
    return this.tell({ type: 'subscribe', request: { subscriber, since: null, epoch: null, create: null, ...rest } });
  } // prettier-ignore

  change(connection: number, n: number, drafts: OpDraft[] = [title(`${connection}.${n}`)], more: { replica?: ReplicaId; ms?: number } = {}): string[] {
    const { replica = null, ms = this.now } = more;
    const ops = encodeOps(drafts);
    return this.tell({ type: 'change', connection, n, hlc: { ms, counter: 0 }, ops, replica, userWaitMs: 0 });
  } // prettier-ignore

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
