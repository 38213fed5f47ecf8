/**
 * What a client knows of a page: the confirmed state (the fold of a prefix of the log, and nothing else); over it what
 * others were told before their commit (see `volatile-layer.ts`), and my own changes that are pending. Pure: no IO, no
 * time of its own.
 *
 *     view  =  overlay of  [volatile …] [pending …] [open]     a BlockTable over a BlockTable; copies what it writes
 *              ─────────────────────────────────────────
 *              confirmed @ seq
 *
 * A frame of changes costs its own ops, and, if it holds structure of others, the pending ops (which are laid anew). What
 * merely confirms my own pending changes changes nothing in the view, so the overlay stays; when nothing is pending any
 * more it is thrown away. Nothing here depends on the size of the page, except taking in a snapshot.
 */
import type { Millis } from '../base/time.ts';
import { BlockTable, type Outcome } from '../document/blocks.ts';
import { HybridClock, type Stamp } from '../document/hlc.ts';
import { decodeOps, encodeOps, type Op, type OpDraft } from '../document/ops.ts';
import { type BlockId, type PageId, type ReplicaId, type Seq, seq, type UserId } from '../protocol/ids.ts';
import type { WireChange, WireName, WireStamp } from '../protocol/messages.ts';
import { OctavoError } from './errors.ts';
import { Outbox, type PendingChange } from './outbox.ts';
import { PendingTexts } from './pending-texts.ts';
import { sameLook } from './same.ts';
import { sameStamp, textBlocks, type VolatileChange, VolatileLayer } from './volatile-layer.ts';

/** What a frame of changes did. */
export interface Heard {
  /** Blocks whose view may have changed. */
  readonly touched: Set<BlockId>;
  /** Texts of others, for documents that are open. */
  readonly texts: { readonly block: BlockId; readonly update: Uint8Array }[];
  /** The changes that were not mine, with the seq of each. */
  readonly foreign: { readonly seq: Seq; readonly change: WireChange; readonly ops: readonly Op[] }[];
  readonly confirmed: readonly PendingChange[];
  /** Text of mine that came to nothing: another's insert with the same id was first; or (lost) its ground is gone. */
  readonly voided: readonly { readonly block: BlockId; readonly lost: Op | null }[];
}

/** Text updates of one block are merged when so many have piled up: bounds what a long session holds. */
const TEXT_UPDATES_MAX = 512;

export class Replica {
  readonly page: PageId;
  readonly id: ReplicaId;
  readonly clock = new HybridClock();
  readonly outbox = new Outbox();
  readonly #volatile = new VolatileLayer();
  readonly #now: () => Millis;
  #confirmed: BlockTable;
  #view: BlockTable;
  #seq: Seq = seq(0);
  #open: PendingChange | null = null;
  /** The highest stamp in the log, as far as it was heard: where the clock restarts after a refusal for skew. */
  #logStamp: WireStamp = { ms: 0, counter: 0 };
  readonly #pendingTexts = new PendingTexts();

  /** `now` is the server's time, as well as it is known. */
  constructor(page: PageId, id: ReplicaId, now: () => Millis) {
    this.page = page;
    this.id = id;
    this.#now = now;
    this.#confirmed = new BlockTable(page);
    this.#view = new BlockTable(page, this.#confirmed);
  }

  get seq(): Seq {
    return this.#seq;
  }

  get confirmed(): BlockTable {
    return this.#confirmed;
  }

  get view(): BlockTable {
    return this.#view;
  }

  get open(): PendingChange | null {
    return this.#open;
  }

