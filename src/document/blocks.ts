/**
 * The `blocks` model: a page as a tree of blocks whose parts are last-writer-wins registers stamped by a hybrid logical
 * clock. A pure fold: `apply` in log order gives the same state on every copy, in the server and in the client alike.
 *
 * - Registers: each prop; the type; `deleted`; the place (parent and key together: a half of each would be a third place).
 * - What stamps cannot settle, the log order does: a move that would make a cycle at its place in the log has no effect
 *   and leaves no stamp; an op on a block that does not exist there has none either. Both are reported.
 * - Blocks are never detached: every parent exists. Deleted blocks stay as tombstones until the log purges them.
 *
 * A table over a `base` is a client's overlay: it shows pending changes over confirmed state, copies a block when it is
 * first written, and keeps no text (the client's Y.Docs hold that).
 */
import { assertNever } from '../base/assert.ts';
import type { JsonValue } from '../base/json.ts';
import type { BlockId, PageId } from '../protocol/ids.ts';
import type { NoticeCode } from '../protocol/codes.ts';
import { BlockText } from './block-text.ts';
import { type Stamp, wins, ZERO_STAMP } from './hlc.ts';
import type { Op, PropWrite } from './ops.ts';

export interface PropRegister {
  /** null: removed; the stamp stays. */
  readonly value: JsonValue;
  readonly stamp: Stamp;
  readonly bytes: number;
}

export interface Block {
  readonly id: BlockId;
  type: string;
  typeStamp: Stamp;
  /** null for the root only. */
  parent: BlockId | null;
  key: string;
  placeStamp: Stamp;
  deleted: boolean;
  deletedStamp: Stamp;
  readonly props: Map<string, PropRegister>;
  propsBytes: number;
  text: BlockText | null;
  /** Unordered, deleted ones included; null where there are none, and in overlays. */
  children: Set<BlockId> | null;
}

/** `lost`: a later stamp was there already. */
export type Outcome = 'applied' | 'lost' | NoticeCode;

export const ROOT_TYPE = 'page';
export const rootId = (page: PageId): BlockId => page as string as BlockId;

export function isNotice(outcome: Outcome): outcome is NoticeCode {
  return outcome !== 'applied' && outcome !== 'lost';
}

export class BlockTable {
  readonly root: BlockId;
  readonly #base: BlockTable | undefined;
  readonly #blocks = new Map<BlockId, Block>();
  /** What an overlay has put below each block, beyond what hangs there in the base. */
  readonly #overlayChildren = new Map<BlockId, Set<BlockId>>();

  constructor(page: PageId, base?: BlockTable) {
    this.root = rootId(page);
    this.#base = base;
    if (!base) this.add(emptyBlock(this.root, ROOT_TYPE, null, '', ZERO_STAMP));
  }

  /** Blocks held here, deleted ones and the root included (of an overlay: those it has copied). */
  get size(): number {
    return this.#blocks.size;
  }

  get(id: BlockId): Block | undefined {
    return this.#blocks.get(id) ?? this.#base?.get(id);
  }

  /** The blocks held here, in no particular order; of an overlay only those that pending changes wrote. */
  all(): IterableIterator<Block> {
    return this.#blocks.values();
  }

  /** Puts a whole block in, as a snapshot or an insert has it. Its parent may follow later: then call `linkAll`. */
  add(block: Block): void {
    this.#blocks.set(block.id, block);
  }

  /** Rebuilds the children of all blocks, after `add` in any order. */
  linkAll(): void {
    for (const block of this.#blocks.values()) if (block.parent !== null) this.#link(block.parent, block.id);
  }

  /** Applies one op of a change; the ops of a change are applied in their order, all with its stamp. */
  apply(op: Op, stamp: Stamp): Outcome {
    switch (op.op) {
      case 'insert':
        return this.#insert(op, stamp);
      case 'update':
        return this.#update(op, stamp);
      case 'delete':
      case 'restore':
        return this.#setDeleted(op.block, op.op === 'delete', stamp);
      case 'move':
        return this.#move(op, stamp);
      case 'text':
        return this.#appendText(op);
      case 'purge':
        return this.#purge(op.blocks);
      case 'unknown':
        return 'lost';
      default:
        return assertNever(op);
    }
  }

  /** The block to write to: in an overlay a copy, made at the first write. */
  #writable(id: BlockId): Block | undefined {
    const own = this.#blocks.get(id);
    if (own || !this.#base) return own;
    const below = this.#base.get(id);
    if (!below) return undefined;
    const copy: Block = { ...below, props: new Map(below.props), children: null };
    this.#blocks.set(id, copy);
    return copy;
  }

  #insert(op: Op & { op: 'insert' }, stamp: Stamp): Outcome {
    if (this.get(op.block)) return 'exists';
    if (!this.get(op.parent)) return 'gone';
    const block = emptyBlock(op.block, op.type, op.parent, op.key, stamp);
    writeProps(block, op.props, stamp);
    if (op.text && !this.#base) {
      block.text = new BlockText();
      if (!block.text.append(op.text.update, op.text.shape)) block.text = null;
    }
    this.add(block);
    this.#link(op.parent, op.block);
    return 'applied';
  }

