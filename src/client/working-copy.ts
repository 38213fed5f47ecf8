/**
 * A page as one client has it: replica, order of children, texts and history, kept in step. No network: what the
 * subscription hears goes in by `receive`, `load` and `refuse`; what the application edits waits in the outbox.
 *
 * A change is what was edited in one synchronous turn (or one `transact`): it is opened by the first edit and sealed in
 * a microtask. Edits are applied and visible at once.
 */
import type { BlockTable } from '../document/blocks.ts';
import type { Op, OpDraft } from '../document/ops.ts';
import type { BlockId, Seq } from '../protocol/ids.ts';
import type { WireChange, WireName, WireStamp } from '../protocol/messages.ts';
import { Children } from './children.ts';
import { type ClientCode, OctavoError } from './errors.ts';
import { History } from './history.ts';
import { adoptTexts, dropRefused } from './refusal.ts';
import { type Heard, Replica } from './replica.ts';
import { foreignSummaries, opSummaries } from './summaries.ts';
import { type LiveText, Texts } from './texts.ts';
import { voidTexts } from './void-texts.ts';
import type { WorkingCopyOptions } from './working-copy-options.ts';

const PENDING_MAX = 100_000;
const PENDING_BYTES_MAX = 256 << 20;
/** What a CHANGE frame has besides its ops, generously. */
const FRAME_BYTES = 128;

export class WorkingCopy {
  readonly replica: Replica;
  readonly children = new Children();
  readonly texts: Texts;
  readonly #history: History;
  readonly #options: WorkingCopyOptions;
  #touched = new Set<BlockId>();
  #sealing = false;
  #transactions = 0;
  /** Blocks whose live documents may hold text of others that was told before its commit, and is not known any more. */
  readonly #doubtful = new Set<BlockId>();
  /** The state of the former log, while the new one is still coming in. */
  #former: BlockTable | null = null;

  constructor(options: WorkingCopyOptions) {
    this.#options = options;
    this.replica = new Replica(options.page, options.replica, options.now);
    this.#history = new History(options.clock, options.replica);
    this.texts = new Texts(options.random, {
      updatesOf: (block) => this.replica.textUpdates(block),
      opened: (block, live) => this.#history.attach(block, live.text),
      edited: (block, update, live) => this.#textEdited(block, update, live),
    });
  }

  get canUndo(): boolean {
    return this.#history.canUndo;
  }

  get canRedo(): boolean {
    return this.#history.canRedo;
  }

  /** Makes a structural edit. Throws `OctavoError` and changes nothing if it cannot be made. */
  edit(draft: OpDraft): void {
    const { op, part } = this.#admit(draft);
    this.#history.note(op, this.replica.view);
    this.#take(op, part);
    if ('block' in op) this.children.update([op.block], this.replica.view);
  }

  #admit(draft: OpDraft): { op: Op; part: Uint8Array } {
    const locked = this.#options.locked();
    if (locked) throw new OctavoError(locked);
    const { outbox } = this.replica;
    if (outbox.length >= PENDING_MAX || outbox.bytes >= PENDING_BYTES_MAX) {
      throw new OctavoError('busy', 'too many edits wait to be sent');
    }
    const checked = this.replica.check(draft, this.#bytesMax());
    const { open } = this.replica;
    const limits = this.#options.limits();
    const full =
      open &&
      (open.ops.length >= limits.opsPerChangeMax || open.bytes + checked.part.length > this.#bytesMax());
    if (full) this.#seal();
    return checked;
  }

  #bytesMax(): number {
    return this.#options.limits().messageBytesMax - FRAME_BYTES;
  }

  #take(op: Op, part: Uint8Array): void {
    this.replica.edit(op, part);
    if ('block' in op) this.#touched.add(op.block);
    if (this.#sealing || this.#transactions > 0) return;
    this.#sealing = true;
    queueMicrotask(() => {
      this.#sealing = false;
      this.seal();
    });
  }

