/**
 * A page's changes that are let in and not yet known to be in the log, in order. The first `inFlight` of them are handed
 * to the database; the rest wait for the next append. Checks of later changes count them as if they were there.
 *
 *      in flight │ own … own │ foreign │ own …          told: a prefix, when the fuse has blown
 *                └ next batch ┘ waits until it is in the log, or adopted
 *
 * A foreign change is another node's, told there before its commit. It holds up all behind it: whoever edits here has
 * seen it, so nothing of theirs may come before it in the log.
 */
import type { Stamp } from '../document/hlc.ts';
import type { ReplicaId, UserId } from '../protocol/ids.ts';
import type { Millis } from '../base/time.ts';
import type { StoredChange } from '../persistence/log-store.ts';
import { keyOf, toName } from './wire-change.ts';

export interface QueuedChange {
  readonly change: StoredChange;
  readonly decoded: unknown;
  /** Who is told of a refusal or a notice: the socket that sent it last. */
  connection: number;
  /** `clock.monotonic()` when it came: for the fuse, and the histogram of commit times. */
  readonly since: Millis;
  /** Another node's, which is to append it; until it is adopted. */
  foreign: boolean;
  /** Foreign: when the log was first read without it. */
  absentSince: Millis | null;
  /** Handed to the database at least once: the log may have it, so it is never refused any more, only retried. */
  handed: boolean;
}

/** What all queues of a shard hold together. */
export interface Backlog {
  bytes: number;
}

/** Bounds of one append, so that a statement stays quick: the rest goes with the next. */
const APPEND_CHANGES_MAX = 1000;
const APPEND_BYTES_MAX = 4 << 20;
/** A foreign change that the log lacks for so long, while it answers, is appended here. */
const ADOPT_AFTER_MS = 1000;
/** What a queued change takes beyond its body, as bytes: records, decoded ops, its place in the overlay. */
export const QUEUED_BYTES = 1024;

export class ChangeQueue {
  readonly #backlog: Backlog;
  #changes: QueuedChange[] = [];
  #inFlight = 0;
  #told = 0;
  #foreign = 0;
  #bytes = 0;
  readonly #lastByReplica = new Map<ReplicaId, { n: number; owner: UserId }>();

  constructor(backlog: Backlog) {
    this.#backlog = backlog;
  }

  get length(): number {
    return this.#changes.length;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get all(): readonly QueuedChange[] {
    return this.#changes;
  }

  /** Those that the page has heard of before their commit. */
  get told(): readonly QueuedChange[] {
    return this.#changes.slice(0, this.#told);
  }

  get hasForeign(): boolean {
    return this.#foreign > 0;
  }

  /** What is queued, by its name (`keyOf`); `told`: the page has heard of it. */
  byName(): Map<string, Pick<QueuedChange, 'change' | 'foreign'> & { readonly told: boolean }> {
    const named = ({ change, foreign }: QueuedChange, i: number) =>
      [keyOf(toName(change)), { change, foreign, told: i < this.#told }] as const;
    return new Map(this.#changes.map(named));
  }

  /** As the document model counts them. */
  contents(): { decoded: unknown; stamp: Stamp; author: UserId }[] {
    return this.#changes.map(({ decoded, change }) => {
      const { hlcMs: ms, hlcCounter: counter, replica, author } = change;
      return { decoded, stamp: { ms, counter, replica }, author };
    });
  }

  /** The last number of a replica in the queue, and its owner. */
  lastOf(replica: ReplicaId): { readonly n: number; readonly owner: UserId } | undefined {
    return this.#lastByReplica.get(replica);
  }

  find(replica: ReplicaId, n: number): QueuedChange | undefined {
    const isIt = ({ change }: QueuedChange) => change.n === n && change.replica === replica;
    return this.#changes.find(isIt);
  }

  /** Whether this change has the name of the first that is queued. */
  startsWith(change: StoredChange | undefined): boolean {
    const first = this.#changes[0]?.change;
    return first !== undefined && first.n === change?.n && first.replica === change.replica;
  }

  push(queued: QueuedChange): void {
    this.#changes.push(queued);
    this.#count(queued);
  }

  #count({ change, foreign }: QueuedChange): void {
    this.#bytes += change.body.length;
    this.#backlog.bytes += change.body.length + QUEUED_BYTES;
    if (foreign) this.#foreign++;
    this.#lastByReplica.set(change.replica, { n: change.n, owner: change.author });
  }

  #uncount({ change, foreign }: QueuedChange): void {
    this.#bytes -= change.body.length;
    this.#backlog.bytes -= change.body.length + QUEUED_BYTES;
    if (foreign) this.#foreign--;
  }

  /** Those that the page has not heard of; it is told of them now. */
  takeUntold(): readonly QueuedChange[] {
    const untold = this.#changes.slice(this.#told);
    this.#told = this.#changes.length;
    return untold;
  }

  /**
   * The changes of the next append, and how many of them have been handed over before; they stay in the queue until `commit`
   * or `retain`.
   */
  takeBatch(): { readonly changes: StoredChange[]; readonly again: number } {
    const batch: StoredChange[] = [];
    let [bytes, again] = [0, 0];
    for (const queued of this.#changes) {
      const { change } = queued;
      bytes += change.body.length;
      if (queued.foreign || batch.length === APPEND_CHANGES_MAX) break;
      if (batch.length > 0 && bytes > APPEND_BYTES_MAX) break;
      if (queued.handed) again++;
      queued.handed = true;
      batch.push(change);
    }
    this.#inFlight = batch.length;
    return { changes: batch, again };
  }

  /** The changes in flight are in the log: takes them out and returns them, and how many of them the page has heard of. */
  commit(): { readonly committed: readonly QueuedChange[]; readonly told: number } {
    const committed = this.#changes.splice(0, this.#inFlight);
    const told = Math.min(this.#told, this.#inFlight);
    this.#told -= told;
    this.#inFlight = 0;
    for (const queued of committed) {
      this.#uncount(queued);
      const { replica, n } = queued.change;
      if (this.#lastByReplica.get(replica)?.n === n) this.#lastByReplica.delete(replica);
    }
    return { committed, told };
  }

  /** Nothing is in flight any more; keeps only the changes that `keep` says yes to, in order. */
  retain(keep: (queued: QueuedChange, told: boolean) => boolean): void {
    this.#inFlight = 0;
    const [before, told] = [this.#changes, this.#told];
    this.#told = 0;
    for (const queued of before) this.#uncount(queued);
    this.#changes = before.filter((queued, i) => {
      const kept = keep(queued, i < told);
      if (kept && i < told) this.#told++;
      return kept;
    });
    this.#lastByReplica.clear();
    for (const queued of this.#changes) this.#count(queued);
  }

  /** The log was read, and holds none of these: foreign changes that it has lacked for long are this node's from here on. */
  adoptAbsent(now: Millis): void {
    for (const queued of this.#changes) {
      if (!queued.foreign) continue;
      queued.absentSince ??= now;
      if (now - queued.absentSince < ADOPT_AFTER_MS) continue;
      queued.foreign = false;
      this.#foreign--;
    }
  }
}
