/**
 * The frames that tell a page of its changes, for its sockets and for other nodes alike. Pure. In seq order; a change
 * that the page has heard of before its commit is only named (COMMITTED), all others are told whole (CHANGES).
 */
import { encodeServerMessage } from '../protocol/encode.ts';
import type { PageId, Seq } from '../protocol/ids.ts';
import { WIRE } from '../protocol/limits.ts';
import type { LogEntry, StoredChange } from '../persistence/log-store.ts';
import { toName, toWire } from './wire-change.ts';

/** Names in one COMMITTED frame: 35 bytes each. */
const NAMES_MAX = 5000;

/**
 * The CHANGES frame that begins with change `from`, of about `WIRE.changesBytes` at most, and where the next begins. `first`
 * is its seq, or 0.
 */
export function frameFrom(page: PageId, changes: readonly StoredChange[], from: number, firstSeq: Seq): { frame: Uint8Array; next: number } {
  let bytes = 0;
  let next = from;
  while (next < changes.length && (next === from || bytes + changes[next]!.body.length <= WIRE.changesBytes)) {
    bytes += changes[next++]!.body.length + 64;
  }
  const part = changes.slice(from, next).map(toWire);
  return { frame: encodeServerMessage({ kind: 'changes', page, firstSeq, changes: part }), next };
} // prettier-ignore

/** The first CHANGES frame of these consecutive entries, and the seq of its last. */
export function changesFrame(page: PageId, entries: readonly LogEntry[]): { frame: Uint8Array; last: Seq } {
  const { frame, next } = frameFrom(page, entries, 0, entries[0]!.seq);
  return { frame, last: entries[next - 1]!.seq };
}

export function framesOf(page: PageId, changes: readonly StoredChange[], firstSeqOf: (index: number) => Seq): Uint8Array[] {
  const frames: Uint8Array[] = [];
  for (let from = 0; from < changes.length;) {
    const { frame, next } = frameFrom(page, changes, from, firstSeqOf(from));
    frames.push(frame);
    from = next;
  }
  return frames;
} // prettier-ignore

/** CHANGES frames for consecutive entries of the log. */
export const changesFrames = (page: PageId, entries: readonly LogEntry[]): Uint8Array[] =>
  framesOf(page, entries, (index) => entries[index]!.seq);

/** What the page is told of consecutive new entries of the log; `told` says which it has heard of before. */
export function committedFrames(page: PageId, entries: readonly LogEntry[], told: (index: number) => boolean): Uint8Array[] {
  const frames: Uint8Array[] = [];
  for (let from = 0; from < entries.length;) {
    const named = told(from);
    let to = from + 1;
    while (to < entries.length && told(to) === named && (!named || to - from < NAMES_MAX)) to++;
    const run = entries.slice(from, to);
    if (!named) frames.push(...changesFrames(page, run));
    else {
      const changes = run.map(toName);
      frames.push(encodeServerMessage({ kind: 'committed', page, firstSeq: run[0]!.seq, changes }));
    }
    from = to;
  }
  return frames;
} // prettier-ignore
