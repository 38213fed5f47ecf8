/**
 * What an actor knows of a page's content: a document model behind one interface. Pure: no IO, no clock.
 *
 * A change's body is decoded once (`decode`), checked against state and queue (`admit`), and applied when the log has
 * it (`apply`). `admit` records what it let in, so that the next change is checked against it too; `resetQueue` says
 * what is still queued after a refusal. `apply` runs in log order, and for changes of other nodes without `admit`.
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

/** A change in the queue, decoded. */
export interface QueuedOps<Decoded> {
  readonly decoded: Decoded;
  readonly stamp: Stamp;
  readonly author: UserId;
}

export interface DocumentModel<Decoded = unknown> {
  readonly version: number;
  decode(body: Uint8Array): Decoded | { readonly malformed: string };
  admit(change: Decoded, stamp: Stamp, author: UserId): Refusal | undefined;
  resetQueue(queued: readonly QueuedOps<Decoded>[]): void;
  /** Applies a logged change; returns what had no effect and why. */
  apply(change: Decoded, stamp: Stamp, author: UserId): OpNotice[];
  /** The ops of a change that the server should make itself (purges of old tombstones); undefined if none is due. */
  dueHousekeeping(now: Millis): Uint8Array | undefined;
  /** What joiners get. */
  encodeSnapshot(): Uint8Array;
  /** The server's own part of a snapshot. */
  encodePrivate(): Uint8Array;
}
