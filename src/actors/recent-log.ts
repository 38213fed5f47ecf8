/**
 * The newest part of a page's log, in memory: what joiners need after the cached snapshot, and what a client that was
 * away for a moment needs after its own position. Reaches back to the snapshot before the newest, so that a client just
 * behind a fresh snapshot still gets changes and not the page. Bounded, since snapshots are made by cost.
 */
import { assert } from '../base/assert.ts';
import type { PageId, Seq } from '../protocol/ids.ts';
import { seq } from '../protocol/ids.ts';
import { WIRE } from '../protocol/limits.ts';
import { encodeServerMessage } from '../protocol/encode.ts';
import type { WireChange } from '../protocol/messages.ts';
import type { LogEntry } from '../persistence/log-store.ts';

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

  get bytes(): number {
    return this.#bytes;
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

  /** Lets go of everything up to `position`. */
  trim(position: Seq): void {
    if (position <= this.#after) return;
    const gone = this.#entries.splice(0, position - this.#after);
    for (const entry of gone) this.#bytes -= entry.body.length;
    this.#after = position;
  }
}

const toWire = (entry: LogEntry): WireChange => ({
  replica: entry.replica,
  n: entry.n,
  hlc: { ms: entry.hlcMs, counter: entry.hlcCounter },
  author: entry.author,
  at: entry.at,
  ops: entry.body,
});

/** CHANGES frames for consecutive entries, each of about `WIRE.changesBytes` at most. */
export function changesFrames(page: PageId, entries: readonly LogEntry[]): Uint8Array[] {
  const frames: Uint8Array[] = [];
  for (let from = 0; from < entries.length;) {
    let bytes = 0;
    let to = from;
    while (to < entries.length && (to === from || bytes + entries[to]!.body.length <= WIRE.changesBytes)) {
      bytes += entries[to++]!.body.length + 64;
    }
    const changes = entries.slice(from, to).map(toWire);
    frames.push(encodeServerMessage({ kind: 'changes', page, firstSeq: entries[from]!.seq, changes }));
    from = to;
  }
  return frames;
}
