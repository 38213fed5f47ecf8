/**
 * Brings a working copy up to the log and keeps it there: puts snapshots together, applies changes in the order of their
 * seq, keeps what comes too early, and asks for what is missing.
 *
 * Changes may come between the parts of a snapshot and while it is unpacked (which is asynchronous): they are kept. A
 * gap without a snapshot on its way sends SYNC, once; the answer is changes from there on, or a snapshot.
 */
import { readSnapshot } from '../document/snapshot.ts';
import { type PageId, seq, type Seq } from '../protocol/ids.ts';
import type { ServerMessage, WireChange, WireName } from '../protocol/messages.ts';
import type { PendingChange } from './outbox.ts';
import { type PackedSnapshot, SnapshotParts, type Unpack } from './snapshot-parts.ts';
import type { WorkingCopy } from './working-copy.ts';

export interface CatchUpHooks {
  /** Ask for the changes after `since`. */
  sync(since: Seq): void;
  /** The copy has moved on; `confirmed` are changes of mine that it holds now. */
  advanced(confirmed: readonly PendingChange[]): void;
  /** A snapshot has replaced the confirmed state: what of mine it holds is not known. */
  jumped(): void;
  /** A snapshot arrived damaged. */
  damaged(error: unknown): void;
  /** A snapshot cannot be read here at all. */
  unreadable(error: unknown): void;
}

const KEPT_BYTES_MAX = 32 << 20;
/** About what a change that was only named takes while it is kept: it is held anyway. */
const NAMED_BYTES = 64;

export class CatchUp {
  readonly #page: PageId;
  readonly #copy: WorkingCopy;
  readonly #unpack: Unpack;
  readonly #hooks: CatchUpHooks;
  readonly #parts = new SnapshotParts();
  /** The snapshot that is being unpacked. */
  #unpacking: PackedSnapshot | null = null;
  #kept: { first: Seq; changes: readonly WireChange[]; bytes: number }[] = [];
  #keptBytes = 0;
  #syncing = false;
  /** The server brings us here by itself: a gap below it is no gap. */
  #promised: Seq = seq(0);
  /** The log is known to reach so far, by names of changes that are not known here. */
  #wanted: Seq = seq(0);

  constructor(page: PageId, copy: WorkingCopy, unpack: Unpack, hooks: CatchUpHooks) {
    this.#page = page;
    this.#copy = copy;
    this.#unpack = unpack;
    this.#hooks = hooks;
  }

  /** Whether an answer to SYNC is due. */
  get isSyncing(): boolean {
    return this.#syncing;
  }

  /** Whether a snapshot is on its way, or being unpacked. */
  get awaitsSnapshot(): boolean {
    return this.#unpacking !== null || this.#parts.pending;
  }

  clear(): void {
    this.#parts.clear();
    this.#unpacking = null;
    this.#dropKept();
    this.#syncing = false;
    this.#promised = seq(0);
    this.#wanted = seq(0);
  }

  /** What brings us to `head` is on its way, in order, though later changes may overtake it. */
  promised(head: Seq): void {
    this.#promised = head;
  }

  /** Changes that were told before their commit stand in the log from `firstSeq` on. What is not known here is asked for. */
  names(firstSeq: Seq, names: readonly WireName[]): void {
    const { replica } = this.#copy;
    const first = seq(Math.max(firstSeq, replica.seq + 1));
    const fresh = names.slice(first - firstSeq);
    const changes = replica.resolve(fresh);
    if (changes.length > 0) this.changes(first, changes, changes.length * NAMED_BYTES);
    if (changes.length === fresh.length) return;
    this.#wanted = seq(Math.max(this.#wanted, first + fresh.length - 1));
    this.#askForGap();
  }

  get #lacking(): boolean {
    return this.#kept.length > 0 || this.#copy.replica.seq < this.#wanted;
  }

  #dropKept(): void {
    this.#kept = [];
    this.#keptBytes = 0;
  }

  snapshotPart(message: ServerMessage & { kind: 'snapshot' }): void {
    const whole = this.#parts.add(message);
    // A part that did not fit has let all go: then what is kept waits for nothing.
    if (!whole) return this.#askForGap();
    if (whole.seq <= this.#copy.replica.seq) return this.#drainKept([]);
    this.#unpacking = whole;
    this.#unpack(whole).then(
      (bytes) => this.#unpacking === whole && this.#load(whole.seq, bytes),
      (error: unknown) => this.#unpacking === whole && this.#hooks.damaged(error),
    );
  }

  #load(at: Seq, bytes: Uint8Array): void {
    this.#unpacking = null;
    let table;
    try {
      // That it is what was written is found out by the next hash: an alarm, and not the end of the page.
      table = readSnapshot(this.#page, bytes).table;
    } catch (error) {
      // The outside world: a newer model, or a server gone wrong.
      return this.#hooks.unreadable(error);
    }
    if (at > this.#copy.replica.seq) {
      this.#copy.load(table, at);
      this.#hooks.jumped();
    }
    this.#drainKept([]);
  }

  /** A frame of changes; `bytes` is about its size, for the bound of what is kept. */
  changes(first: Seq, changes: readonly WireChange[], bytes: number): void {
    if (!this.awaitsSnapshot && first <= this.#copy.replica.seq + 1) {
      const confirmed = this.#apply(first, changes);
      if (this.#kept.length > 0) this.#drainKept(confirmed);
      else {
        this.#syncing &&= this.#lacking;
        this.#hooks.advanced(confirmed);
      }
      return;
    }
    // Past the bound all is let go: the gap that this leaves is found when the next frame comes.
    if (this.#keptBytes + bytes > KEPT_BYTES_MAX) this.#dropKept();
    this.#kept.push({ first, changes, bytes });
    this.#keptBytes += bytes;
    this.#askForGap();
  }

  #askForGap(): void {
    if (this.#lacking) this.ask();
  }

  /** Asks for what comes after our position, unless an answer is due. */
  ask(): void {
    if (this.#syncing || this.awaitsSnapshot || this.#copy.replica.seq < this.#promised) return;
    this.#syncing = true;
    this.#hooks.sync(this.#copy.replica.seq);
  }

  #apply(first: Seq, changes: readonly WireChange[]): readonly PendingChange[] {
    const known = Math.max(0, this.#copy.replica.seq - first + 1);
    if (known >= changes.length) return [];
    return this.#copy.receive(seq(first + known), known > 0 ? changes.slice(known) : changes);
  }

  #drainKept(before: readonly PendingChange[]): void {
    const confirmed = [...before];
    const kept = this.#kept.sort((a, b) => a.first - b.first);
    let done = 0;
    for (; done < kept.length && kept[done]!.first <= this.#copy.replica.seq + 1; done++) {
      this.#keptBytes -= kept[done]!.bytes;
      for (const change of this.#apply(kept[done]!.first, kept[done]!.changes)) confirmed.push(change);
    }
    kept.splice(0, done);
    this.#syncing &&= this.#lacking;
    this.#askForGap();
    this.#hooks.advanced(confirmed);
  }
}
