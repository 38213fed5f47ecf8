/**
 * My changes that the confirmed state does not hold yet, in order of n. The first `inFlight` of them are with the server
 * (sent on this subscription), the rest wait. A change leaves when the log has it, or when it is refused for good.
 *
 *     confirmed │ n n+1 n+2 │ n+3 n+4 …            (then: the open change, kept by the replica)
 *               └─ in flight ┴─ waiting
 *
 * Once a change has been sent, its content is settled: the server may hold it, whatever the socket did since. So only
 * changes that were never sent are merged, and only refused ones are rewritten.
 */
import { sameBytes } from '../base/bytes.ts';
import type { Op } from '../document/ops.ts';
import type { Stamp } from '../document/hlc.ts';
import { type Seq } from '../protocol/ids.ts';
import type { WireChange, WireStamp } from '../protocol/messages.ts';
import { MsgpackWriter } from '../protocol/msgpack-writer.ts';
import { sameStamp } from './volatile-layer.ts';

export interface PendingChange {
  n: number;
  stamp: Stamp;
  ops: Op[];
  /** The bytes of each op; joined when the change is first sent. */
  parts: Uint8Array[];
  bytes: number;
  textOnly: boolean;
  /** The number under which it was sent last; 0: not yet, or it is certain that the log does not have it under that. */
  sentN: number;
  body: Uint8Array | null;
  /** Where the log holds it; 0 while that is not known. */
  seq: Seq;
  /** It has been sent under another stamp, too. */
  restamped: boolean;
}

/** Text typed while others are in flight is merged up to here; well below any limit of messages. */
const MERGED_BYTES_MAX = 64 << 10;
const MERGED_OPS_MAX = 200;

export class Outbox {
  #changes: PendingChange[] = [];
  #inFlight = 0;
  #bytes = 0;
  #lastN = 0;
  /** The highest number of mine that the log is known to hold. */
  #loggedN = 0;
  #displaced = false;

  get changes(): readonly PendingChange[] {
    return this.#changes;
  }

  get length(): number {
    return this.#changes.length;
  }

  get inFlight(): number {
    return this.#inFlight;
  }

