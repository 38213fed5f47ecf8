/**
 * What an actor may ask of the world, and what it can be told: the whole of its contact with threads, sockets, database
 * and time. An actor never awaits: it asks, returns, and the answer is its next message.
 */
import type { ChangeKind, DocumentModel, RestoreModel } from '../document/model.ts';
import type { LogEntry, PageHeadAt, PageKind, StoredChange } from '../persistence/log-store.ts';
import type { Code, NoticeCode } from '../protocol/codes.ts';
import type { EpochId, PageId, ReplicaId, Seq, UserId } from '../protocol/ids.ts';
import type { Limits } from '../protocol/limits.ts';
import type { Role, ServerMessage, WirePresence, WireStamp } from '../protocol/messages.ts';
import type { Clock, Millis } from '../base/time.ts';
import type { Log } from '../base/log.ts';
import type { Backlog } from './change-queue.ts';
import type { Compression } from './compression.ts';
import type { PresenceNews } from './presence.ts';
import type { PrivateState } from './replicas.ts';
import type { HashPolicy } from './hash-policy.ts';
import type { SnapshotPolicy } from './snapshot-policy.ts';

export interface Subscriber {
  readonly connection: number;
  readonly ch: number;
  readonly user: UserId;
  /** The replica of the socket's HELLO: whose changes these are unless a change says otherwise. */
  readonly replica: ReplicaId;
  role: Role;
  /** The change that was refused, until it comes again: those behind it are refused with it, and not answered. */
  refused?: { readonly replica: ReplicaId; readonly n: number } | undefined;
}

export interface SubscribeRequest {
  readonly subscriber: Subscriber;
  readonly since: Seq | null;
  readonly epoch: EpochId | null;
  readonly create: string | null;
  /** `clock.monotonic()` when it came. */
  readonly at: Millis;
}

/** A document that is not decoded (see `held-model.ts`). */
export interface Asleep {
  /** Throws if the snapshot turns out not to be what was written. */
  readonly restore: RestoreModel;
  readonly private: Uint8Array;
  readonly hash: Uint8Array | null;
}

/** A page as it was found in the store. */
export interface LoadedPage {
  readonly kind: PageKind;
  /** In which all of it was read. */
  readonly epoch: EpochId;
  readonly closed: boolean;
  /** Asleep if the log ends at the snapshot. */
  readonly model: DocumentModel | Asleep;
  readonly private: PrivateState;
  /** The snapshot that the model is restored from, as joiners get it; null for a page that has none. */
  readonly snapshot: CachedSnapshot | null;
  /** The log after the snapshot, to the head; not yet applied. */
  readonly tail: LogEntry[];
}

export interface CachedSnapshot {
  readonly seq: Seq;
  /** Packed by zlib. */
  readonly body: Uint8Array;
  readonly plainBytes: number;
}

/** What a page wants appended now, and after which place of which log. */
export interface PageBatch {
  readonly epoch: EpochId;
  readonly known: Seq;
  readonly changes: readonly StoredChange[];
}

/** A page's encoded state, to be packed and stored. */
export interface TakenSnapshot {
  readonly epoch: EpochId;
  readonly seq: Seq;
  readonly modelVersion: number;
  readonly plain: Uint8Array;
  readonly private: Uint8Array;
}

export type ToldMessage = Extract<ServerMessage, { kind: 'changes' | 'committed' }>;

export type PageMessage =
  | { readonly type: 'subscribe'; readonly request: SubscribeRequest }
  | { readonly type: 'unsubscribe'; readonly connection: number }
  | { readonly type: 'role'; readonly connection: number; readonly role: Role | null }
  | {
      readonly type: 'change';
      readonly connection: number;
      readonly n: number;
      readonly hlc: WireStamp;
      readonly ops: Uint8Array;
      readonly replica: ReplicaId | null;
      /** ms until its user's rate allows another change; 0 now. */
      readonly userWaitMs: Millis;
    }
  | { readonly type: 'presence'; readonly connection: number; readonly state: Uint8Array | null }
  | { readonly type: 'presence_elsewhere'; readonly news: PresenceNews }
  | { readonly type: 'sync'; readonly connection: number; readonly since: Seq }
  | { readonly type: 'diverged'; readonly connection: number; readonly seq: Seq; readonly hash: Uint8Array }
  | { readonly type: 'pull'; readonly connection: number }
  /** The reader was too slow to follow the page, and has read what was sent. */
  | { readonly type: 'resume'; readonly connection: number }
  | { readonly type: 'loaded'; readonly page: LoadedPage }
  | { readonly type: 'absent' }
  /** The load goes on, but the store has said nothing for a while. */
  | { readonly type: 'load_slow'; readonly message: string; readonly retryAfterMs: Millis }
  | { readonly type: 'load_failed'; readonly message: string; readonly retryAfterMs: Millis }
  | { readonly type: 'appended' }
  | { readonly type: 'settled'; readonly entries: LogEntry[]; readonly closed: boolean }
  /** Instead of either: the log is not the one that the page was made from, or ends before what it holds. */
  | { readonly type: 'displaced' }
  | { readonly type: 'snapshot_saved'; readonly snapshot: CachedSnapshot }
  | { readonly type: 'snapshot_failed' }
  /** From another node: CHANGES and COMMITTED of this page. */
  | { readonly type: 'told'; readonly message: ToldMessage }
  /** The head of the log, as the store has it. */
  | { readonly type: 'head'; readonly at: PageHeadAt }
  | { readonly type: 'tick' };

