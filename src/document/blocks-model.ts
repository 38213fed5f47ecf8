/**
 * The `blocks` model as the server runs it: the shared `BlockTable` plus the checks that only a server makes before a
 * change enters the log: limits, continuity of text, ownership of Yjs client ids. Checks look at state and queue.
 */
import type { Millis } from '../base/time.ts';
import type { BlockId, PageId, UserId } from '../protocol/ids.ts';
import type { Limits } from '../protocol/limits.ts';
import type { BlockText } from './block-text.ts';
import { BlockTable, isNotice } from './blocks.ts';
import type { Stamp } from './hlc.ts';
import type { ChangeKind, DocumentModel, OpNotice, QueuedOps, Refusal, RestoreModel } from './model.ts';
import { decodeOps, encodeOps, type Op, type PropWrite, type TextWrite } from './ops.ts';
import { decodeSnapshot, encodeSnapshot, MODEL_VERSION } from './snapshot.ts';
import { QueuedText } from './queued-text.ts';
import { TableWeight } from './table-weight.ts';
import { continues, type TextShape } from './text-update.ts';
import { YjsOwners } from './yjs-owners.ts';

const DAY_MS = 86_400_000;
const PURGED_AT_ONCE_MAX = 10_000;
/** Room for deletions in a text that is full. */
const DELETES_SHARE = 1 / 8;

const NO_NOTICES: readonly OpNotice[] = [];

/** What queued changes will add to one block, as far as later checks ask. */
interface QueuedBlock {
  text: QueuedText | null;
  /** What the queue's writes add to the bytes of all props, and the bytes of each as its last write leaves it. */
  propsBytes: number;
  propBytes: Map<string, number> | null;
}

export class BlocksModel implements DocumentModel<Op[]> {
  readonly version = MODEL_VERSION;
  readonly table: BlockTable;
  readonly #page: PageId;
  readonly #limits: Limits;
  readonly #yjsOwners: YjsOwners;
  /** The page as it will be when the queue is in the log: state with the queue's structure over it. */
  #ahead: BlockTable;
  /** What takes back what the change that is looked at has recorded so far. */
  readonly #undo: (() => void)[] = [];
  /** The change that is looked at has more than one op. */
  #severalOps = false;
  readonly #queued = new Map<BlockId, QueuedBlock>();
  #queuedInserts = 0;
  /** What is looked at was let in before. */
  #isLaying = false;
  /** Nothing but text is queued. */
  #textOnly = true;
  /** Blocks that the change which is looked at takes to a deeper level. */
  #movedBlocks = 0;
  readonly #queuedOwners = new Map<number, UserId>();
  readonly #weight = new TableWeight();
  #lostOps = 0;

  /** Throws `MsgpackError` when a stored snapshot is of another shape. */
  constructor(page: PageId, limits: Limits, stored?: { snapshot: Uint8Array | null; private: Uint8Array }) {
    this.#page = page;
    this.#limits = limits;
    this.table = stored?.snapshot ? decodeSnapshot(page, stored.snapshot) : new BlockTable(page);
    this.#ahead = new BlockTable(page, this.table);
    this.#yjsOwners = new YjsOwners(stored?.private);
  }

  /** Whom each Yjs client id on this page belongs to. */
  get yjsOwners(): YjsOwners {
    return this.#yjsOwners;
  }

  decode(body: Uint8Array): Op[] | { readonly malformed: string } {
    return decodeOps(body);
  }

  kindOf(ops: Op[]): ChangeKind {
    const first = ops[0]?.op ?? 'unread';
    for (let i = 1; i < ops.length; i++) if (ops[i]!.op !== first) return 'mixed';
    return first;
  }

  /**
   * Checks and records op by op. A change is let in whole or not at all: what was recorded before an op is refused is taken
   * back. That costs the change; to record the queue anew would cost the queue, and in a stall thousands are queued.
   */
  admit(ops: Op[], stamp: Stamp, author: UserId): Refusal | undefined {
    if (ops.length === 0) return { code: 'malformed', message: 'a change without ops' };
    if (ops.length > this.#limits.opsPerChangeMax) {
      return tooLarge(`${ops.length} ops in one change; at most ${this.#limits.opsPerChangeMax}`);
    }
    const [ahead, inserts] = [this.#ahead, this.#queuedInserts];
    // Where several ops build on each other they are laid over the queue's first, to be let go of as one.
    this.#severalOps = ops.length > 1;
    if (this.#severalOps) this.#ahead = new BlockTable(this.#page, ahead);
    const refusal = this.#record(ops, stamp, author);
    this.#ahead = ahead;
    if (refusal) {
      for (const undo of this.#undo.reverse()) undo();
      this.#queuedInserts = inserts;
    } else if (this.#severalOps) {
      for (const op of ops) if (op.op !== 'text') ahead.apply(op, stamp);
    }
    this.#undo.length = 0;
    return refusal;
  }

  /** As `admit`, of a change that is in the queue already: no limit counts any more, and what it recorded before a refusal stays. */
  lay(ops: Op[], stamp: Stamp, author: UserId): Refusal | undefined {
    this.#isLaying = true;
    const refusal = this.#record(ops, stamp, author);
    this.#isLaying = false;
    this.#undo.length = 0;
    return refusal;
  }

  #record(ops: Op[], stamp: Stamp, author: UserId): Refusal | undefined {
    this.#movedBlocks = 0;
    for (const op of ops) {
      const refusal = this.#admitOp(op, author);
      if (refusal) return refusal;
      if (op.op === 'text') continue;
      this.#textOnly = false;
      this.#ahead.apply(op, stamp);
    }
    return undefined;
  }

  #admitOp(op: Op, author: UserId): Refusal | undefined {
    switch (op.op) {
      case 'insert':
        return this.#admitInsert(op, author);
      case 'update':
        return this.#admitProps(op.block, op.props);
      case 'text':
        return this.#admitText(op.block, op, author);
      case 'move':
        return this.#admitMove(op);
      case 'purge':
        return { code: 'unsupported', message: 'purge is the server’s own op' };
      case 'unknown':
        return { code: 'unsupported', message: `op ${op.number} is not known to this server` };
      default:
        return undefined;
    }
  }

  #queuedBlock(id: BlockId): QueuedBlock {
    let block = this.#queued.get(id);
    if (!block) {
      block = { text: null, propsBytes: 0, propBytes: null };
      this.#queued.set(id, block);
    }
    return block;
  }

