/**
 * A live page's confirmed state: the fold of a prefix of its log, and nothing else. Queued changes are not in it.
 * Whatever enters, enters here and in seq order: the model, the replicas' numbers, the recent log.
 */
import { sameBytes } from '../base/bytes.ts';
import type { Millis } from '../base/time.ts';
import type { DocumentModel, OpNotice } from '../document/model.ts';
import type { LogEntry } from '../persistence/log-store.ts';
import { isMalformed } from '../protocol/decode.ts';
import type { EpochId, ReplicaId, Seq } from '../protocol/ids.ts';
import { type Compression, threadedCompression } from './compression.ts';
import { HeldModel } from './held-model.ts';
import { PageDamagedError } from './page-damage.ts';
import { RecentLog } from './recent-log.ts';
import { encodePrivateState, type ReplicaRecord } from './replicas.ts';
import {
  changeCost,
  REST_TAIL_BYTES,
  restIsDue,
  snapshotIsDue,
  type SnapshotPolicy,
} from './snapshot-policy.ts';
import type { CachedSnapshot, LoadedPage, TakenSnapshot } from './world.ts';

/** The state of a page without anything in it. */
const STATE_BYTES = 1000;
/** What is known of one replica: two ids, a record, a place in a Map. */
const REPLICA_BYTES = 320;

export class PageState {
  readonly recent: RecentLog;
  /** Of the log that it is made from. */
  readonly epoch: EpochId;
  readonly #held: HeldModel;
  readonly #replicas: Map<ReplicaId, ReplicaRecord>;
  readonly #policy: SnapshotPolicy;
  readonly #unpack: Compression['unpackNow'];
  #latestMs: Millis;
  #snapshot: CachedSnapshot | null;
  #snapshotUnderWay = false;
  #changesSince = 0;
  #bytesSince = 0;
  #lastChangeAt: Millis;
  /** The model was asked for since the page was last looked at for rest. */
  #used = false;
  #usedAt: Millis;
  #hasLooked = false;

  /** Throws when a logged change cannot be decoded: such a page must not be served as if it were whole. */
  constructor(
    loaded: LoadedPage,
    now: Millis,
    policy: SnapshotPolicy,
    unpack: Compression['unpackNow'] = threadedCompression.unpackNow,
  ) {
    this.epoch = loaded.epoch;
    this.#unpack = unpack;
    this.#policy = policy;
    this.#held = new HeldModel(loaded.model);
    this.#replicas = loaded.private.replicas;
    this.#latestMs = loaded.private.latestMs;
    this.#snapshot = loaded.snapshot;
    this.#lastChangeAt = now;
    this.#usedAt = now;
    this.recent = new RecentLog(loaded.snapshot?.seq ?? (0 as Seq));
    for (const entry of loaded.tail) this.applyEntry(entry, now);
  }

