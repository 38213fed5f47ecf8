/**
 * The log store port: what an actor's node asks of durable storage. Twins: `memory-log-store.ts` and
 * `postgres-log-store.ts`; one contract suite runs on both (`test/contracts/log-store.ts`).
 *
 * Invariants every twin keeps:
 * - A page's seqs are 1, 2, 3 … without gaps; `append` is a compare-and-swap on the head, all or nothing per page.
 * - What `append` reported as committed survives the death of any process, as long as the epoch is the same. In another
 *   epoch the log may end earlier and go on otherwise: what was known of it counts no more.
 * - A rejected promise from `append` says nothing about the outcome: the caller reads the log and decides.
 */
import type { EpochId, PageId, ReplicaId, Seq, UserId } from '../protocol/ids.ts';
import type { Millis } from '../base/time.ts';

/** The document model of a page, fixed at its birth. */
export type PageKind = 'blocks' | 'ydoc';

/** A change as the log holds it. `body` is the client's `ops` array, byte for byte. */
export interface StoredChange {
  readonly replica: ReplicaId;
  readonly n: number;
  readonly hlcMs: Millis;
  readonly hlcCounter: number;
  readonly author: UserId;
  /** When the server took it in, by the server's clock. */
  readonly at: Millis;
  readonly body: Uint8Array;
}

export interface LogEntry extends StoredChange {
  readonly seq: Seq;
}

export interface PageHead {
  readonly kind: PageKind;
  readonly epoch: EpochId;
  readonly head: Seq;
  /** Trashed: nothing may be appended. */
  readonly closed: boolean;
}

export interface PageHeadAt {
  readonly page: PageId;
  readonly epoch: EpochId;
  readonly head: Seq;
  readonly closed: boolean;
}

/** A portion of a page's log, and how far the log went at that moment. */
export interface LogTail {
  readonly epoch: EpochId;
  readonly head: Seq;
  readonly closed: boolean;
  readonly entries: LogEntry[];
}

export interface StoredSnapshot {
  readonly seq: Seq;
  readonly modelVersion: number;
  /** What joiners get, as sent (compressed). */
  readonly body: Uint8Array;
  /** The server's own part: last n and owner per replica, owner per Yjs client id. */
  readonly private: Uint8Array;
}

/** The changes of one page that go after `known`, in that epoch; one such per page in an `append`. */
export interface AppendBatch {
  readonly page: PageId;
  readonly epoch: EpochId;
  readonly known: Seq;
  readonly changes: readonly StoredChange[];
}

export interface LogStore {
  /** This database incarnation. A restored backup gets a new one, a server that took over from another too. */
  epoch(): Promise<EpochId>;
  /** Makes a new epoch, for everyone: `old` was found to hold no longer. Nothing happens if it is another already. */
  renewEpoch(old: EpochId): Promise<void>;
  /** Head and kind of a page; with `create`, makes the page if there is none (the stored kind is returned). */
  openPage(page: PageId, create?: PageKind): Promise<PageHead | undefined>;
  /**
   * Appends each batch whose epoch is the present one and whose page's head is `known` and not closed. Returns the pages
   * appended, each with whether somebody else has lost a race for it just now; of one that is missing one of these does not
   * hold. Rejects when the outcome is unknown or nothing was done.
   */
  append(batches: readonly AppendBatch[]): Promise<ReadonlyMap<PageId, boolean>>;
  /** The changes with seq > `after`, in order, at most `limit` of them and about `bytesMax` bytes (at least one). */
  readLog(page: PageId, after: Seq, limit: number, bytesMax: number): Promise<LogEntry[]>;
  /**
   * The same, with the head at that moment; undefined: no such page. `wants`: the caller has lost a race for the page, which
   * the next append is to tell.
   */
  readTail(
    page: PageId,
    after: Seq,
    limit: number,
    bytesMax: number,
    wants?: boolean,
  ): Promise<LogTail | undefined>;
  /** The heads of those of these pages that exist, in no order. */
  readHeads(pages: readonly PageId[]): Promise<PageHeadAt[]>;
  /** The newest snapshots whose checksum is good, newest first, at most two. Bad ones are skipped and reported. */
  readSnapshots(page: PageId): Promise<StoredSnapshot[]>;
  /**
   * Stores a snapshot of that epoch, with its checksum; keeps the newest two of the page. Saving the same seq again is
   * harmless. In another epoch nothing is stored.
   */
  saveSnapshot(page: PageId, epoch: EpochId, snapshot: StoredSnapshot): Promise<void>;
  /** Rejects unless the store could commit now (readiness). */
  ping(): Promise<void>;
  /** Waits for what is under way and lets go of all connections. */
  close(): Promise<void>;
}
