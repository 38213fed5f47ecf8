/**
 * What checking and repairing ask of the store beyond the log store's port: to see what is really stored, bad snapshots
 * included, and to take a bad one away. Both twins have it. Nothing here can change a log.
 */
import type { PageId, Seq } from '../protocol/ids.ts';
import type { LogStore, StoredSnapshot } from './log-store.ts';

/** A snapshot as it lies there, whether it is good or not. */
export interface FoundSnapshot extends StoredSnapshot {
  readonly checksum: Uint8Array;
  readonly checksumGood: boolean;
}

export interface RepairStore extends LogStore {
  /** The ids of pages greater than `after`, in order, at most `limit`; pages whose head is missing are among them. */
  pagesAfter(after: PageId | null, limit: number): Promise<PageId[]>;
  /** The seqs of all snapshots of a page, oldest first. */
  snapshotSeqs(page: PageId): Promise<Seq[]>;
  /** One snapshot as it is; undefined when it is not there (any more). */
  findSnapshot(page: PageId, at: Seq): Promise<FoundSnapshot | undefined>;
  /** Takes a snapshot away, if it is still byte for byte this one: a server may have stored a good one in its place. */
  removeSnapshot(page: PageId, found: FoundSnapshot): Promise<boolean>;
}
