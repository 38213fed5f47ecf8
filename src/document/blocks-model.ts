/**
 * The `blocks` model as the server runs it: the shared `BlockTable` plus the checks that only a server makes before a
 * change enters the log: limits, continuity of text, ownership of Yjs client ids. Checks look at state and queue.
 */
import { assert } from '../base/assert.ts';
import type { Millis } from '../base/time.ts';
import type { BlockId, PageId, UserId } from '../protocol/ids.ts';
import type { Limits } from '../protocol/limits.ts';
import { MsgpackReader } from '../protocol/msgpack-reader.ts';
import { MsgpackWriter } from '../protocol/msgpack-writer.ts';
import { BlockTable, isNotice } from './blocks.ts';
import type { Stamp } from './hlc.ts';
import type { DocumentModel, OpNotice, QueuedOps, Refusal } from './model.ts';
import { decodeOps, encodeOps, type Op, type PropWrite, type TextWrite } from './ops.ts';
import { decodeSnapshot, encodeSnapshot, MODEL_VERSION } from './snapshot.ts';
import { continues } from './text-update.ts';

const DAY_MS = 86_400_000;
const PURGED_AT_ONCE_MAX = 10_000;

/** What queued changes will add to one block, as far as later checks ask. */
interface QueuedBlock {
  textBytes: number;
  /** What the queue's writes add to the bytes of all props, and the bytes of each as its last write leaves it. */
  propsBytes: number;
  readonly propBytes: Map<string, number>;
  readonly clocks: Map<number, number>;
}

export class BlocksModel implements DocumentModel<Op[]> {
  readonly version = MODEL_VERSION;
  readonly table: BlockTable;
  readonly #page: PageId;
  readonly #limits: Limits;
  readonly #ownerByYjsClient: Map<number, UserId>;
  /** The page as it will be when the queue is in the log: state with the queue's structure over it. */
  #ahead: BlockTable;
  #queued = new Map<BlockId, QueuedBlock>();
  #queuedInserts = 0;
  readonly #queuedOwners = new Map<number, UserId>();

  /** Throws `MsgpackError` when a stored snapshot is of another shape. */
  constructor(page: PageId, limits: Limits, stored?: { snapshot: Uint8Array; private: Uint8Array }) {
    this.#page = page;
    this.#limits = limits;
    this.table = stored ? decodeSnapshot(page, stored.snapshot) : new BlockTable(page);
    this.#ahead = new BlockTable(page, this.table);
    this.#ownerByYjsClient = stored ? decodePrivate(stored.private) : new Map();
  }

  decode(body: Uint8Array): Op[] | { readonly malformed: string } {
    return decodeOps(body);
  }

  /**
   * Checks every op, then records them all. A change is let in whole or not at all: what earlier ops of it recorded
   * before a later one is refused is taken back by `resetQueue`, which the actor calls on every refusal of this kind.
   */
  admit(ops: Op[], stamp: Stamp, author: UserId): Refusal | undefined {
    if (ops.length === 0) return { code: 'malformed', message: 'a change without ops' };
    if (ops.length > this.#limits.opsPerChangeMax) {
      return tooLarge(`${ops.length} ops in one change; at most ${this.#limits.opsPerChangeMax}`);
    }
    for (const op of ops) {
      const refusal = this.#admitOp(op, author);
      if (refusal) return refusal;
      if (op.op !== 'text') this.#ahead.apply(op, stamp);
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
      block = { textBytes: 0, propsBytes: 0, propBytes: new Map(), clocks: new Map() };
      this.#queued.set(id, block);
    }
    return block;
  }

