/**
 * What an actor knows of a page's content: a document model behind one interface. Pure: no IO, no clock.
 *
 * A change's body is decoded once (`decode`), checked against state and queue (`admit`), and applied when the log has
 * it (`apply`). `admit` records what it let in, so that the next change is checked against it too, and nothing of what it
 * refuses; `dequeue` and `resetQueue` say what is queued when the log has moved. `apply` runs in log order, and for changes of other
 * nodes without `admit`.
 */
import type { Millis } from '../base/time.ts';
import type { Code, NoticeCode } from '../protocol/codes.ts';
import type { UserId } from '../protocol/ids.ts';
import type { Stamp } from './hlc.ts';

export interface Refusal {
  readonly code: Code;
  readonly message: string;
}

export interface OpNotice {
  readonly opIndex: number;
  readonly code: NoticeCode;
}

/** What a change does, for those who count: its one op, or that it has several. The last is told of none that was not read. */
export const CHANGE_KINDS = [
  'insert', 'update', 'delete', 'restore', 'move', 'text', 'purge', 'unknown', 'mixed', 'unread',
] as const; // prettier-ignore
export type ChangeKind = (typeof CHANGE_KINDS)[number];

/** A change in the queue, decoded. */
export interface QueuedOps<Decoded> {
  readonly decoded: Decoded;
  readonly stamp: Stamp;
  readonly author: UserId;
}

/** Makes a model of the same page from what `encodeSnapshot` (null: the page had none) and `encodePrivate` gave. */
export type RestoreModel = (snapshot: Uint8Array | null, own: Uint8Array) => DocumentModel;

export interface DocumentModel<Decoded = unknown> {
  readonly version: number;
  decode(body: Uint8Array): Decoded | { readonly malformed: string };
  kindOf(change: Decoded): ChangeKind;
  admit(change: Decoded, stamp: Stamp, author: UserId): Refusal | undefined;
  /** As `admit`, of a change that is in the queue already: no limit counts any more, and what it recorded before a refusal stays. */
  lay(change: Decoded, stamp: Stamp, author: UserId): Refusal | undefined;
  resetQueue(queued: readonly QueuedOps<Decoded>[]): void;
  /**
   * The first of the queue were applied just now, nothing else was. Takes them out of what is recorded; false: that needs
   * `resetQueue`.
   */
  dequeue(applied: readonly { readonly decoded: Decoded }[]): boolean;
  /** Applies a logged change; returns what had no effect and why, as far as this version knows all ops of the page. */
  apply(change: Decoded, stamp: Stamp, author: UserId): readonly OpNotice[];
  /**
   * The hash of the confirmed state; null from an op on that this version does not know: then no copy can be compared,
   * and no snapshot is made, for it would lack what the op did.
   */
  stateHash(): Uint8Array | null;
  /** The ops of a change that the server should make itself (purges of old tombstones); undefined if none is due. */
  dueHousekeeping(now: Millis): Uint8Array | undefined;
  /** What joiners get. Not to be asked for while there is no `stateHash`. */
  encodeSnapshot(): Uint8Array;
  /** The server's own part of a snapshot. */
  encodePrivate(): Uint8Array;
  /** How to make this model again; it holds on to nothing of it. */
  restorer(): RestoreModel;
  /** How many ops it has applied that lost to a newer stamp: concurrent edits of one thing. */
  readonly lostOps: number;
  /** About how much memory it takes, with the bytes of the snapshot that it was restored from. */
  readonly bytes: number;
}
