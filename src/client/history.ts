/**
 * Undo and redo: one history for structure and text, in the order of the edits. An entry is what one change did: for
 * structure the registers it wrote and what they held before, for text an item of that document's Y.UndoManager.
 *
 * Others' later writes are never undone: a register is set back only while its stamp is mine (Yjs does the same for
 * text). Undoing an insert deletes the block; redoing restores it. Typing in one block within 500 ms is one entry, as
 * long as nothing else is edited in between. A new edit empties redo.
 */
import * as Y from 'yjs';
import type { Clock, Millis } from '../base/time.ts';
import type { JsonValue } from '../base/json.ts';
import type { BlockTable } from '../document/blocks.ts';
import type { Op, OpDraft } from '../document/ops.ts';
import type { BlockId, ReplicaId } from '../protocol/ids.ts';
import { REMOTE } from './texts.ts';

type StackItem = Y.UndoManager['undoStack'][number];

type Part =
  | { kind: 'deleted'; block: BlockId; value: boolean }
  | { kind: 'place'; block: BlockId; parent: BlockId; key: string }
  | { kind: 'look'; block: BlockId; props: Map<string, JsonValue>; type: string | null }
  | { kind: 'text'; block: BlockId; manager: Y.UndoManager; item: StackItem };

interface Entry {
  readonly parts: Part[];
}

const ENTRIES_MAX = 500;
const CAPTURE_MS = 500;

/** All origins: editors bring their own. What others did is told apart by `captureTransaction`. */
class AllOrigins extends Set<unknown> {
  override has(): boolean {
    return true;
  }
}

export class History {
  readonly #clock: Clock;
  readonly #replica: ReplicaId;
  readonly #managers = new Map<BlockId, Y.UndoManager>();
  #undo: Entry[] = [];
  #redo: Entry[] = [];
  #mode: 'edit' | 'undo' | 'redo' = 'edit';
  /** The entry of the change that is open now. */
  #current: Entry | null = null;
  /** The one text whose next edit may join the last entry. */
  #capturing: { manager: Y.UndoManager; entry: Entry; at: Millis } | null = null;

  constructor(clock: Clock, replica: ReplicaId) {
    this.#clock = clock;
    this.#replica = replica;
  }

  get canUndo(): boolean {
    return this.#undo.length > 0;
  }

  get canRedo(): boolean {
    return this.#redo.length > 0;
  }

  /** Notes what an op is about to overwrite. Called before it is applied. */
  note(op: Op, view: BlockTable): void {
    if (op.op === 'text' || op.op === 'purge' || op.op === 'unknown') return;
    const block = view.get(op.block);
    if (op.op === 'insert' || op.op === 'delete' || op.op === 'restore') {
      this.#record({ kind: 'deleted', block: op.block, value: op.op !== 'delete' });
    } else if (op.op === 'move' && block?.parent) {
      this.#record({ kind: 'place', block: op.block, parent: block.parent, key: block.key });
    } else if (op.op === 'update' && block) {
      const props = new Map(op.props.map(({ key }) => [key, block.props.get(key)?.value ?? null]));
      this.#record({ kind: 'look', block: op.block, props, type: op.type === null ? null : block.type });
    }
  }

