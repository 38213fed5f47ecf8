/**
 * The page again, written from `docs/protocol.md`, part 5, in the plainest way and without `src/document`: what every copy
 * must come to. A mistake there and here alike is possible; one there alone is found. Texts are kept as Yjs documents,
 * which tell at once when something in the log does not continue what the log had.
 */
import * as Y from 'yjs';
import type { BlockJson } from '../../src/client/index.ts';
import { decodeOps, type Op } from '../../src/document/ops.ts';
import type { LogEntry } from '../../src/persistence/log-store.ts';
import { SimFailure } from './journal.ts';

export interface ModelStamp {
  readonly ms: number;
  readonly counter: number;
  readonly replica: string;
}

interface Register<T> {
  value: T;
  stamp: ModelStamp;
}

export interface ModelBlock {
  readonly id: string;
  readonly place: Register<{ parent: string | null; key: string }>;
  readonly type: Register<string>;
  readonly deleted: Register<boolean>;
  readonly props: Map<string, Register<unknown>>;
  /** Those that had an effect. */
  readonly updates: Uint8Array[];
  text: Y.Doc | null;
}

const ZERO: ModelStamp = { ms: 0, counter: 0, replica: '00000000-0000-0000-0000-000000000000' };

export function compareModelStamps(a: ModelStamp, b: ModelStamp): number {
  return a.ms - b.ms || a.counter - b.counter || (a.replica < b.replica ? -1 : a.replica > b.replica ? 1 : 0);
}

function write<T>(register: Register<T>, value: T, stamp: ModelStamp): void {
  if (compareModelStamps(stamp, register.stamp) < 0) return;
  register.value = value;
  register.stamp = stamp;
}

export class Model {
  readonly root: string;
  readonly blocks = new Map<string, ModelBlock>();

  constructor(page: string) {
    this.root = page;
    this.#add(page, null, '', 'page', ZERO);
  }

  #add(id: string, parent: string | null, key: string, type: string, stamp: ModelStamp): ModelBlock {
    const block: ModelBlock = {
      id,
      place: { value: { parent, key }, stamp },
      type: { value: type, stamp },
      deleted: { value: false, stamp },
      props: new Map(),
      updates: [],
      text: null,
    };
    this.blocks.set(id, block);
    return block;
  }

  apply(entry: LogEntry): void {
    const ops = decodeOps(entry.body);
    if ('malformed' in ops) throw new SimFailure('malformed log', `seq ${entry.seq}: ${ops.malformed}`);
    const stamp = { ms: entry.hlcMs, counter: entry.hlcCounter, replica: entry.replica };
    for (const op of ops) this.#op(op, stamp, entry);
  }

  #op(op: Op, stamp: ModelStamp, entry: LogEntry): void {
    switch (op.op) {
      case 'insert': {
        if (this.blocks.has(op.block) || !this.blocks.has(op.parent)) return;
        const block = this.#add(op.block, op.parent, op.key, op.type, stamp);
        this.#props(block, op.props, stamp);
        if (op.text) this.#text(block, op.text.update);
        return;
      }
      case 'update': {
        const block = this.blocks.get(op.block);
        if (!block) return;
        this.#props(block, op.props, stamp);
        if (op.type !== null && op.block !== this.root) write(block.type, op.type, stamp);
        return;
      }
      case 'delete':
      case 'restore': {
        const block = this.blocks.get(op.block);
        if (block && op.block !== this.root) write(block.deleted, op.op === 'delete', stamp);
        return;
      }
      case 'move': {
        const block = this.blocks.get(op.block);
        if (!block || !this.blocks.has(op.parent) || op.block === this.root) return;
        for (let up: string | null = op.parent; up; up = this.blocks.get(up)!.place.value.parent) if (up === op.block) return; // prettier-ignore
        write(block.place, { parent: op.parent, key: op.key }, stamp);
        return;
      }
      case 'text': {
        const block = this.blocks.get(op.block);
        if (block) this.#text(block, op.update);
        return;
      }
      default:
        throw new SimFailure('an op that nobody made', `${op.op} at seq ${entry.seq}`);
    }
  }

  #props(block: ModelBlock, writes: readonly { key: string; value: unknown }[], stamp: ModelStamp): void {
    for (const { key, value } of writes) {
      const register = block.props.get(key);
      if (register) write(register, value, stamp);
      else block.props.set(key, { value, stamp });
    }
  }

  /** An update that does not continue what the block holds has no effect: the document is made again without it. */
  #text(block: ModelBlock, update: Uint8Array): void {
    block.text ??= textOf(block.updates);
    Y.applyUpdate(block.text, update);
    const { pendingStructs, pendingDs } = block.text.store;
    if (!pendingStructs && !pendingDs) return void block.updates.push(update);
    block.text.destroy();
    block.text = textOf(block.updates);
  }

  /** The blocks below one that are shown, in order. */
  childrenOf(): Map<string, ModelBlock[]> {
    const children = new Map<string, ModelBlock[]>();
    for (const block of this.blocks.values()) {
      const { parent } = block.place.value;
      if (parent === null || block.deleted.value) continue;
      const siblings = children.get(parent);
      if (siblings) siblings.push(block);
      else children.set(parent, [block]);
    }
    for (const siblings of children.values()) {
      siblings.sort((a, b) => order(a.place.value.key, b.place.value.key) || order(a.id, b.id));
    }
    return children;
  }

  /** Every block hangs below the root, on one way. */
  checkTree(): void {
    for (const block of this.blocks.values()) {
      const seen = new Set<string>();
      for (let at: string | null = block.id; at !== null; at = this.blocks.get(at)!.place.value.parent) {
        if (seen.has(at) || !this.blocks.has(at))
          throw new SimFailure('the tree is no tree', `block ${block.id}`);
        seen.add(at);
      }
      if (!seen.has(this.root)) throw new SimFailure('the tree is no tree', `block ${block.id} is not below the root`); // prettier-ignore
    }
  }

  destroy(): void {
    for (const { text } of this.blocks.values()) text?.destroy();
  }
}

