/**
 * What a client knows of a page: the confirmed state (the fold of a prefix of the log, and nothing else), and my own
 * changes that are pending, laid over it. Pure: no IO, no time of its own.
 *
 *     view  =  overlay of  [pending …] [open]     a BlockTable over a BlockTable; copies what it writes
 *              ────────────────────────────
 *              confirmed @ seq
 *
 * A frame of changes costs its own ops, and, if it holds structure of others, the pending ops (which are laid anew). What
 * merely confirms my own pending changes changes nothing in the view, so the overlay stays; when nothing is pending any
 * more it is thrown away. Nothing here depends on the size of the page, except taking in a snapshot.
 */
import type { Millis } from '../base/time.ts';
import { type Block, BlockTable, type Outcome } from '../document/blocks.ts';
import { HybridClock, type Stamp } from '../document/hlc.ts';
import { decodeOps, encodeOps, type Op, type OpDraft, type TextWrite } from '../document/ops.ts';
import { type BlockId, type PageId, type ReplicaId, type Seq, seq } from '../protocol/ids.ts';
import type { WireChange, WireStamp } from '../protocol/messages.ts';
import { OctavoError } from './errors.ts';
import { Outbox, type PendingChange } from './outbox.ts';

/** What a frame of changes did. */
export interface Heard {
  /** Blocks whose view may have changed. */
  readonly touched: Set<BlockId>;
  /** Texts of others, for documents that are open. */
  readonly texts: { readonly block: BlockId; readonly update: Uint8Array }[];
  /** The changes that were not mine, with the seq of each. */
  readonly foreign: { readonly seq: Seq; readonly change: WireChange; readonly ops: readonly Op[] }[];
  readonly confirmed: readonly PendingChange[];
  /** Blocks whose text of mine came to nothing: another's insert with the same id was first. */
  readonly voided: readonly BlockId[];
}

/** Text updates of one block are merged when so many have piled up: bounds what a long session holds. */
const TEXT_UPDATES_MAX = 512;

export class Replica {
  readonly page: PageId;
  readonly id: ReplicaId;
  readonly clock = new HybridClock();
  readonly outbox = new Outbox();
  readonly #now: () => Millis;
  #confirmed: BlockTable;
  #view: BlockTable;
  #seq: Seq = seq(0);
  #open: PendingChange | null = null;
  /** The highest stamp in the log, as far as it was heard: where the clock restarts after a refusal for skew. */
  #logStamp: WireStamp = { ms: 0, counter: 0 };
  /** Per block, my pending updates in order. */
  #pendingTexts = new Map<BlockId, Uint8Array[]>();

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

  /** The updates that a block's text adds up to: confirmed, then pending. */
  textUpdates(block: BlockId): readonly Uint8Array[] {
    const text = this.#confirmed.get(block)?.text;
    text?.merged();
    const [confirmed, pending] = [text?.updates ?? [], this.#pendingTexts.get(block)];
    return pending ? [...confirmed, ...pending] : confirmed;
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
      everSent: false,
      body: null,
      seq: seq(0),
    });
    open.ops.push(op);
    open.parts.push(part);
    open.bytes += part.length;
    if (op.op !== 'text') open.textOnly = false;
    this.#notePendingText(op);
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
    const heard = {
      touched: new Set<BlockId>(),
      texts: [] as Heard['texts'],
      foreign: [] as Heard['foreign'],
    };
    const confirmed: PendingChange[] = [];
    const voided: BlockId[] = [];
    let structural = false;
    changes.forEach((change, i) => {
      const mine = change.replica === this.id ? this.outbox.confirmTo(change.n) : [];
      const own = mine.at(-1);
      for (const done of mine) {
        done.seq = seq(first + i);
        confirmed.push(done);
      }
      const echoed = own?.n === change.n && sameBytes(own.body, change.ops);
      const ops = echoed ? own.ops : readOps(change.ops);
      const stamp = { ...change.hlc, replica: change.replica };
      this.#observe(change.hlc);
      for (const op of ops) {
        const outcome = this.#applyConfirmed(op, stamp, echoed ? null : heard);
        if (echoed && outcome === 'exists' && 'block' in op) voided.push(op.block);
      }
      if (echoed) return;
      if (ops.some((op) => op.op !== 'text')) structural = true;
      heard.foreign.push({ seq: seq(first + i), change, ops });
    });
    this.#seq = seq(first + changes.length - 1);
    for (const change of confirmed) for (const op of change.ops) this.#forgetPendingText(op);
    if (structural) for (const id of this.rebuild()) heard.touched.add(id);
    else if (this.pendingCount === 0) this.#view = new BlockTable(this.page, this.#confirmed);
    return { ...heard, confirmed, voided };
  }

  #applyConfirmed(op: Op, stamp: Stamp, heard: Pick<Heard, 'touched' | 'texts'> | null): Outcome {
    if (op.op === 'unknown') return 'lost';
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
      for (const child of this.#confirmed.get(next)?.children ?? []) todo.push(child);
    }
  }

  /** Takes in a whole state. Which of my pending changes it holds is not known: `confirmTo` says it later. */
  load(table: BlockTable, at: Seq): void {
    this.#confirmed = table;
    this.#seq = at;
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
    this.load(new BlockTable(this.page), seq(0));
  }

  /** The log has my changes up to `n`, and confirmed state has reached them; where in the log they are is not known. */
  confirmTo(n: number): Pick<Heard, 'confirmed'> & { touched: BlockId[] } {
    const confirmed = this.outbox.confirmTo(n);
    return { confirmed, touched: confirmed.length > 0 ? this.rebuild() : [] };
  }

  /** Lays the pending changes anew. Returns the blocks that look different now. */
  rebuild(): BlockId[] {
    const before = this.#view;
    this.#view = new BlockTable(this.page, this.#confirmed);
    this.#pendingTexts = new Map();
    for (const change of this.#allPending()) {
      for (const op of change.ops) {
        const outcome = this.#view.apply(op, change.stamp);
        // Another's insert with the same id was first: what mine holds is not to be seen.
        if (outcome !== 'exists') this.#notePendingText(op);
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

  #notePendingText(op: Op): void {
    const update = pendingText(op);
    if (!update || !('block' in op)) return;
    const held = this.#pendingTexts.get(op.block);
    if (held) held.push(update.update);
    else this.#pendingTexts.set(op.block, [update.update]);
  }

  #forgetPendingText(op: Op): void {
    const text = pendingText(op);
    if (!text || !('block' in op)) return;
    const held = this.#pendingTexts.get(op.block);
    if (held?.[0] !== text.update) return;
    held.shift();
    if (held.length === 0) this.#pendingTexts.delete(op.block);
  }
}

function pendingText(op: Op): TextWrite | null {
  return op.op === 'text' ? op : op.op === 'insert' ? op.text : null;
}

function readOps(bytes: Uint8Array): readonly Op[] {
  const ops = decodeOps(bytes);
  // The log holds only what decodes; a later version's shape has no effect here.
  return 'malformed' in ops ? [] : ops;
}

function sameBytes(a: Uint8Array | null, b: Uint8Array): boolean {
  if (!a || a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

/** Whether two states of a block show the same. Values of pending writes are shared, so identity is enough. */
function sameLook(a: Block | undefined, b: Block | undefined): boolean {
  if (a === b) return true;
  if (!a || !b || a.type !== b.type || a.parent !== b.parent || a.key !== b.key || a.deleted !== b.deleted)
    return false;
  if (a.props.size !== b.props.size) return false;
  for (const [key, prop] of a.props) if (b.props.get(key)?.value !== prop.value) return false;
  return true;
}
