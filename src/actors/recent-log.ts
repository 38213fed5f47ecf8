/**
 * The newest part of a page's log, in memory: what joiners need after the cached snapshot, and what a client that was
 * away for a moment needs after its own position. Reaches back to the snapshot before the newest, so that a client just
 * behind a fresh snapshot still gets changes and not the page. Bounded, since snapshots are made by cost.
 */
import { assert } from '../base/assert.ts';
import { type ReplicaId, seq, type Seq } from '../protocol/ids.ts';
import type { LogEntry } from '../persistence/log-store.ts';

/** One entry apart from its body: the object, its numbers and ids, a view and its buffer. */
const ENTRY_BYTES = 450;

export class RecentLog {
  /** Entries with seq first, first + 1, …; `#entries[0]` has seq `#after + 1`. */
  #entries: LogEntry[] = [];
  #after: Seq;
  #bytes = 0;

  constructor(after: Seq) {
    this.#after = after;
  }

  get head(): Seq {
    return seq(this.#after + this.#entries.length);
  }

  /** About how much memory it takes. */
  get bytes(): number {
    return this.#bytes + this.#entries.length * ENTRY_BYTES;
  }

  /** The newest change held. */
  get newest(): LogEntry | undefined {
    return this.#entries.at(-1);
  }

  /** The change of this name, if it is held. */
  find(replica: ReplicaId, n: number): LogEntry | undefined {
    return this.#entries.findLast((entry) => entry.n === n && entry.replica === replica);
  }

  push(entry: LogEntry): void {
    assert(entry.seq === this.head + 1, `seq ${entry.seq} after ${this.head}`);
    this.#entries.push(entry);
    this.#bytes += entry.body.length;
  }

  /** Whether all changes after `position` are here. */
  covers(position: Seq): boolean {
    return position >= this.#after && position <= this.head;
  }

  /** The changes after `position`, which must be covered. */
  since(position: Seq): LogEntry[] {
    assert(this.covers(position), `position ${position} is not held`);
    return this.#entries.slice(position - this.#after);
  }

  /** Lets go of the oldest, so that about `bytesMax` are left and all after `keep`. */
  trimTo(bytesMax: number, keep: Seq): void {
    let position = this.head;
    for (let bytes = 0; position > this.#after; position = seq(position - 1)) {
      bytes += this.#entries[position - this.#after - 1]!.body.length + ENTRY_BYTES;
      if (bytes > bytesMax) break;
    }
    this.trim(seq(Math.min(position, keep)));
  }

  /** Lets go of everything up to `position`. */
  trim(position: Seq): void {
    if (position <= this.#after) return;
    const gone = this.#entries.splice(0, position - this.#after);
    for (const entry of gone) this.#bytes -= entry.body.length;
    this.#after = position;
  }
}