  /** Whether the log is known to have another change under this number. */
  holdsOther(replica: ReplicaId, n: number, body: Uint8Array): boolean {
    const known = this.recent.find(replica, n);
    return known !== undefined && !sameBytes(known.body, body);
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

  /** The document; decoded now if the page was at rest. */
  get model(): DocumentModel {
    this.#used = true;
    return this.#held.awake ?? this.#held.wake({ snapshot: this.#snapshot, tail: this.#tail }, this.#unpack);
  }

  get isAtRest(): boolean {
    return this.#held.isAsleep;
  }

  /** As `DocumentModel.stateHash`, of a page at rest too. */
  stateHash(): Uint8Array | null {
    return this.#held.stateHash();
  }

  /** As `DocumentModel.dueHousekeeping`, once. A page that was loaded asleep is decoded for that: so a bad snapshot is found. */
  dueHousekeeping(now: Millis): Uint8Array | undefined {
    if (this.#hasLooked) return undefined;
    this.#hasLooked = true;
    return this.model.dueHousekeeping(now);
  }

  /** The log after the cached snapshot. */
  get #tail(): LogEntry[] {
    return this.recent.since(this.#snapshot?.seq ?? (0 as Seq));
  }

  /** About how much memory the page holds: the unit of the shard's budget. `bench memory` compares it with the heap's. */
  get bytes(): number {
    const packed = this.#snapshot?.body.length ?? 0;
    return STATE_BYTES + this.#held.bytes + packed + this.recent.bytes + this.#replicas.size * REPLICA_BYTES;
  }

  replica(id: ReplicaId): ReplicaRecord | undefined {
    return this.#replicas.get(id);
  }

  /** Applies a logged change whose ops are decoded already. */
  apply(entry: LogEntry, decoded: unknown, now: Millis): readonly OpNotice[] {
    this.recent.push(entry);
    const { replica, n, author, hlcMs, hlcCounter } = entry;
    const record = this.#replicas.get(replica);
    const lastHlc = { ms: hlcMs, counter: hlcCounter };
    if (!record) this.#replicas.set(replica, { owner: author, lastN: n, lastSeq: entry.seq, lastHlc });
    else {
      record.lastN = n;
      record.lastSeq = entry.seq;
      record.lastHlc = lastHlc;
    }
    if (hlcMs > this.#latestMs) this.#latestMs = hlcMs;
    this.#changesSince++;
    this.#bytesSince += changeCost(entry.body.length);
    this.#lastChangeAt = now;
    return this.model.apply(decoded, { ms: hlcMs, counter: hlcCounter, replica }, author);
  }

  /** Applies a change as the log has it. */
  applyEntry(entry: LogEntry, now: Millis): readonly OpNotice[] {
    const decoded = this.model.decode(entry.body);
    if (isMalformed(decoded))
      throw new PageDamagedError(
        entry.seq,
        `the log’s change ${entry.seq} cannot be read: ${decoded.malformed}`,
      );
    return this.apply(entry, decoded, now);
  }

  /** The encoded state, when it is time for a snapshot (or `force`, and there is anything new). */
  takeSnapshot(now: Millis, force: boolean): TakenSnapshot | undefined {
    if (this.#snapshotUnderWay || !this.#hasUnsaved) return undefined;
    const since = {
      changes: this.#changesSince,
      bytes: this.#bytesSince,
      snapshotBytes: this.#snapshot?.plainBytes ?? 0,
      idleMs: now - this.#lastChangeAt,
    };
    if (!force && !snapshotIsDue(since, this.#policy)) return undefined;
    this.#snapshotUnderWay = true;
    this.#changesSince = 0;
    this.#bytesSince = 0;
    const model = this.model.encodePrivate();
    return {
      epoch: this.epoch,
      seq: this.head,
      modelVersion: this.model.version,
      plain: this.model.encodeSnapshot(),
      private: encodePrivateState({ replicas: this.#replicas, latestMs: this.#latestMs, model }),
    };
  }

  get hasNews(): boolean {
    return this.#hasUnsaved || this.#snapshotUnderWay;
  }

  /** Past an op that this version does not know nothing is to be saved: the snapshot would lack what it did. */
  get #hasUnsaved(): boolean {
    return this.#changesSince > 0 && this.stateHash() !== null;
  }

  /**
   * Gives up the decoded document if nobody has used it for a while (`urgent`: or just now), and the part of the log that
   * only those need who have been away. Nothing may be queued. False: a snapshot has to be made first.
   */
  rest(now: Millis, urgent: boolean): boolean {
    if (this.#used) {
      this.#used = false;
      this.#usedAt = now;
    }
    const plainBytes = this.#snapshot?.plainBytes ?? 0;
    if (this.isAtRest || !(urgent || restIsDue(now - this.#usedAt, plainBytes))) return true;
    if (this.#snapshotUnderWay) return true;
    if (this.#bytesSince > REST_TAIL_BYTES) return false;
    this.#held.sleep();
    if (this.#snapshot) this.recent.trimTo(REST_TAIL_BYTES, this.#snapshot.seq);
    return true;
  }

  snapshotSaved(snapshot: CachedSnapshot): void {
    this.#snapshotUnderWay = false;
    // An older one than ours: the log before ours is not held.
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