  #admitInsert(op: Op & { op: 'insert' }, author: UserId): Refusal | undefined {
    const notYours = op.text ? this.#admitOwner(op.text, author) : undefined;
    // A block that is there already: the op will have no effect, and its sender is told `exists`.
    if (notYours || this.#ahead.get(op.block)) return notYours;
    if (this.table.size + this.#queuedInserts >= this.#limits.blocksMax && !this.#isLaying) {
      return tooLarge(`the page holds ${this.#limits.blocksMax} blocks already`);
    }
    this.#queuedInserts++;
    // An unknown parent is no refusal: the op will have no effect, and its sender is told `gone`.
    if (!this.#ahead.get(op.parent)) return this.#admitProps(op.block, op.props);
    if (this.#ahead.depth(op.parent) + 1 > this.#limits.depthMax && !this.#isLaying) return this.#tooDeep();
    const refusal = this.#admitProps(op.block, op.props);
    return refusal ?? (op.text ? this.#admitFittingText(op.block, op.text) : undefined);
  }

  #tooDeep(): Refusal {
    return tooLarge(`blocks may be nested ${this.#limits.depthMax} levels deep`);
  }

  #admitMove(op: Op & { op: 'move' }): Refusal | undefined {
    const ahead = this.#ahead;
    if (this.#isLaying || !ahead.get(op.block) || !ahead.get(op.parent)) return undefined;
    const { depthMax, movedBlocksMax } = this.#limits;
    const depth = ahead.depth(op.parent) + 1;
    if (depth > depthMax) return this.#tooDeep();
    // Nothing gets deeper: no need to look at what hangs below.
    if (depth <= ahead.depth(op.block)) return undefined;
    const below = ahead.below(op.block, depthMax - depth, movedBlocksMax - this.#movedBlocks);
    this.#movedBlocks += below.blocks;
    if (below.tooDeep) return this.#tooDeep();
    if (this.#movedBlocks <= movedBlocksMax) return undefined;
    return tooLarge(`one change may take ${movedBlocksMax} blocks to a deeper level`);
  }

  #admitProps(id: BlockId, props: readonly PropWrite[]): Refusal | undefined {
    if (props.length === 0) return undefined;
    const block = this.table.get(id);
    const queued = this.#queuedBlock(id);
    const propBytes = (queued.propBytes ??= new Map<string, number>());
    let added = 0;
    for (const { key, bytes } of props) {
      const before = propBytes.get(key);
      added += bytes - (before ?? block?.props.get(key)?.bytes ?? 0);
      propBytes.set(key, bytes);
      if (before === undefined) this.#undo.push(() => propBytes.delete(key));
      else this.#undo.push(() => propBytes.set(key, before));
    }
    queued.propsBytes += added;
    this.#undo.push(() => (queued.propsBytes -= added));
    const total = (block?.propsBytes ?? 0) + queued.propsBytes;
    if (total <= this.#limits.propsBytesMax || added <= 0 || this.#isLaying) return undefined;
    return tooLarge(`the props of a block take at most ${this.#limits.propsBytesMax} bytes`);
  }

  /** Takes the Yjs client id of a text for its author, if nobody has it. */
  #admitOwner({ shape: { client } }: TextWrite, author: UserId): Refusal | undefined {
    if (client === null) return undefined;
    const owner = this.#yjsOwners.get(client) ?? this.#queuedOwners.get(client);
    if (owner === undefined) {
      this.#queuedOwners.set(client, author);
      this.#undo.push(() => this.#queuedOwners.delete(client));
    }
    if (owner === undefined || owner === author) return undefined;
    return { code: 'not_yours', message: `the Yjs client id ${client} belongs to another user` };
  }

  #admitText(id: BlockId, write: TextWrite, author: UserId): Refusal | undefined {
    const notYours = this.#admitOwner(write, author);
    // A block that is nowhere: the op will have no effect, and its sender is told `gone`.
    if (notYours || !this.#ahead.get(id)) return notYours;
    return this.#admitFittingText(id, write);
  }

  /** Text for a block that is there, or will be. */
  #admitFittingText(id: BlockId, { update, shape }: TextWrite): Refusal | undefined {
    const text = this.table.get(id)?.text ?? null;
    const queued = (this.#queuedBlock(id).text ??= new QueuedText());
    // On what an op of a newer version made, this one cannot judge: who knows that op does, at its place in the log.
    if (this.table.isWhole && !continues(shape, (client) => queued.clockOf(client, text))) {
      return { code: 'missing', message: 'the text builds on characters that the page does not hold' };
    }
    queued.push(shape, update.length);
    const refusal = this.#isLaying ? undefined : this.#fitText(queued, shape, text);
    if (refusal) queued.pop(update.length);
    else if (this.#severalOps) this.#undo.push(() => queued.pop(update.length));
    return refusal;
  }

  /** Whether text and queue together, with this shape, are within bounds. */
  #fitText(queued: QueuedText, shape: TextShape, text: BlockText | null): Refusal | undefined {
    const { textCharactersMax, textBytesMax } = this.#limits;
    if (shape.client !== null && queued.showsMoreThan(textCharactersMax, text)) {
      return tooLarge(`the text of a block has at most ${textCharactersMax} characters`);
    }
    // What only deletes is let in a little past the bound, or a full text could never be made smaller.
    const bytesMax = shape.client === null ? textBytesMax * (1 + DELETES_SHARE) : textBytesMax;
    const room = bytesMax - queued.bytes;
    if (text && text.bytes > room) text.compact();
    if ((text?.bytes ?? 0) <= room) return undefined;
    return tooLarge(`the text of a block takes at most ${textBytesMax} bytes`);
  }

  resetQueue(queued: readonly QueuedOps<Op[]>[]): void {
    // An overlay in which nothing was written is as good as a new one.
    if (this.#ahead.size > 0) this.#ahead = new BlockTable(this.#page, this.table);
    this.#queued.clear();
    this.#queuedInserts = 0;
    this.#textOnly = true;
    this.#queuedOwners.clear();
    for (const { decoded, stamp, author } of queued) this.lay(decoded, stamp, author);
  }

  /** Of text, which is what comes so fast that others are queued behind what was appended; the rest is recorded anew. */
  dequeue(applied: readonly { readonly decoded: Op[] }[]): boolean {
    if (!this.#textOnly || !this.table.isWhole) return false;
    for (const { decoded } of applied) {
      for (const op of decoded) {
        if (op.op !== 'text') return false;
        const text = this.#queued.get(op.block)?.text;
        if (!text?.shift(op.shape, op.update.length)) return false;
        if (text.isEmpty) this.#queued.delete(op.block);
        if (op.shape.client !== null) this.#queuedOwners.delete(op.shape.client);
      }
    }
    return true;
  }

  apply(ops: Op[], stamp: Stamp, author: UserId): readonly OpNotice[] {
    let notices: OpNotice[] | null = null;
    for (let opIndex = 0; opIndex < ops.length; opIndex++) {
      const op = ops[opIndex]!;
      const client = (op.op === 'text' ? op : op.op === 'insert' ? op.text : null)?.shape.client;
      if (client !== null && client !== undefined) this.#yjsOwners.add(client, author);
      const code = this.table.apply(op, stamp);
      if (code === 'lost') this.#lostOps++;
      this.#weight.applied(op);
      if (isNotice(code) && this.table.isWhole) (notices ??= []).push({ opIndex, code });
    }
    return notices ?? NO_NOTICES;
  }

  /** A purge of blocks that have been deleted for longer than they can be restored. Costs the page's size. */
  dueHousekeeping(now: Millis): Uint8Array | undefined {
    // Nothing is taken away for good by who does not know all that was done.
    if (!this.table.isWhole) return undefined;
    const before = now - this.#limits.tombstoneDays * DAY_MS;
    const blocks: BlockId[] = [];
    for (const block of this.table.deleted()) {
      if (block.deletedStamp.ms < before) blocks.push(block.id);
      if (blocks.length === PURGED_AT_ONCE_MAX) break;
    }
    return blocks.length > 0 ? encodeOps([{ op: 'purge', blocks }]) : undefined;
  }

  get lostOps(): number {
    return this.#lostOps;
  }

  stateHash(): Uint8Array | null {
    return this.table.hash;
  }

  encodeSnapshot(): Uint8Array {
    return encodeSnapshot(this.table);
  }

  restorer(): RestoreModel {
    // Of this model only these two: it must be free to go.
    const [page, limits] = [this.#page, this.#limits];
    return (snapshot, own) => new BlocksModel(page, limits, { snapshot, private: own });
  }

  get bytes(): number {
    return this.#weight.bytes(this.table) + this.#yjsOwners.bytes;
  }

  encodePrivate(): Uint8Array {
    return this.#yjsOwners.encode();
  }
}

const tooLarge = (message: string): Refusal => ({ code: 'too_large', message });
