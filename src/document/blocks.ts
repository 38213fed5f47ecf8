/**
 * The `blocks` model: a page as a tree of blocks whose parts are last-writer-wins registers stamped by a hybrid logical
 * clock. A pure fold: `apply` in log order gives the same state on every copy, in the server and in the client alike.
 *
 * - Registers: each prop; the type; `deleted`; the place (parent and key together: a half of each would be a third place).
 * - What stamps cannot settle, the log order does: a move that would make a cycle at its place in the log has no effect
 *   and leaves no stamp; an op on a block that does not exist there has none either. Both are reported.
 * - Blocks are never detached: every parent exists. Deleted blocks stay as tombstones until the log purges them.
 *
 * A table over another is an overlay: it shows pending changes over confirmed state, copies a block when it is first
 * written, and keeps no text (the client's Y.Docs hold that). A table over stored blocks takes out of them what is asked for.
 */
import { assertNever } from '../base/assert.ts';
import type { BlockId, PageId } from '../protocol/ids.ts';
import type { NoticeCode } from '../protocol/codes.ts';
import { type Block, emptyBlock, NO_PROPS, writeProps } from './block.ts';
import { BlockText } from './block-text.ts';
import { type Stamp, wins, ZERO_STAMP } from './hlc.ts';
import type { Op } from './ops.ts';
import { type StateHash, stateHash } from './state-hash.ts';
import { StoredBlocks } from './stored-blocks.ts';
import { continues } from './text-update.ts';

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
  readonly #stored: StoredBlocks | undefined;
  /** Of an overlay: those that it has copied. */
  readonly #blocks = new Map<BlockId, Block>();
  /** What hangs below each block, beyond what hangs there in the base or among the stored. */
  readonly #children = new Map<BlockId, Set<BlockId>>();
  /** null in overlays, and from an op on that this code does not know. */
  #hash: StateHash | null = null;

  constructor(page: PageId, below?: BlockTable | StoredBlocks) {
    this.root = rootId(page);
    if (below instanceof BlockTable) {
      this.#base = below;
      return;
    }
    this.#stored = below;
    if (!below) this.#blocks.set(this.root, emptyBlock(this.root, ROOT_TYPE, null, '', ZERO_STAMP));
    this.#hash = stateHash(this.all());
  }

  /** The hash of this state; null if it holds what this code does not know: then it can be compared with nothing. */
  get hash(): Uint8Array | null {
    return this.#hash && this.#hash.toBytes();
  }

  /** False in overlays, and from an op on that this code does not know: then there is more to the page than is here. */
  get isWhole(): boolean {
    return this.#hash !== null;
  }

  /** Blocks held here, deleted ones and the root included (of an overlay: those it has copied). */
  get size(): number {
    return this.#blocks.size + (this.#stored?.size ?? 0);
  }

  get(id: BlockId): Block | undefined {
    return this.#blocks.get(id) ?? (this.#base ? this.#base.get(id) : this.#take(id));
  }

  /**
   * The blocks held here, in no particular order; of an overlay only those that pending changes wrote. To be read only, and
   * without asking this table for others in between (`get`, `depth` …).
   */
  *all(): Generator<Block> {
    yield* this.#blocks.values();
    if (this.#stored) yield* this.#stored.all();
  }

  /** The deleted ones among all; as `all`. */
  *deleted(): Generator<Block> {
    for (const block of this.#blocks.values()) if (block.deleted) yield block;
    if (this.#stored) yield* this.#stored.deleted();
  }

  /** What hangs directly below a block, deleted ones included, in no particular order; as `all`, not to be mixed with `get`. */
  *children(id: BlockId): Generator<BlockId> {
    const own = this.#children.get(id);
    if (own) yield* own;
    if (this.#stored) yield* this.#stored.children(id);
    if (!this.#base) return;
    for (const child of this.#base.children(id)) {
      const isHere = (this.#blocks.get(child)?.parent ?? id) === id;
      if (isHere && !own?.has(child)) yield child;
    }
  }

  /** For snapshots and the account of memory: what is decoded, and what is not. */
  get parts(): { readonly decoded: ReadonlyMap<BlockId, Block>; readonly stored: StoredBlocks | undefined } {
    return { decoded: this.#blocks, stored: this.#stored };
  }

  /** Decodes a block that was stored until now. */
  #take(id: BlockId): Block | undefined {
    const block = this.#stored?.take(id);
    if (!block) return undefined;
    this.#blocks.set(id, block);
    if (block.parent !== null) this.#link(block.parent, id);
    return block;
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
        return this.#appendText(op, stamp);
      case 'purge':
        return this.#purge(op.blocks);
      case 'unknown':
        this.#hash = null;
        return 'lost';
      default:
        return assertNever(op);
    }
  }

  /** The block to write to: in an overlay a copy, made at the first write. */
  #writable(id: BlockId): Block | undefined {
    const own = this.#blocks.get(id);
    if (own) return own;
    const below = this.get(id);
    if (!below || !this.#base) return below;
    const copy: Block = { ...below, props: below.props.size > 0 ? new Map(below.props) : NO_PROPS };
    this.#blocks.set(id, copy);
    return copy;
  }

  #insert(op: Op & { op: 'insert' }, stamp: Stamp): Outcome {
    if (this.get(op.block)) return 'exists';
    if (!this.get(op.parent)) return 'gone';
    const block = emptyBlock(op.block, op.type, op.parent, op.key, stamp);
    writeProps(block, op.props, stamp, null);
    if (op.text && !this.#base && continues(op.text.shape, () => 0)) {
      block.text = new BlockText(op.text.update);
      this.#hash?.chainText(block, stamp, op.text.update);
    }
    this.#blocks.set(op.block, block);
    this.#hash?.toggleBlock(block);
    this.#link(op.parent, op.block);
    return 'applied';
  }

  #update(op: Op & { op: 'update' }, stamp: Stamp): Outcome {
    const block = this.#writable(op.block);
    if (!block) return 'gone';
    let applied = writeProps(block, op.props, stamp, this.#hash);
    if (op.type !== null && op.block !== this.root && wins(stamp, block.typeStamp)) {
      this.#hash?.toggleType(block);
      block.type = op.type;
      block.typeStamp = stamp;
      this.#hash?.toggleType(block);
      applied = true;
    }
    return applied ? 'applied' : 'lost';
  }

  #setDeleted(id: BlockId, deleted: boolean, stamp: Stamp): Outcome {
    if (id === this.root) return 'lost';
    const block = this.#writable(id);
    if (!block) return 'gone';
    if (!wins(stamp, block.deletedStamp)) return 'lost';
    this.#hash?.toggleDeleted(block);
    block.deleted = deleted;
    block.deletedStamp = stamp;
    this.#hash?.toggleDeleted(block);
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
    this.#hash?.togglePlace(block);
    block.parent = op.parent;
    block.key = op.key;
    block.placeStamp = stamp;
    this.#hash?.togglePlace(block);
    return 'applied';
  }

  #appendText(op: Op & { op: 'text' }, stamp: Stamp): Outcome {
    if (this.#base) return this.get(op.block) ? 'applied' : 'gone';
    const block = this.get(op.block);
    if (!block) return 'gone';
    const text = block.text ?? new BlockText();
    if (!text.append(op.update, op.shape)) return 'missing';
    block.text = text;
    this.#hash?.appendText(block, stamp, op.update);
    return 'applied';
  }

  /** Removes for good the named blocks that are still deleted, with all that hangs below them. */
  #purge(ids: readonly BlockId[]): Outcome {
    let outcome: Outcome = 'lost';
    for (const id of ids) {
      const block = this.get(id);
      if (!block?.deleted) continue;
      this.#unlink(block.parent!, id);
      const doomed = [id];
      for (let next = doomed.pop(); next !== undefined; next = doomed.pop()) {
        const gone = this.get(next)!;
        for (const child of this.children(next)) doomed.push(child);
        this.#blocks.delete(next);
        this.#children.delete(next);
        this.#hash?.toggleBlock(gone);
      }
      outcome = 'applied';
    }
    return outcome;
  }

  #link(parent: BlockId, child: BlockId): void {
    const children = this.#children.get(parent);
    if (children) children.add(child);
    else this.#children.set(parent, new Set([child]));
  }

  #unlink(parent: BlockId, child: BlockId): void {
    const children = this.#children.get(parent);
    if (children?.delete(child) && children.size === 0) this.#children.delete(parent);
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

  /** Looks at what hangs below the block: at no more than `levels` levels and `blocksMax` blocks, the block included. */
  below(id: BlockId, levels: number, blocksMax: number): { readonly tooDeep: boolean; readonly blocks: number } {
    let level: BlockId[] = [id];
    let blocks = 1;
    for (let height = 0; ; height++) {
      const next: BlockId[] = [];
      for (const block of level) {
        for (const child of this.children(block)) {
          next.push(child);
          if (blocks + next.length > blocksMax) return { tooDeep: false, blocks: blocks + next.length };
        }
      }
      if (next.length === 0) return { tooDeep: false, blocks };
      if (height >= levels) return { tooDeep: true, blocks };
      blocks += next.length;
      level = next;
    }
  } // prettier-ignore
}
