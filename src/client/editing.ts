/**
 * The application's structural edits as ops: resolves places among siblings to order keys, checks what can be known
 * here (so that a mistake is thrown where it is made, and not refused later), and lays out whole subtrees.
 */
import type { JsonValue } from '../base/json.ts';
import type { Random } from '../base/random.ts';
import type { Millis } from '../base/time.ts';
import type { TextRun } from '../document/block-json.ts';
import { type BlockId, newId } from '../protocol/ids.ts';
import { parseId } from '../protocol/parse-id.ts';
import type { Place } from './children.ts';
import { OctavoError } from './errors.ts';
import { Placer } from './placing.ts';
import { encodeFirstText } from './text-codec.ts';
import type { WorkingCopy } from './working-copy.ts';

type Props = { readonly [key: string]: JsonValue };

export interface NewBlock {
  readonly type: string;
  readonly props?: Props;
  readonly text?: string | readonly TextRun[];
  /** Drawn if it is left out. */
  readonly id?: string;
  readonly children?: readonly NewBlock[];
}

export interface Destination {
  /** The root, if left out (for a move: the present parent). */
  readonly parent?: string;
  /** The sibling to stand behind; null: first; left out: last. */
  readonly after?: string | null;
}

export class Editor {
  readonly #copy: WorkingCopy;
  readonly #random: Random;
  readonly #now: () => Millis;
  readonly #placer: Placer;

  constructor(copy: WorkingCopy, random: Random, now: () => Millis) {
    this.#copy = copy;
    this.#random = random;
    this.#now = now;
    this.#placer = new Placer(random);
  }

  /** Inserts a block with all that hangs below it; returns its id. */
  insert(block: NewBlock, to: Destination): BlockId {
    const { root } = this.#copy.replica.view;
    const parent = to.parent === undefined ? root : this.#existing(to.parent);
    this.#checkIds(block);
    const siblings = this.#copy.children.of(parent);
    const top = this.#insertOne(block, parent, siblings, this.#indexAfter(parent, siblings, to.after));
    try {
      this.#insertBelow(top, block.children ?? []);
    } catch (error) {
      // Half a subtree is nobody's wish: hidden, then told.
      this.setDeleted(top, true);
      throw error;
    }
    return top;
  }

  /** Not recursive: trees made by programs can be deep. */
  #insertBelow(top: BlockId, blocks: readonly NewBlock[]): void {
    const todo = [{ parent: top, children: blocks }];
    for (let next = todo.pop(); next; next = todo.pop()) {
      for (const child of next.children) {
        const below = this.#copy.children.of(next.parent);
        const id = this.#insertOne(child, next.parent, below, below.length);
        if (child.children?.length) todo.push({ parent: id, children: child.children });
      }
    }
  }

  /** Before anything is inserted: an id that is wrong deep down must not leave half a tree. */
  #checkIds(top: NewBlock): void {
    const todo = [top];
    for (let next = todo.pop(); next; next = todo.pop()) {
      if (next.id !== undefined && this.#copy.replica.view.get(idOf(next.id)))
        throw new OctavoError('exists');
      for (const child of next.children ?? []) todo.push(child);
    }
  }

  #insertOne(block: NewBlock, parent: BlockId, siblings: readonly Place[], index: number): BlockId {
    const id = block.id === undefined ? newId<BlockId>(this.#now(), this.#random) : idOf(block.id);
    if (this.#copy.replica.view.get(id)) throw new OctavoError('exists');
    const { key, moves } = this.#placer.place(parent, siblings, index);
    const text = encodeFirstText(this.#copy.texts.client, block.text ?? '');
    this.#copy.edit({
      op: 'insert',
      block: id,
      parent,
      key,
      type: block.type,
      props: { ...block.props },
      text,
    });
    this.#stepAside(parent, moves);
    return id;
  }

  #stepAside(parent: BlockId, moves: readonly { readonly block: BlockId; readonly key: string }[]): void {
    for (const { block, key } of moves) this.#copy.edit({ op: 'move', block, parent, key });
  }

  /** Moves a block under a parent (the present one, if left out), to a place among its children. */
  move(id: string, to: Destination): void {
    const { view } = this.#copy.replica;
    const block = this.#existing(id);
    const parent = to.parent === undefined ? view.get(block)!.parent : this.#existing(to.parent);
    if (parent === null || view.isWithin(parent, block)) throw new OctavoError('cycle');
    if (to.after === id) throw new OctavoError('gone', 'a block cannot stand behind itself');
    const stays = this.#copy.children.place(block)?.parent === parent;
    const all = this.#copy.children.of(parent);
    const siblings = stays ? all.filter((place) => place.id !== block) : all;
    const { key, moves } = this.#placer.place(parent, siblings, this.#indexAfter(parent, siblings, to.after));
    this.#copy.edit({ op: 'move', block, parent, key });
    this.#stepAside(parent, moves);
  }

  /** Writes props (null removes one) and, if given, the type. */
  update(id: string, props: Props, type: string | null): void {
    this.#copy.edit({ op: 'update', block: this.#existing(id), props: { ...props }, type });
  }

  setDeleted(id: string, deleted: boolean): void {
    const block = this.#existing(id);
    if (block === this.#copy.replica.view.root) throw new OctavoError('gone', 'the root cannot be deleted');
    this.#copy.edit({ op: deleted ? 'delete' : 'restore', block });
  }

  /** `siblings` may lack a block that is about to move: then the index known to the tree may be one too high. */
  #indexAfter(parent: BlockId, siblings: readonly Place[], after: string | null | undefined): number {
    if (after === undefined) return siblings.length;
    if (after === null) return 0;
    const id = idOf(after);
    const index = this.#copy.children.indexOf(id);
    if (index < 0 || this.#copy.children.place(id)!.parent !== parent) {
      throw new OctavoError('gone', 'the sibling to stand behind is not there');
    }
    return siblings[index]?.id === id ? index + 1 : index;
  }

  #existing(id: string): BlockId {
    const block = idOf(id);
    if (!this.#copy.replica.view.get(block)) throw new OctavoError('gone');
    return block;
  }
}

/** Reads an id given by the application. */
export function idOf<T extends string = BlockId>(id: string): T {
  const parsed = parseId<T>(id);
  if (parsed === undefined) throw new OctavoError('malformed', `"${id}" is no UUID`);
  return parsed;
}