  #admitInsert(op: Op & { op: 'insert' }, author: UserId): Refusal | undefined {
    const notYours = op.text ? this.#admitOwner(op.text, author) : undefined;
    // A block that is there already: the op will have no effect, and its sender is told `exists`.
    if (notYours || this.#ahead.get(op.block)) return notYours;
    if (this.table.size + this.#queuedInserts >= this.#limits.blocksMax) {
      return tooLarge(`the page holds ${this.#limits.blocksMax} blocks already`);
    }
    this.#queuedInserts++;
    // An unknown parent is no refusal: the op will have no effect, and its sender is told `gone`.
    if (!this.#ahead.get(op.parent)) return this.#admitProps(op.block, op.props);
    if (this.#ahead.depth(op.parent) + 1 > this.#limits.depthMax) return this.#tooDeep();
    const refusal = this.#admitProps(op.block, op.props);
    return refusal ?? (op.text ? this.#admitFittingText(op.block, op.text) : undefined);
  }

  #tooDeep(): Refusal {
    return tooLarge(`blocks may be nested ${this.#limits.depthMax} levels deep`);
  }

  #admitMove(op: Op & { op: 'move' }): Refusal | undefined {
    const ahead = this.#ahead;
    if (!ahead.get(op.block) || !ahead.get(op.parent)) return undefined;
    const room = this.#limits.depthMax - ahead.depth(op.parent) - 1;
    return room < 0 || ahead.height(op.block, room + 1) > room ? this.#tooDeep() : undefined;
  }

  #admitProps(id: BlockId, props: readonly PropWrite[]): Refusal | undefined {
    if (props.length === 0) return undefined;
    const block = this.table.get(id);
    const queued = this.#queuedBlock(id);
    let added = 0;
    for (const { key, bytes } of props) {
      added += bytes - (queued.propBytes.get(key) ?? block?.props.get(key)?.bytes ?? 0);
      queued.propBytes.set(key, bytes);
    }
    queued.propsBytes += added;
    const total = (block?.propsBytes ?? 0) + queued.propsBytes;
    if (total <= this.#limits.propsBytesMax || added <= 0) return undefined;
    return tooLarge(`the props of a block take at most ${this.#limits.propsBytesMax} bytes`);
  }

  /** Takes the Yjs client id of a text for its author, if nobody has it. */
  #admitOwner({ shape: { client } }: TextWrite, author: UserId): Refusal | undefined {
    if (client === null) return undefined;
    const owner = this.#ownerByYjsClient.get(client) ?? this.#queuedOwners.get(client);
    if (owner === undefined) this.#queuedOwners.set(client, author);
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
    const block = this.table.get(id);
    const queued = this.#queuedBlock(id);
    const held = (client: number) =>
      Math.max(block?.text?.clockOf(client) ?? 0, queued.clocks.get(client) ?? 0);
    if (!continues(shape, held)) {
      return { code: 'missing', message: 'the text builds on characters that the page does not hold' };
    }
    if ((block?.text?.bytes ?? 0) + queued.textBytes + update.length > this.#limits.textBytesMax) {
      return tooLarge(`the text of a block takes at most ${this.#limits.textBytesMax} bytes`);
    }
    queued.textBytes += update.length;
    if (shape.client !== null) queued.clocks.set(shape.client, Math.max(held(shape.client), shape.to));
    return undefined;
  }

  resetQueue(queued: readonly QueuedOps<Op[]>[]): void {
    this.#ahead = new BlockTable(this.#page, this.table);
    this.#queued = new Map();
    this.#queuedInserts = 0;
    this.#queuedOwners.clear();
    for (const { decoded, stamp, author } of queued) this.admit(decoded, stamp, author);
  }

  apply(ops: Op[], stamp: Stamp, author: UserId): OpNotice[] {
    const notices: OpNotice[] = [];
    ops.forEach((op, opIndex) => {
      const text = op.op === 'text' ? op : op.op === 'insert' ? op.text : null;
      const client = text?.shape.client;
      if (client !== null && client !== undefined && !this.#ownerByYjsClient.has(client)) {
        this.#ownerByYjsClient.set(client, author);
      }
      const code = this.table.apply(op, stamp);
      if (isNotice(code)) notices.push({ opIndex, code });
    });
    return notices;
  }

  /** A purge of blocks that have been deleted for longer than they can be restored. Costs the page's size. */
  dueHousekeeping(now: Millis): Uint8Array | undefined {
    const before = now - this.#limits.tombstoneDays * DAY_MS;
    const blocks: BlockId[] = [];
    for (const block of this.table.all()) {
      if (block.deleted && block.deletedStamp.ms < before) blocks.push(block.id);
      if (blocks.length === PURGED_AT_ONCE_MAX) break;
    }
    return blocks.length > 0 ? encodeOps([{ op: 'purge', blocks }]) : undefined;
  }

  encodeSnapshot(): Uint8Array {
    return encodeSnapshot(this.table);
  }

  encodePrivate(): Uint8Array {
    const w = new MsgpackWriter();
    w.array(this.#ownerByYjsClient.size);
    for (const [client, owner] of this.#ownerByYjsClient) w.array(2).int(client).str(owner);
    return w.take();
  }
}

function decodePrivate(bytes: Uint8Array): Map<number, UserId> {
  const owners = new Map<number, UserId>();
  const r = new MsgpackReader(bytes);
  for (let left = r.array(); left > 0; left--) {
    assert(r.array() === 2, 'an owner is [client, user]');
    owners.set(r.uint(), r.str(1024) as UserId);
  }
  return owners;
}

const tooLarge = (message: string): Refusal => ({ code: 'too_large', message });