  #update(op: Op & { op: 'update' }, stamp: Stamp): Outcome {
    const block = this.#writable(op.block);
    if (!block) return 'gone';
    let applied = writeProps(block, op.props, stamp);
    if (op.type !== null && op.block !== this.root && wins(stamp, block.typeStamp)) {
      block.type = op.type;
      block.typeStamp = stamp;
      applied = true;
    }
    return applied ? 'applied' : 'lost';
  }

  #setDeleted(id: BlockId, deleted: boolean, stamp: Stamp): Outcome {
    if (id === this.root) return 'lost';
    const block = this.#writable(id);
    if (!block) return 'gone';
    if (!wins(stamp, block.deletedStamp)) return 'lost';
    block.deleted = deleted;
    block.deletedStamp = stamp;
    return 'applied';
  }

  #move(op: Op & { op: 'move' }, stamp: Stamp): Outcome {
    const current = this.get(op.block);
    if (!current || !this.get(op.parent)) return 'gone';
    if (op.block === this.root || this.isWithin(op.parent, op.block)) return 'cycle';
    if (!wins(stamp, current.placeStamp)) return 'lost';
    const block = this.#writable(op.block)!;
    if (block.parent !== op.parent) {
      this.#unlink(block.parent!, block.id);
      this.#link(op.parent, block.id);
    }
    block.parent = op.parent;
    block.key = op.key;
    block.placeStamp = stamp;
    return 'applied';
  }

  #appendText(op: Op & { op: 'text' }): Outcome {
    if (this.#base) return this.get(op.block) ? 'applied' : 'gone';
    const block = this.#blocks.get(op.block);
    if (!block) return 'gone';
    const text = block.text ?? new BlockText();
    if (!text.append(op.update, op.shape)) return 'missing';
    block.text = text;
    return 'applied';
  }

  /** Removes for good the named blocks that are still deleted, with all that hangs below them. */
  #purge(ids: readonly BlockId[]): Outcome {
    let outcome: Outcome = 'lost';
    for (const id of ids) {
      const block = this.#blocks.get(id);
      if (!block?.deleted) continue;
      this.#unlink(block.parent!, id);
      const doomed = [id];
      for (let next = doomed.pop(); next !== undefined; next = doomed.pop()) {
        for (const child of this.#blocks.get(next)?.children ?? []) doomed.push(child);
        this.#blocks.delete(next);
      }
      outcome = 'applied';
    }
    return outcome;
  }

  #link(parent: BlockId, child: BlockId): void {
    if (!this.#base) {
      const block = this.#blocks.get(parent)!;
      (block.children ??= new Set()).add(child);
      return;
    }
    const children = this.#overlayChildren.get(parent);
    if (children) children.add(child);
    else this.#overlayChildren.set(parent, new Set([child]));
  }

  #unlink(parent: BlockId, child: BlockId): void {
    if (this.#base) this.#overlayChildren.get(parent)?.delete(child);
    else this.#blocks.get(parent)?.children?.delete(child);
  }

  /** Whether `id` is `ancestor` or lies below it. Costs the depth. */
  isWithin(id: BlockId, ancestor: BlockId): boolean {
    for (let at: BlockId | null | undefined = id; at; at = this.get(at)?.parent)
      if (at === ancestor) return true;
    return false;
  }

  /** Levels between the block and the root: 0 for the root. */
  depth(id: BlockId): number {
    let depth = 0;
    for (let at = this.get(id)?.parent; at; at = this.get(at)?.parent) depth++;
    return depth;
  }

  /** Levels below the block, counted up to `atMost`. Costs the size of what hangs below it. */
  height(id: BlockId, atMost: number): number {
    let level: BlockId[] = [id];
    for (let height = 0; ; height++) {
      const next: BlockId[] = [];
      for (const block of level) this.#pushChildren(block, next);
      if (next.length === 0 || height >= atMost) return height;
      level = next;
    }
  }

  #pushChildren(id: BlockId, into: BlockId[]): void {
    const below = this.#base ? this.#base.get(id)?.children : this.#blocks.get(id)?.children;
    for (const child of below ?? []) if (this.get(child)!.parent === id) into.push(child);
    for (const child of this.#overlayChildren.get(id) ?? []) into.push(child);
  }
}

function emptyBlock(id: BlockId, type: string, parent: BlockId | null, key: string, stamp: Stamp): Block {
  return {
    id,
    type,
    typeStamp: stamp,
    parent,
    key,
    placeStamp: stamp,
    deleted: false,
    deletedStamp: stamp,
    props: new Map(),
    propsBytes: 0,
    text: null,
    children: null,
  };
}

function writeProps(block: Block, writes: readonly PropWrite[], stamp: Stamp): boolean {
  let applied = false;
  for (const { key, value, bytes } of writes) {
    const current = block.props.get(key);
    if (current && !wins(stamp, current.stamp)) continue;
    block.props.set(key, { value, stamp, bytes });
    block.propsBytes += bytes - (current?.bytes ?? 0);
    applied = true;
  }
  return applied;
}