export interface ActorWorld {
  readonly clock: Clock;
  readonly limits: Limits;
  readonly log: Log;
  readonly snapshotPolicy: SnapshotPolicy;
  /** When pages tell their hash; by default seldom. */
  readonly hashPolicy?: HashPolicy | undefined;
  /** A snapshot that was unpacked before, unpacked again. */
  readonly unpack: Compression['unpackNow'];
  readonly counts: ActorCounts;
  /** How long a change may wait for its commit before others are told of it; 0: always told at once. */
  readonly stallMs: Millis;
  /** What the queues of all pages of the shard hold together. */
  readonly backlog: Backlog;
  send(connection: number, frame: Uint8Array): void;
  /** Like `send`, for parts of what may be large: a joiner's snapshot and tail. Waits, in its order, for the reader. */
  sendBulk(connection: number, frame: Uint8Array): void;
  /** There is (more) bulk for this reader. Answered by `pull` when it has room. */
  offerBulk(connection: number, ch: number): void;
  /** To every socket that joined the page's topic. */
  publish(page: PageId, frame: Uint8Array): void;
  join(connection: number, page: PageId): void;
  leave(connection: number, page: PageId): void;
  /** The subscription under this ch is over (refused, or the page is gone): the gateway forgets it. */
  forget(connection: number, ch: number): void;
  /** Answered by `loaded`, `absent` or `load_failed`. */
  load(page: PageId, create: PageKind | null): void;
  /** The page has changes to append; the commit loop calls `takeBatch` when it is free. Answered by `appended` or `settled`. */
  markDirty(page: PageId): void;
  /** What other nodes appended was applied. */
  othersWrote(page: PageId): void;
  /** Read what the log of that epoch holds after `known`, whatever it takes. Answered by `settled` or `displaced`. */
  settle(page: PageId, epoch: EpochId, known: Seq): void;
  /** Packs and stores. Answered by `snapshot_saved` or `snapshot_failed`. */
  saveSnapshot(page: PageId, taken: TakenSnapshot): void;
  /** To this page's actors on other nodes; at most once, perhaps never. */
  tellNodes(page: PageId, frame: Uint8Array): void;
  /** To the same: `change` of who is here, or everybody who is, again. Nobody is no message. */
  sharePresence(page: PageId, kind: 'change' | 'list', states: readonly WirePresence[]): void;
  /** Something waits for its commit: `checkStall` is called now and then until nothing does. */
  watch(page: PageId): void;
  /** The page is to hear of its queue: `tellVolatile` is called at the end of the turn. */
  markUntold(page: PageId): void;
  /** Presence changed: `takePresence` is called at the end of the turn. */
  markPresence(page: PageId): void;
  /** What is published now tells of changes, the oldest of which came at `since`. */
  telling(since: Millis): void;
}

/** Counted for /metrics; labels are of bounded sets only. */
export interface ActorCounts {
  change(outcome: 'accepted' | 'duplicate', kind: ChangeKind): void;
  refused(code: Code, kind: ChangeKind): void;
  /** Handed to the database once more. */
  retried(changes: number): void;
  committed(changes: number, bytes: number): void;
  /** How long a change waited for the database to be free, and then for its commit. */
  commitMs(waitedMs: Millis, committedMs: Millis): void;
  /** Ops that lost to a newer stamp. */
  lost(ops: number): void;
  notice(code: NoticeCode): void;
  /** A page's commits take longer than they may: its changes are told before them. */
  stall(): void;
  volatile(changes: number): void;
  /** A reader begins to be brought up to the page. */
  catchUp(kind: 'snapshot' | 'tail'): void;
  /** One who asked for the page has all of it. `isBack`: it had been here before. */
  joined(isBack: boolean, ms: Millis): void;
  /** A client's state was found to have another hash than the page's. */
  diverged(): void;
}
