/**
 * What travels on the wire: one union per direction. `decode.ts` turns bytes into these, `encode.ts` these into bytes.
 * A message is one MessagePack array `[kind, …]`; the table with all positions stands in `docs/protocol.md`.
 * Client kinds are below 32 and server kinds above, so neither can be taken for the other.
 */
import type { EpochId, NodeId, PageId, ReplicaId, Seq, UserId } from './ids.ts';
import type { Code, NoticeCode } from './codes.ts';
import type { Limits } from './limits.ts';
import type { Millis } from '../base/time.ts';

export const PROTOCOL_VERSION = 1;
export const SUBPROTOCOL = 'octavo.v1';
export const SYNC_PATH = '/v1/sync';

export const CLIENT_KIND = {
  hello: 1,
  auth: 2,
  ping: 3,
  subscribe: 4,
  unsubscribe: 5,
  change: 6,
  presence: 7,
  sync: 8,
  diverged: 12,
} as const;

export const SERVER_KIND = {
  welcome: 33,
  pong: 34,
  error: 35,
  role: 36,
  subscribed: 37,
  snapshot: 38,
  changes: 39,
  ack: 40,
  reject: 41,
  notice: 42,
  committed: 43,
  presence: 44,
  hash: 45,
  goaway: 46,
} as const;

export type Role = 'owner' | 'editor' | 'commenter' | 'viewer';
/** Weakest first: the index is the strength. */
export const ROLES: readonly Role[] = ['viewer', 'commenter', 'editor', 'owner'];
export const mayWrite = (role: Role): boolean => role === 'owner' || role === 'editor';

/** Small and stable: how a snapshot's parts, joined, are packed. */
export const ENCODING = { plain: 0, zlib: 1 } as const;

/** A hybrid logical clock's reading, without the replica. */
export interface WireStamp {
  readonly ms: Millis;
  readonly counter: number;
}

export type ClientMessage =
  | { kind: 'hello'; version: number; replica: ReplicaId; clientName: string }
  | { kind: 'auth'; token: string }
  | { kind: 'ping'; t: number }
  | {
      kind: 'subscribe';
      ch: number;
      page: PageId;
      since: Seq | null;
      epoch: EpochId | null;
      create: string | null;
    }
  | { kind: 'unsubscribe'; ch: number }
  | { kind: 'change'; ch: number; n: number; hlc: WireStamp; ops: Uint8Array; replica: ReplicaId | null }
  | { kind: 'presence'; ch: number; state: Uint8Array | null }
  | { kind: 'sync'; ch: number; since: Seq }
  /** `hash`: that of the client's state at `seq`, where HASH had another. */
  | { kind: 'diverged'; ch: number; seq: Seq; hash: Uint8Array };

/** One change as CHANGES carries it; its seq is the frame's first seq plus its index. `ops` is the raw array. */
export interface WireChange {
  readonly replica: ReplicaId;
  readonly n: number;
  readonly hlc: WireStamp;
  readonly author: UserId;
  readonly at: Millis;
  readonly ops: Uint8Array;
}

/** How a change is known before it has a seq. The stamp tells it from another that was given the same n after a refusal. */
export interface WireName {
  readonly replica: ReplicaId;
  readonly n: number;
  readonly hlc: WireStamp;
}

export interface WirePresence {
  readonly replica: ReplicaId;
  readonly user: UserId;
  /** A MessagePack value, or null: this replica has left. */
  readonly state: Uint8Array | null;
}

export type ServerMessage =
  | { kind: 'welcome'; version: number; node: NodeId; time: Millis; limits: Partial<Limits>; epoch: EpochId }
  | { kind: 'pong'; t: number; time: Millis }
  | { kind: 'error'; code: Code; message: string; retryAfterMs: number | null; ch: number | null }
  | { kind: 'role'; ch: number | null; role: Role | null }
  | {
      kind: 'subscribed';
      ch: number;
      role: Role;
      head: Seq;
      lastN: number;
      epoch: EpochId;
      /** The stamp of the change with `lastN`; null: there is none, or it is not known. */
      lastHlc: WireStamp | null;
    }
  | {
      kind: 'snapshot';
      ch: number;
      seq: Seq;
      encoding: number;
      part: number;
      parts: number;
      bytes: Uint8Array;
    }
  /** `firstSeq` 0: volatile, told before their commit. */
  | { kind: 'changes'; page: PageId; firstSeq: Seq; changes: WireChange[] }
  /** Volatile changes that the log has now, from `firstSeq` on; with 0: they are withdrawn. */
  | { kind: 'committed'; page: PageId; firstSeq: Seq; changes: readonly WireName[] }
  | { kind: 'ack'; ch: number; n: number; seq: Seq; replica: ReplicaId }
  | {
      kind: 'reject';
      ch: number;
      n: number;
      code: Code;
      message: string;
      retryAfterMs: number | null;
      replica: ReplicaId;
    }
  | { kind: 'notice'; ch: number; n: number; code: NoticeCode; opIndex: number; replica: ReplicaId }
  | { kind: 'presence'; page: PageId; states: WirePresence[] }
  | { kind: 'hash'; page: PageId; seq: Seq; hash: Uint8Array }
  /** The node is about to stop: connect anew, to another one, in `afterMs`. */
  | { kind: 'goaway'; afterMs: Millis };
