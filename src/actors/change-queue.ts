/**
 * A page's changes that are let in and not yet known to be in the log, in order. The first `inFlight` of them are handed
 * to the database; the rest wait for the next append. Checks of later changes count them as if they were there.
 */
import type { ReplicaId, UserId } from '../protocol/ids.ts';
import type { StoredChange } from '../persistence/log-store.ts';

export interface QueuedChange {
  readonly change: StoredChange;
  readonly decoded: unknown;
  /** Who is told of a refusal or a notice. */
  readonly connection: number;
  /** `clock.monotonic()` when it came, for the histogram of commit times. */
  readonly since: number;
}

/** Bounds of one append, so that a statement stays quick: the rest goes with the next. */
const APPEND_CHANGES_MAX = 1000;
const APPEND_BYTES_MAX = 4 << 20;

export class ChangeQueue {
  #changes: QueuedChange[] = [];
  #inFlight = 0;
  #bytes = 0;
  readonly #lastByReplica = new Map<ReplicaId, { n: number; owner: UserId }>();

  get length(): number {
    return this.#changes.length;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get all(): readonly QueuedChange[] {
    return this.#changes;
  }

  /** The last number of a replica in the queue, and its owner. */
  lastOf(replica: ReplicaId): { readonly n: number; readonly owner: UserId } | undefined {
    return this.#lastByReplica.get(replica);
  }

  push(queued: QueuedChange): void {
    this.#changes.push(queued);
    this.#count(queued);
  }

  #count({ change }: QueuedChange): void {
    this.#bytes += change.body.length;
    this.#lastByReplica.set(change.replica, { n: change.n, owner: change.author });
  }

  /** The changes of the next append; they stay in the queue until `commit` or `retain`. */
  takeBatch(): StoredChange[] {
    const batch: StoredChange[] = [];
    let bytes = 0;
    for (const { change } of this.#changes) {
      bytes += change.body.length;
      if (batch.length === APPEND_CHANGES_MAX || (batch.length > 0 && bytes > APPEND_BYTES_MAX)) break;
      batch.push(change);
    }
    this.#inFlight = batch.length;
    return batch;
  }

  /** The changes in flight are in the log: takes them out and returns them. */
  commit(): QueuedChange[] {
    const committed = this.#changes.splice(0, this.#inFlight);
    this.#inFlight = 0;
    for (const { change } of committed) {
      this.#bytes -= change.body.length;
      if (this.#lastByReplica.get(change.replica)?.n === change.n) this.#lastByReplica.delete(change.replica);
    }
    return committed;
  }

  /** Nothing is in flight any more; keeps only the changes that `keep` says yes to, in order. */
  retain(keep: (queued: QueuedChange) => boolean): void {
    this.#inFlight = 0;
    this.#changes = this.#changes.filter(keep);
    this.#bytes = 0;
    this.#lastByReplica.clear();
    for (const queued of this.#changes) this.#count(queued);
  }
}
