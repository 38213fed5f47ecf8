/**
 * What an actor may ask of the world, and what it can be told: the whole of its contact with threads, sockets, database
 * and time. An actor never awaits: it asks, returns, and the answer is its next message.
 */
import type { DocumentModel } from '../document/model.ts';
import type { LogEntry, PageKind } from '../persistence/log-store.ts';
import type { NoticeCode } from '../protocol/codes.ts';
import type { EpochId, PageId, ReplicaId, Seq, UserId } from '../protocol/ids.ts';
import type { Limits } from '../protocol/limits.ts';
import type { Role, WireStamp } from '../protocol/messages.ts';
import type { Clock, Millis } from '../base/time.ts';
import type { Log } from '../base/log.ts';
import type { PrivateState } from './replicas.ts';

export interface Subscriber {
  readonly connection: number;
  readonly ch: number;
  readonly user: UserId;
  /** The replica of the socket's HELLO: whose changes these are unless a change says otherwise. */
  readonly replica: ReplicaId;
  role: Role;
}

export interface SubscribeRequest {
  readonly subscriber: Subscriber;
  readonly since: Seq | null;
  readonly epoch: EpochId | null;
  readonly create: string | null;
}

/** A page as it was found in the store. */
export interface LoadedPage {
  readonly kind: PageKind;
  readonly closed: boolean;
  readonly model: DocumentModel;
  readonly private: PrivateState;
  /** The snapshot that the model was restored from, as joiners get it; null for a page that has none. */
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
  | { readonly type: 'sync'; readonly connection: number; readonly since: Seq }
  | { readonly type: 'loaded'; readonly page: LoadedPage }
  | { readonly type: 'absent' }
  | { readonly type: 'load_failed'; readonly message: string }
  | { readonly type: 'appended' }
  | { readonly type: 'settled'; readonly entries: LogEntry[]; readonly closed: boolean }
  | { readonly type: 'snapshot_saved'; readonly snapshot: CachedSnapshot }
  | { readonly type: 'snapshot_failed' }
  | { readonly type: 'tick' };

export interface ActorWorld {
  readonly clock: Clock;
  readonly limits: Limits;
  readonly epoch: EpochId;
  readonly log: Log;
  readonly counts: ActorCounts;
  send(connection: number, frame: Uint8Array): void;
  /** Like `send`, for what may be large: a joiner's snapshot and tail. Waits, in its order, while the reader is slow. */
  sendBulk(connection: number, frame: Uint8Array): void;
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
  /** Read what the log holds after `known`, whatever it takes. Answered by `settled`. */
  settle(page: PageId, known: Seq): void;
  /** Packs and stores. Answered by `snapshot_saved` or `snapshot_failed`. */
  saveSnapshot(
    page: PageId,
    seq: Seq,
    modelVersion: number,
    plain: Uint8Array,
    privateState: Uint8Array,
  ): void;
  /** Presence changed: `takePresence` is called at the end of the turn. */
  markPresence(page: PageId): void;
}

/** Counted for /metrics; labels are of bounded sets only. */
export interface ActorCounts {
  change(outcome: 'accepted' | 'duplicate' | 'refused', code?: string): void;
  committed(changes: number): void;
  commitMs(ms: number): void;
  notice(code: NoticeCode): void;
  join(kind: 'snapshot' | 'tail'): void;
}