  /** Follows a live text. */
  attach(block: BlockId, text: Y.Text): void {
    // Own rules decide what is one entry, so Yjs's time is out of the game.
    const manager = new Y.UndoManager(text, {
      trackedOrigins: new AllOrigins(),
      captureTransaction: (transaction) => transaction.origin !== REMOTE,
      captureTimeout: Infinity,
    });
    this.#managers.set(block, manager);
    text.doc!.on('beforeTransaction', (transaction) => {
      const capturing = this.#capturing;
      if (transaction.origin === REMOTE || transaction.origin === manager) return;
      const goesOn = capturing?.manager === manager && this.#clock.monotonic() - capturing.at < CAPTURE_MS;
      if (!goesOn) manager.stopCapturing();
    });
    manager.on('stack-item-added', ({ stackItem }) => {
      this.#record({ kind: 'text', block, manager, item: stackItem });
    });
    manager.on('stack-item-updated', () => {
      if (this.#capturing?.manager === manager) this.#capturing.at = this.#clock.monotonic();
    });
  }

  #record(part: Part): void {
    if (this.#mode === 'edit' && this.#redo.length > 0) this.#clearRedo();
    this.#capturing = null;
    if (!this.#current) {
      this.#current = { parts: [] };
      const stack = this.#mode === 'undo' ? this.#redo : this.#undo;
      stack.push(this.#current);
      if (stack.length > ENTRIES_MAX) dropOldest(stack);
    }
    this.#current.parts.push(part);
  }

  #clearRedo(): void {
    this.#redo = [];
    for (const manager of this.#managers.values())
      if (manager.redoStack.length > 0) manager.clear(false, true);
  }

  /** The open change has ended. Typing goes on in the same entry, if that is all it holds. */
  endChange(): void {
    const entry = this.#current;
    if (!entry) return;
    this.#current = null;
    const only = entry.parts.length === 1 ? entry.parts[0]! : null;
    const typed = only?.kind === 'text' && this.#mode === 'edit' ? only : null;
    this.#capturing = typed && { manager: typed.manager, entry, at: this.#clock.monotonic() };
  }

  /** Takes back the newest entry that still has an effect. `edit` makes an edit; false if there was nothing to do. */
  step(direction: 'undo' | 'redo', view: () => BlockTable, edit: (draft: OpDraft) => void): boolean {
    this.endChange();
    this.#capturing = null;
    this.#mode = direction;
    try {
      const stack = direction === 'undo' ? this.#undo : this.#redo;
      for (let entry = stack.pop(); entry; entry = stack.pop()) {
        let effect = false;
        for (const part of entry.parts.reverse()) if (this.#takeBack(part, view(), edit)) effect = true;
        if (effect) return true;
      }
      return false;
    } finally {
      this.#current = null;
      this.#mode = 'edit';
    }
  }

  #takeBack(part: Part, view: BlockTable, edit: (draft: OpDraft) => void): boolean {
    if (part.kind === 'text') {
      const stack = this.#mode === 'undo' ? part.manager.undoStack : part.manager.redoStack;
      // An item that is gone had no effect left when Yjs last looked.
      if (stack.at(-1) !== part.item) return false;
      return (this.#mode === 'undo' ? part.manager.undo() : part.manager.redo()) !== null;
    }
    const block = view.get(part.block);
    if (!block) return false;
    const draft = inverse(part, block, this.#replica, view);
    if (draft) edit(draft);
    return draft !== null;
  }

  /** The block's document was replaced: its items mean nothing any more. */
  forgetText(block: BlockId): void {
    this.#managers.get(block)?.destroy();
    this.#managers.delete(block);
    this.#capturing = null;
    const keep = (entries: Entry[]) =>
      entries
        .map(({ parts }) => ({ parts: parts.filter((part) => part.kind !== 'text' || part.block !== block) }))
        .filter(({ parts }) => parts.length > 0);
    this.#undo = keep(this.#undo);
    this.#redo = keep(this.#redo);
    this.#current = null;
  }
}

/** The edit that sets a register back, as far as it is still mine; null if there is nothing to set. */
function inverse(
  part: Exclude<Part, { kind: 'text' }>,
  block: NonNullable<ReturnType<BlockTable['get']>>,
  replica: ReplicaId,
  view: BlockTable,
): OpDraft | null {
  if (part.kind === 'deleted') {
    if (block.deletedStamp.replica !== replica || block.deleted === part.value) return null;
    return { op: part.value ? 'delete' : 'restore', block: part.block };
  }
  if (part.kind === 'place') {
    if (block.placeStamp.replica !== replica || !view.get(part.parent)) return null;
    if (view.isWithin(part.parent, part.block)) return null;
    return { op: 'move', block: part.block, parent: part.parent, key: part.key };
  }
  const mine = [...part.props].filter(([key]) => block.props.get(key)?.stamp.replica === replica);
  const type = part.type !== null && block.typeStamp.replica === replica ? part.type : null;
  if (mine.length === 0 && type === null) return null;
  return { op: 'update', block: part.block, props: Object.fromEntries(mine), type };
}

function dropOldest(stack: Entry[]): void {
  for (const part of stack.shift()!.parts) {
    if (part.kind === 'text' && part.manager.undoStack[0] === part.item) part.manager.undoStack.shift();
  }
}
