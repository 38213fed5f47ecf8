/**
 * A block as the application reads it: a light handle whose getters read the page as it is now. A handle may be kept; a
 * block that is purged meanwhile goes on showing what it showed last.
 */
import type { JsonValue } from '../base/json.ts';
import type { BlockJson, TextRun } from '../document/block-json.ts';
import type { Block } from '../document/block.ts';
import type { BlockId } from '../protocol/ids.ts';
import type { WorkingCopy } from './working-copy.ts';

export class BlockView {
  readonly id: BlockId;
  readonly #copy: WorkingCopy;
  #last: Block;

  constructor(copy: WorkingCopy, block: Block) {
    this.#copy = copy;
    this.id = block.id;
    this.#last = block;
  }

  get #block(): Block {
    return (this.#last = this.#copy.replica.view.get(this.id) ?? this.#last);
  }

  get type(): string {
    return this.#block.type;
  }

  /** A copy; removed props are not in it. */
  get props(): { [key: string]: JsonValue } {
    return propsOf(this.#block);
  }

  get deleted(): boolean {
    return this.#block.deleted;
  }

  /** null for the root. */
  get parent(): BlockView | null {
    const parent = this.#block.parent;
    return parent === null ? null : viewOf(this.#copy, parent);
  }

  /** In order, without deleted ones. */
  get children(): BlockView[] {
    return this.#copy.children.of(this.id).map(({ id }) => viewOf(this.#copy, id)!);
  }

  get text(): readonly TextRun[] {
    return this.#copy.texts.runs(this.id);
  }

  get plainText(): string {
    return this.text.map(({ insert }) => insert).join('');
  }
}

export function viewOf(copy: WorkingCopy, id: BlockId): BlockView | null {
  const block = copy.replica.view.get(id);
  return block ? new BlockView(copy, block) : null;
}

/** A block and all that is shown below it, as plain JSON. */
export function blockToJson(copy: WorkingCopy, id: BlockId): BlockJson {
  const make = (at: BlockId): BlockJson => {
    const block = copy.replica.view.get(at)!;
    return { id: at, type: block.type, props: propsOf(block), text: [...copy.texts.runs(at)], children: [] };
  };
  const top = make(id);
  // Not recursive: concurrent moves can nest deeper than any limit that each of them kept.
  const todo = [top];
  for (let next = todo.pop(); next; next = todo.pop()) {
    for (const place of copy.children.of(next.id as BlockId)) {
      const child = make(place.id);
      next.children.push(child);
      todo.push(child);
    }
  }
  return top;
}

function propsOf(block: Block): { [key: string]: JsonValue } {
  const shown = [...block.props].filter(([, { value }]) => value !== null);
  return Object.fromEntries(shown.map(([key, { value }]) => [key, value]));
}
