/**
 * A live page's confirmed state: the fold of a prefix of its log, and nothing else. Queued changes are not in it.
 * Whatever enters, enters here and in seq order: the model, the replicas' numbers, the recent log.
 */
import type { Millis } from '../base/time.ts';
import type { DocumentModel, OpNotice } from '../document/model.ts';
import type { LogEntry } from '../persistence/log-store.ts';
import { isMalformed } from '../protocol/decode.ts';
import type { ReplicaId, Seq } from '../protocol/ids.ts';
import { RecentLog } from './recent-log.ts';
import { encodePrivateState, type ReplicaRecord } from './replicas.ts';
import { changeCost, snapshotIsDue } from './snapshot-policy.ts';
import type { CachedSnapshot, LoadedPage } from './world.ts';

export class PageState {
  readonly model: DocumentModel;
  readonly recent: RecentLog;
  readonly #replicas: Map<ReplicaId, ReplicaRecord>;
  #latestMs: Millis;
  #snapshot: CachedSnapshot | null;
  #snapshotUnderWay = false;
  #changesSince = 0;
  #bytesSince = 0;
  #lastChangeAt: Millis;

  /** Throws when a logged change cannot be decoded: such a page must not be served as if it were whole. */
  constructor(loaded: LoadedPage, now: Millis) {
    this.model = loaded.model;
    this.#replicas = loaded.private.replicas;
    this.#latestMs = loaded.private.latestMs;
    this.#snapshot = loaded.snapshot;
    this.#lastChangeAt = now;
    this.recent = new RecentLog(loaded.snapshot?.seq ?? (0 as Seq));
    for (const entry of loaded.tail) this.applyEntry(entry, now);
  }

  get head(): Seq {
    return this.recent.head;
  }

  get latestMs(): Millis {
    return this.#latestMs;
  }

  get snapshot(): CachedSnapshot | null {
    return this.#snapshot;
  }

  /** About how much memory the page holds: the unit of the shard's budget. */
  get bytes(): number {
    return this.recent.bytes + 2 * (this.#snapshot?.plainBytes ?? 0) + 4096;
  }

  replica(id: ReplicaId): ReplicaRecord | undefined {
    return this.#replicas.get(id);
  }

  /** Applies a logged change whose ops are decoded already. */
  apply(entry: LogEntry, decoded: unknown, now: Millis): OpNotice[] {
    this.recent.push(entry);
    const { replica, n, author, hlcMs, hlcCounter } = entry;
    const record = this.#replicas.get(replica);
    if (!record) this.#replicas.set(replica, { owner: author, lastN: n, lastSeq: entry.seq });
    else {
      record.lastN = n;
      record.lastSeq = entry.seq;
    }
    if (hlcMs > this.#latestMs) this.#latestMs = hlcMs;
    this.#changesSince++;
    this.#bytesSince += changeCost(entry.body.length);
    this.#lastChangeAt = now;
    return this.model.apply(decoded, { ms: hlcMs, counter: hlcCounter, replica }, author);
  }

  /** Applies a change as the log has it. */
  applyEntry(entry: LogEntry, now: Millis): OpNotice[] {
    const decoded = this.model.decode(entry.body);
    if (isMalformed(decoded))
      throw new Error(`the log’s change ${entry.seq} cannot be read: ${decoded.malformed}`);
    return this.apply(entry, decoded, now);
  }

  /** The encoded state, when it is time for a snapshot (or `force`, and there is anything new). */
  takeSnapshot(
    now: Millis,
    force: boolean,
  ): { seq: Seq; plain: Uint8Array; private: Uint8Array } | undefined {
    if (this.#snapshotUnderWay || this.#changesSince === 0) return undefined;
    const since = {
      changes: this.#changesSince,
      bytes: this.#bytesSince,
      snapshotBytes: this.#snapshot?.plainBytes ?? 0,
      idleMs: now - this.#lastChangeAt,
    };
    if (!force && !snapshotIsDue(since)) return undefined;
    this.#snapshotUnderWay = true;
    this.#changesSince = 0;
    this.#bytesSince = 0;
    const model = this.model.encodePrivate();
    return {
      seq: this.head,
      plain: this.model.encodeSnapshot(),
      private: encodePrivateState({ replicas: this.#replicas, latestMs: this.#latestMs, model }),
    };
  }

  get hasNews(): boolean {
    return this.#changesSince > 0 || this.#snapshotUnderWay;
  }

  snapshotSaved(snapshot: CachedSnapshot): void {
    this.#snapshotUnderWay = false;
    // An answer to the actor before this one: ours is as new, and the log before it is not held.
    if (this.#snapshot && snapshot.seq <= this.#snapshot.seq) return;
    // A client just behind the new snapshot still gets changes: keep the log back to the one before.
    if (this.#snapshot) this.recent.trim(this.#snapshot.seq);
    this.#snapshot = snapshot;
  }

  /** The log holds everything: the next snapshot covers more, nothing else is lost. */
  snapshotFailed(): void {
    this.#snapshotUnderWay = false;
  }

  /** What a client at `since` needs (null: it has nothing): perhaps the snapshot, then the changes after it. */
  catchUp(since: Seq | null): { snapshot: CachedSnapshot | null; after: Seq; entries: LogEntry[] } {
    const position = since ?? (0 as Seq);
    if (this.recent.covers(position) && (since !== null || this.#snapshot === null)) {
      return { snapshot: null, after: position, entries: this.recent.since(position) };
    }
    const snapshot = this.#snapshot;
    const after = snapshot?.seq ?? (0 as Seq);
    return { snapshot, after, entries: this.recent.since(after) };
  }
}