  #textEdited(block: BlockId, update: Uint8Array, live: LiveText): void {
    const draft: OpDraft = { op: 'text', block, update };
    try {
      if (live.stale) throw new OctavoError('stale_text');
      const { op, part } = this.#admit(draft);
      this.#take(op, part);
    } catch (error) {
      // Expected: the edit is in the Y.Doc already and cannot be thrown back, so the document is replaced.
      if (!(error instanceof OctavoError)) throw error;
      if (!live.stale) this.#resetText(block);
      this.#options.rejected({
        code: error.code,
        message: error.message,
        ops: [draft],
        texts: new Set([block]),
      });
    }
  }

  #resetText(block: BlockId): void {
    this.texts.renewClient();
    this.texts.reset(block);
    this.#history.forgetText(block);
  }

  /** Runs several edits as one change (more than one only where the limits ask for it), undone as one. */
  transact<T>(edits: () => T): T {
    if (this.#transactions === 0) this.seal();
    this.#transactions++;
    try {
      return edits();
    } finally {
      if (--this.#transactions === 0) this.seal();
    }
  }

  undo(): boolean {
    return this.#step('undo');
  }

  redo(): boolean {
    return this.#step('redo');
  }

  #step(direction: 'undo' | 'redo'): boolean {
    return this.transact(() => this.#history.step(direction, () => this.replica.view, (draft) => this.edit(draft))); // prettier-ignore
  }

  /** Ends the open change, if there is one. */
  seal(): void {
    if (this.#transactions > 0) return;
    this.#seal();
    this.#history.endChange();
  }

  #seal(): void {
    const { open, id } = this.replica;
    if (!open) return;
    const ops = this.#options.heeded() ? opSummaries(open.ops) : [];
    const { n } = this.replica.seal()!;
    const touched = this.#touched;
    this.#touched = new Set();
    this.#options.sealed();
    this.#options.changed({
      local: true,
      changes: [{ seq: null, replica: id, author: null, n, at: null, ops }],
      blocks: touched,
    });
  }

  /** Changes that continue the log where this copy is. Returns what it confirmed of mine. */
  receive(first: Seq, changes: readonly WireChange[]): Heard['confirmed'] {
    const { touched, texts, foreign, confirmed, voided } = this.replica.applyChanges(first, changes);
    this.children.update(touched, this.replica.view);
    for (const { block, update } of texts) this.texts.remote(block, update);
    for (const { block } of voided) this.#resetText(block);
    this.#lost(
      'missing',
      'the text that they continued is not there',
      voided.flatMap(({ lost }) => lost ?? []),
    );
    for (const op of foreign.flatMap(({ ops }) => ops)) {
      if (op.op !== 'insert') continue;
      // Someone else's block under an id that I had chosen too: my text for it is void.
      if (this.texts.isOpen(op.block)) this.#resetText(op.block);
      else this.texts.forgetRuns(op.block);
    }
    if (foreign.length > 0 && this.#options.heeded()) {
      this.#options.changed({ local: false, changes: foreignSummaries(foreign), blocks: touched });
    }
    this.#handBackVoid(confirmed.filter(({ seq }) => seq === 0));
    this.#options.settled();
    return confirmed;
  }

  /** Others' changes that were told before their commit, when the log reached to `head`. */
  hearVolatile(changes: readonly WireChange[], head: Seq): void {
    const { touched, texts, added } = this.replica.hearVolatile(changes, head);
    if (added.length === 0) return;
    this.children.update(touched, this.replica.view);
    for (const { block, update } of texts) {
      this.texts.remote(block, update);
      this.#doubtful.add(block);
    }
    for (const { ops } of added)
      for (const op of ops) if (op.op === 'insert') this.texts.forgetRuns(op.block);
    this.#options.changed({ local: false, changes: foreignSummaries(added), blocks: touched });
    this.#options.settled();
  }

  /** Some of them will not come to the log. */
  withdraw(names: readonly WireName[]): void {
    this.#forget(names, (block) => void (this.texts.refresh(block) || this.#resetText(block)));
  }

  /** None of them is known any more. Live texts keep what they hold of them until `settleDoubts`. */
  forgetVolatile(): void {
    this.#forget(undefined, (block) => this.#doubtful.add(block));
  }

  /** Replaces live texts that hold what is not held any more. True while volatile text is left in one. */
  settleDoubts(): boolean {
    for (const block of this.#doubtful) {
      if (!this.texts.refresh(block)) this.#resetText(block);
      if (!this.replica.hasVolatileText(block)) this.#doubtful.delete(block);
    }
    return this.#doubtful.size > 0;
  }

  #forget(names: readonly WireName[] | undefined, lookAt: (block: BlockId) => void): void {
    const { touched, texts } = this.replica.withdraw(names);
    texts.forEach(lookAt);
    this.#show([...touched, ...texts]);
    this.#options.settled();
  }

  /** A snapshot takes the place of the confirmed state. */
  load(table: BlockTable, at: Seq): void {
    const blocks = new Set<BlockId>();
    for (const old of [this.replica.confirmed, table]) for (const { id } of old.all()) blocks.add(id);
    this.replica.load(table, at);
    this.#refresh(blocks);
  }

  #refresh(blocks: Set<BlockId>): void {
    const { confirmed, view } = this.replica;
    this.children.reset(confirmed);
    const pending = [...view.all()].map(({ id }) => id);
    this.children.update(pending, view);
    if (!this.#former) for (const block of this.texts.refreshAll()) this.#resetText(block);
    for (const id of pending) blocks.add(id);
    this.#options.changed({ local: false, changes: [], blocks });
  }

  /** The server's log is another one than ours: confirmed state starts anew, pending changes stay. */
  startOver(): void {
    this.seal();
    this.#former ??= this.replica.confirmed;
    for (const block of this.texts.resetAll()) this.#history.forgetText(block);
    this.texts.renewClient();
    const blocks = new Set([...this.replica.confirmed.all()].map(({ id }) => id));
    this.replica.startOver();
    this.#refresh(blocks);
  }

  /** Confirmed state holds my changes up to `n`: they are pending no more. */
  confirmTo(n: number, hlc: WireStamp | null): Heard['confirmed'] {
    const { confirmed, touched } = this.replica.confirmTo(n, hlc);
    this.#show(touched);
    this.#handBackVoid(confirmed);
    return confirmed;
  }

  #handBackVoid(confirmed: Heard['confirmed']): void {
    const lost = voidTexts(this.replica.confirmed, confirmed);
    for (const { block } of lost) this.#resetText(block);
    this.#lost('missing', 'the text that they continued is not there', lost);
  }

  /** The view changed in these blocks, by no change in particular. */
  #show(touched: Iterable<BlockId>): void {
    const blocks = new Set(touched);
    if (blocks.size === 0) return;
    this.children.update(blocks, this.replica.view);
    this.#options.changed({ local: false, changes: [], blocks });
  }

  /** Confirmed state has reached the head. `last`: my last change that the log held at the head; null: nobody said. */
  caughtUp(last: { readonly n: number; readonly hlc: WireStamp | null } | null): Heard['confirmed'] {
    const confirmed = last ? this.confirmTo(last.n, last.hlc) : [];
    if (last) this.replica.outbox.continueAfter(last.n);
    if (this.#former) {
      const lost = adoptTexts(this.replica, this.#former, this.texts.client, this.#bytesMax());
      for (const block of this.texts.resetAll()) this.#history.forgetText(block);
      this.#former = null;
      this.#lost('missing', 'the log is another one and lacks what this text continued', lost);
    }
    return confirmed;
  }

  /** Hands edits back that can be kept no more. */
  #lost(code: ClientCode, message: string, ops: readonly Op[]): void {
    if (ops.length > 0) this.#options.rejected({ code, message, ops, texts: new Set() });
  }

  /** The server refused the stamps from change `n` on. */
  restampFrom(n: number): void {
    this.#seal();
    this.#show(this.replica.restampFrom(n));
  }

  /** The server refuses everything from change `n` on: all of it is handed back at once. */
  refuseFrom(n: number, code: ClientCode, message: string): void {
    this.#seal();
    const ops = this.replica.outbox.dropFrom(n).flatMap((change) => change.ops);
    const texts = new Set<BlockId>();
    for (const op of ops) if (op.op === 'text' || op.op === 'insert') texts.add(op.block);
    const touched = new Set([...texts, ...this.replica.rebuild()]);
    for (const block of texts) this.#resetText(block);
    this.#show(touched);
    this.#options.rejected({ code, message, ops, texts });
  }

  /** The page is refused: whatever is still pending is handed back. */
  refuseAll(code: ClientCode, message: string): void {
    this.#seal();
    const first = this.replica.outbox.changes[0];
    if (first) this.refuseFrom(first.n, code, message);
  }

  /** The server refused change `n` for good. Returns false if it was not pending. */
  refuse(n: number, code: ClientCode, message: string): boolean {
    this.#seal();
    let client: number | null = null;
    const fresh = () => {
      if (client === null) this.texts.renewClient();
      return (client = this.texts.client);
    };
    const dropped = dropRefused(this.replica, n, fresh, this.#bytesMax());
    if (!dropped) return false;
    for (const block of dropped.texts) {
      fresh();
      this.texts.reset(block);
      this.#history.forgetText(block);
    }
    this.#show(dropped.touched);
    this.#options.rejected({ code, message, ops: dropped.ops, texts: dropped.texts });
    this.#lost('gone', 'they stood on a change that was refused', dropped.lost);
    return true;
  }
}