function textOf(updates: readonly Uint8Array[]): Y.Doc {
  const doc = new Y.Doc({ gc: false });
  // What Yjs would tidy by an edit of its own is nobody's edit.
  doc.on('afterTransaction', (transaction: Y.Transaction) => {
    transaction._needFormattingCleanup = false;
  });
  for (const update of updates) Y.applyUpdate(doc, update);
  return doc;
}

const order = (a: string, b: string) => (a < b ? -1 : a > b ? 1 : 0);

/** A text in one form: where neighbouring runs look alike they are one. */
export function plainRuns(runs: readonly { insert: unknown; attributes?: object }[]): string {
  const merged: [unknown, string][] = [];
  for (const { insert, attributes } of runs) {
    const look = attributes ? JSON.stringify(attributes) : '';
    const last = merged.at(-1);
    if (last && last[1] === look && typeof last[0] === 'string') last[0] += String(insert);
    else merged.push([insert, look]);
  }
  return JSON.stringify(merged);
}

export const runsOfDoc = (doc: Y.Doc | null): string =>
  doc ? plainRuns(doc.getText('text').toDelta() as { insert: unknown }[]) : '[]';

/** The first difference between what a copy shows and what the log gives; null: none. */
export function differenceOf(shown: BlockJson, model: Model): string | null {
  const children = model.childrenOf();
  const todo: BlockJson[] = [shown];
  for (let at = todo.pop(); at; at = todo.pop()) {
    const block = model.blocks.get(at.id!);
    if (!block) return `block ${at.id} is shown and not in the log`;
    if (at.type !== block.type.value) return `type of ${at.id}: ${at.type}, by the log ${block.type.value}`;
    const props = [...block.props].filter(([, { value }]) => value !== null);
    if (Object.keys(at.props).length !== props.length) return `props of ${at.id}: ${JSON.stringify(at.props)}, by the log ${JSON.stringify(props)}`; // prettier-ignore
    for (const [key, { value }] of props) {
      if (JSON.stringify(at.props[key]) !== JSON.stringify(value)) return `prop ${key} of ${at.id}: ${JSON.stringify(at.props[key])}, by the log ${JSON.stringify(value)}`; // prettier-ignore
    }
    const text = runsOfDoc(block.text);
    if (plainRuns(at.text) !== text) return `text of ${at.id}: ${plainRuns(at.text)}, by the log ${text}`;
    const below = children.get(at.id!) ?? [];
    const ids = at.children.map(({ id }) => id).join(' ');
    const wanted = below.map(({ id }) => id).join(' ');
    if (ids !== wanted) return `below ${at.id}: ${ids}; by the log: ${wanted}`;
    todo.push(...at.children);
  }
  return null;
}