  /** How many of those in flight have a number above `n`. */
  inFlightAfter(n: number): number {
    const first = this.#changes[0];
    return first ? Math.max(0, this.#inFlight - Math.max(0, n - first.n + 1)) : 0;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Numbers the change and appends it; or merges it into the last one, if both are text that was never sent. */
  add(change: PendingChange): PendingChange {
    const last = this.#changes.at(-1);
    this.#bytes += change.bytes;
    if (last && last.textOnly && change.textOnly && last.body === null && this.#fits(last, change)) {
      for (let i = 0; i < change.ops.length; i++) {
        last.ops.push(change.ops[i]!);
        last.parts.push(change.parts[i]!);
      }
      last.bytes += change.bytes;
      return last;
    }
    change.n = ++this.#lastN;
    this.#changes.push(change);
    return change;
  }

  #fits(last: PendingChange, change: PendingChange): boolean {
    return (
      last.bytes + change.bytes <= MERGED_BYTES_MAX && last.ops.length + change.ops.length <= MERGED_OPS_MAX
    );
  }

  /** The next change to send. */
  get next(): PendingChange | undefined {
    return this.#changes[this.#inFlight];
  }

  /** The next change to send, now counted as in flight; `undefined` if all are. */
  takeNext(): PendingChange | undefined {
    const change = this.next;
    if (!change) return undefined;
    this.#inFlight++;
    change.sentN = change.n;
    change.body ??= joinOps(change.parts);
    return change;
  }

  /** The pending change of this number. */
  get(n: number): PendingChange | undefined {
    const first = this.#changes[0];
    return first && this.#changes[n - first.n];
  }

  /** Whether the change of this number is with the server. */
  isInFlight(n: number): boolean {
    const first = this.#changes[0];
    return first !== undefined && n >= first.n && n < first.n + this.#inFlight;
  }

  /** From `n` on nothing is with the server any more: all of it will be sent again. */
  recallFrom(n: number): void {
    const first = this.#changes[0];
    if (first) this.#inFlight = Math.max(0, Math.min(this.#inFlight, n - first.n));
  }

  /** The log has all up to `n`: takes them off and returns them. */
  confirmTo(n: number): PendingChange[] {
    this.#loggedN = Math.max(this.#loggedN, n);
    let count = 0;
    while (count < this.#changes.length && this.#changes[count]!.n <= n) count++;
    if (count === 0) return [];
    const confirmed = count === 1 ? [this.#changes.shift()!] : this.#changes.splice(0, count);
    for (const change of confirmed) this.#bytes -= change.bytes;
    this.#inFlight = Math.max(0, this.#inFlight - count);
    return confirmed;
  }

  /**
   * The log has a change of mine under this number: takes off what that confirms. If it is not the one that is pending
   * under it (a node took one in that another refused), mine from there on get the numbers behind it, and are sent again:
   * all but the one that it is, if that went out under another number, or before a refusal took something out of it. Then
   * its body is null: what the log has counts.
   */
  confirmEntry({ n, hlc, ops }: Pick<WireChange, 'n' | 'hlc' | 'ops'>): PendingChange[] {
    const pending = this.get(n);
    if (!pending || sameBytes(pending.body, ops)) return this.confirmTo(n);
    const confirmed = this.confirmTo(n - 1);
    const index = this.#changes.findIndex((one) => sameStamp(one.stamp, hlc));
    const stored = index < 0 ? undefined : this.#changes.splice(index, 1)[0]!;
    if (stored) {
      this.#bytes -= stored.bytes;
      if (!sameBytes(stored.body, ops)) stored.body = null;
      stored.n = n;
      confirmed.push(stored);
    }
    this.#loggedN = n;
    this.#inFlight = 0;
    this.renumber(0, n + 1);
    this.#displaced = true;
    return confirmed;
  }

  /** Whether numbers that the server has seen here went to other changes since the last call: it refuses what follows them. */
  takeDisplaced(): boolean {
    const displaced = this.#displaced;
    this.#displaced = false;
    return displaced;
  }

  /** Takes a refused change out, and numbers those after it anew. Nothing from it on may be in flight. */
  remove(n: number): PendingChange | undefined {
    const index = this.#changes.findIndex((change) => change.n === n);
    if (index < 0) return undefined;
    const [removed] = this.#changes.splice(index, 1);
    this.#bytes -= removed!.bytes;
    this.renumber(index, n);
    return removed;
  }

  /** Takes off all changes from `n` on, and returns them. */
  dropFrom(n: number): PendingChange[] {
    const index = this.#changes.findIndex((change) => change.n >= n);
    const dropped = index < 0 ? [] : this.#changes.splice(index);
    for (const change of dropped) this.#bytes -= change.bytes;
    if (dropped.length > 0) this.#lastN = n - 1;
    this.#inFlight = Math.min(this.#inFlight, this.#changes.length);
    return dropped;
  }

  /** Gives the changes from `index` on the numbers from `n`. */
  renumber(index: number, n: number): void {
    let next = n;
    for (let i = index; i < this.#changes.length; i++) this.#changes[i]!.n = next++;
    this.#lastN = next - 1;
  }

  /**
   * The log has mine up to the one with number `n` and this stamp: takes those off that are among them, and returns them. What
   * follows goes on after `n`. The stamp decides: a refusal gives what is behind it other numbers, while a node may store it
   * under those of before; but mine are stamped in their order, and none is stored before what was sent before it.
   */
  confirmLast(n: number, hlc: WireStamp | null): PendingChange[] {
    if (hlc === null || this.#loggedN > n || this.#changes.some(({ restamped }) => restamped))
      return this.confirmSent(n);
    const isBehind = ({ stamp }: PendingChange) => stamp.ms > hlc.ms || (stamp.ms === hlc.ms && stamp.counter > hlc.counter); // prettier-ignore
    const behind = this.#changes.findIndex(isBehind);
    const count = behind < 0 ? this.#changes.length : behind;
    this.#changes.forEach((change, i) => (change.n = n + 1 + i - count));
    this.#lastN = Math.max(n, this.#changes.at(-1)?.n ?? 0);
    return this.confirmTo(n);
  }

  /**
   * As `confirmLast`, where no stamp helps: takes those off that can be among mine up to `n`. One that was never sent under its
   * number cannot: what the log has there is another that was refused elsewhere. It and those behind it are to go on after `n`.
   */
  confirmSent(n: number): PendingChange[] {
    const stray = this.#changes.find((change) => change.n <= n && change.sentN !== change.n);
    if (!stray) return this.confirmTo(n);
    const confirmed = this.confirmTo(stray.n - 1);
    this.recallFrom(stray.n);
    this.continueAfter(n);
    return confirmed;
  }

  /** From `n` on what was sent is not in the log under these numbers: the server says that they are not next. */
  missedFrom(n: number): void {
    for (const change of this.#changes) if (change.n >= n) change.sentN = 0;
  }

  /** The replica's last n in the log when the server said so, or what has come since: numbers go on behind it. */
  continueAfter(lastN: number): void {
    const last = Math.max(lastN, this.#loggedN);
    this.#loggedN = last;
    if (this.#changes.length > 0) this.renumber(0, last + 1);
    else this.#lastN = last;
  }

  /** The log is another one: what the one before held says nothing of it. */
  forgetLog(): void {
    this.#loggedN = 0;
  }

  /** Replaces ops of a refused change; drops it, and closes the gap, if none are left. */
  rewrite(change: PendingChange, keep: readonly { op: Op; part: Uint8Array }[]): void {
    this.#bytes -= change.bytes;
    change.ops = keep.map(({ op }) => op);
    change.parts = keep.map(({ part }) => part);
    change.bytes = change.parts.reduce((sum, part) => sum + part.length, 0);
    [change.body, change.sentN] = [null, 0];
    this.#bytes += change.bytes;
    if (keep.length === 0) this.remove(change.n);
  }
}

/** Ready ops as the body of a change: the head of the array, then the ops as they are. */
function joinOps(parts: readonly Uint8Array[]): Uint8Array {
  const writer = new MsgpackWriter(parts.reduce((sum, part) => sum + part.length, 8));
  writer.array(parts.length);
  for (const part of parts) writer.raw(part);
  return writer.take();
}