  get pendingCount(): number {
    return this.outbox.length + (this.#open ? 1 : 0);
  }

  /** The updates that a block's text adds up to: confirmed, volatile, pending. */
  textUpdates(block: BlockId): readonly Uint8Array[] {
    const text = this.#confirmed.get(block)?.text;
    text?.merged();
    const confirmed = text?.updates ?? [];
    const pending = this.#pendingTexts.of(block);
    if (this.#volatile.size > 0) return [...confirmed, ...this.#volatile.textUpdates(block), ...pending];
    return pending.length > 0 ? [...confirmed, ...pending] : confirmed;
  }

  /** Encodes an edit and reads it back: what the server would refuse as malformed throws here. */
  check(draft: OpDraft, bytesMax: number): { op: Op; part: Uint8Array } {
    const bytes = encodeOps([draft]);
    if (bytes.length > bytesMax)
      throw new OctavoError('too_large', `one op of ${bytes.length} bytes; at most ${bytesMax}`);
    const ops = decodeOps(bytes);
    if ('malformed' in ops) throw new OctavoError('malformed', ops.malformed);
    return { op: ops[0]!, part: bytes.subarray(1) };
  }

  /** Adds an edit to the open change, and shows it. */
  edit(op: Op, part: Uint8Array): Outcome {
    const open = (this.#open ??= {
      n: 0,
      stamp: { ...this.clock.tick(this.#now()), replica: this.id },
      ops: [],
      parts: [],
      bytes: 0,
      textOnly: true,
      sentN: 0,
      body: null,
      seq: seq(0),
      restamped: false,
    });
    open.ops.push(op);
    open.parts.push(part);
    open.bytes += part.length;
    if (op.op !== 'text') open.textOnly = false;
    this.#pendingTexts.note(op);
    return this.#view.apply(op, open.stamp);
  }

  /** Ends the open change: from here on it waits to be sent. `null` if there was none. */
  seal(): PendingChange | null {
    const open = this.#open;
    if (!open) return null;
    this.#open = null;
    return this.outbox.add(open);
  }

  /** Applies changes that continue the log here: `first` must be seq + 1. */
  applyChanges(first: Seq, changes: readonly WireChange[]): Heard {
    const heard = { touched: new Set<BlockId>(), texts: [] as Heard['texts'], foreign: [] as Heard['foreign'] }; // prettier-ignore
    const confirmed: PendingChange[] = [];
    const voided: Heard['voided'][number][] = [];
    // Over what is volatile my own may have been laid otherwise than the log has it.
    let structural = this.#volatile.size > 0;
    changes.forEach((change, i) => {
      const mine = change.replica === this.id ? this.outbox.confirmEntry(change) : [];
      const own = mine.at(-1);
      for (const done of mine) {
        // Those before it came with a snapshot: that they are in the log is known, and not where.
        if (done.n === change.n) done.seq = seq(first + i);
        confirmed.push(done);
      }
      const isMine = own?.n === change.n;
      const echoed = isMine && own.body !== null;
      const ops = echoed ? own.ops : readOps(change.ops);
      const stamp = { ...change.hlc, replica: change.replica };
      this.#observe(change.hlc);
      const shown = this.#volatile.remove(change);
      // Another change of this number was shown: it was refused, and we have missed that. Or an earlier form of mine counts.
      const instead =
        shown && !sameStamp(shown.change.hlc, change.hlc) ? shown : isMine && !echoed ? own : null;
      if (instead) structural = true;
      for (const block of textBlocks(instead ? [instead] : [])) voided.push({ block, lost: null });
      for (const op of ops) {
        const outcome = this.#applyConfirmed(op, stamp, echoed ? null : heard);
        // Shown before its commit, and without effect where the log has it: live texts hold what is nowhere.
        if (shown && outcome !== 'applied' && 'block' in op) voided.push({ block: op.block, lost: null });
        if (!isMine || !('block' in op)) continue;
        heard.touched.add(op.block);
        if (outcome === 'exists') voided.push({ block: op.block, lost: null });
        if (outcome === 'missing') voided.push({ block: op.block, lost: op });
      }
      if (isMine) return;
      if (ops.some((op) => op.op !== 'text')) structural = true;
      heard.foreign.push({ seq: seq(first + i), change, ops });
    });
    this.#seq = seq(first + changes.length - 1);
    for (const change of confirmed) for (const op of change.ops) this.#pendingTexts.forget(op);
    if (structural) for (const id of this.rebuild()) heard.touched.add(id);
    else if (this.pendingCount + this.#volatile.size === 0)
      this.#view = new BlockTable(this.page, this.#confirmed);
    return { ...heard, confirmed, voided };
  }

  #applyConfirmed(op: Op, stamp: Stamp, heard: Pick<Heard, 'touched' | 'texts'> | null): Outcome {
    if (op.op === 'unknown') return this.#confirmed.apply(op, stamp);
    if (op.op === 'purge') {
      for (const id of op.blocks) this.#touchSubtree(id, heard);
      return this.#confirmed.apply(op, stamp);
    }
    heard?.touched.add(op.block);
    const outcome = this.#confirmed.apply(op, stamp);
    if (op.op === 'text' && outcome === 'applied') {
      heard?.texts.push({ block: op.block, update: op.update });
      const text = this.#confirmed.get(op.block)!.text!;
      if (text.updates.length >= TEXT_UPDATES_MAX) text.merged();
    }
    return outcome;
  }

  #touchSubtree(id: BlockId, heard: Pick<Heard, 'touched'> | null): void {
    const todo = [id];
    for (let next = todo.pop(); next !== undefined; next = todo.pop()) {
      heard?.touched.add(next);
      for (const child of this.#confirmed.children(next)) todo.push(child);
    }
  }

  // ── told before their commit ───────────────────────────────────────────────────────────────────────────────────

  /** How many changes of others are shown here that the log does not have yet. */
  get volatileCount(): number {
    return this.#volatile.size;
  }

  /**
   * Shows changes of others that have no place in the log yet, which reached to `head` when they were told. They go over
   * my pending ones, not under them: registers do not mind, and what does is put right when they are confirmed.
   */
  hearVolatile(
    changes: readonly WireChange[],
    head: Seq,
  ): Pick<Heard, 'touched' | 'texts'> & { added: VolatileChange[] } {
    const touched = new Set<BlockId>();
    const texts: Heard['texts'][number][] = [];
    const added: VolatileChange[] = [];
    for (const change of changes) {
      if (change.replica === this.id) continue;
      const ops = readOps(change.ops);
      if (!this.#volatile.add({ change, ops, head })) continue;
      added.push({ change, ops, head });
      this.#observe(change.hlc);
      for (const op of ops) {
        if (!('block' in op)) continue;
        touched.add(op.block);
        this.#view.apply(op, { ...change.hlc, replica: change.replica });
        // Also where the text before it is not here yet: a live document keeps it until then.
        if (op.op === 'text') texts.push({ block: op.block, update: op.update });
      }
    }
    return { touched, texts, added };
  }

  hasVolatileText(block: BlockId): boolean {
    return this.#volatile.writesText(block);
  }

  /** The changes of these names, as far as all are known: told before, or my own that are with the server. */
  resolve(names: readonly WireName[]): WireChange[] {
    const changes: WireChange[] = [];
    for (const name of names) {
      const change = name.replica === this.id ? this.#ownChange(name) : this.#volatile.get(name)?.change;
      if (!change) break;
      changes.push(change);
    }
    return changes;
  }

  #ownChange({ n, hlc }: WireName): WireChange | undefined {
    const own = this.outbox.get(n);
    if (!own?.body || !sameStamp(own.stamp, hlc)) return undefined;
    const { ms, counter } = own.stamp;
    return { replica: this.id, n, hlc: { ms, counter }, author: '' as UserId, at: 0, ops: own.body };
  }

  /** They will not come to the log; without names: none of them is known any more. */
  withdraw(names?: readonly WireName[]): { touched: BlockId[]; texts: Set<BlockId> } {
    const gone = names
      ? names.flatMap((name) => (this.#volatile.get(name) && this.#volatile.remove(name)) ?? [])
      : this.#volatile.clear();
    return { touched: gone.length > 0 ? this.rebuild() : [], texts: textBlocks(gone) };
  }

  /** Takes in a whole state. Which of my pending changes it holds is not known: `confirmTo` says it later. */
  load(table: BlockTable, at: Seq): void {
    this.#confirmed = table;
    this.#seq = at;
    // Told when the log was shorter than this state: perhaps it is in it. If not, the log will name it, and be asked.
    this.#volatile.dropOlder(at);
    for (const block of table.all()) {
      this.#observe(block.placeStamp);
      this.#observe(block.typeStamp);
      this.#observe(block.deletedStamp);
      for (const prop of block.props.values()) this.#observe(prop.stamp);
    }
    this.rebuild();
  }

  /** Back to the empty page, when the log here is another one (a new epoch). Pending changes stay. */
  startOver(): void {
    this.outbox.forgetLog();
    this.load(new BlockTable(this.page), seq(0));
  }

  /** The log has mine up to `n`, stamped so (null: not known), and confirmed state has reached them; where they are is not known. */
  confirmTo(n: number, hlc: WireStamp | null): Pick<Heard, 'confirmed'> & { touched: BlockId[] } {
    const confirmed = this.outbox.confirmLast(n, hlc);
    return { confirmed, touched: confirmed.length > 0 ? this.rebuild() : [] };
  }

  /** Lays the pending changes anew. Returns the blocks that look different now. */
  rebuild(): BlockId[] {
    const before = this.#view;
    this.#view = new BlockTable(this.page, this.#confirmed);
    this.#pendingTexts.clear();
    for (const { change, ops } of this.#volatile.all()) {
      for (const op of ops) this.#view.apply(op, { ...change.hlc, replica: change.replica });
    }
    for (const change of this.#allPending()) {
      for (const op of change.ops) {
        const outcome = this.#view.apply(op, change.stamp);
        // Another's insert with the same id was first: what mine holds is not to be seen.
        if (outcome !== 'exists') this.#pendingTexts.note(op);
      }
    }
    const ids = new Set<BlockId>();
    for (const table of [before, this.#view]) for (const { id } of table.all()) ids.add(id);
    return [...ids].filter((id) => !sameLook(before.get(id), this.#view.get(id)));
  }

  *#allPending(): Iterable<PendingChange> {
    yield* this.outbox.changes;
    if (this.#open) yield this.#open;
  }

  /** After a refusal for clock skew: new stamps, in order, from `n` on, just above all that the log has shown. */
  restampFrom(n: number): BlockId[] {
    this.clock.resetTo(this.#logStamp);
    for (const change of this.#allPending()) {
      if (change.n >= n || change === this.#open) {
        change.restamped ||= change.body !== null;
        change.stamp = { ...this.clock.tick(this.#now()), replica: this.id };
      } else this.clock.observe(change.stamp);
    }
    return this.rebuild();
  }

  #observe(stamp: WireStamp): void {
    this.clock.observe(stamp);
    const high = this.#logStamp;
    if (stamp.ms > high.ms || (stamp.ms === high.ms && stamp.counter > high.counter)) this.#logStamp = stamp;
  }
}

const UNREADABLE: readonly Op[] = [{ op: 'unknown', number: 0 }];

function readOps(bytes: Uint8Array): readonly Op[] {
  const ops = decodeOps(bytes);
  // The log holds only what decodes; a later version's shape has no effect here, and leaves nothing to compare.
  return 'malformed' in ops ? UNREADABLE : ops;
}
