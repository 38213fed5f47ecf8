/**
 * A person who works on the structure of a page: makes blocks, ticks them off, changes their types, drags them to other
 * places among their siblings, deletes some and brings some back. All of it below a toggle of its own.
 */
import { type Random, randomBelow, randomFloat } from '../base/random.ts';
import type { Millis } from '../base/time.ts';
import { encodeOps, type OpDraft } from '../document/ops.ts';
import { OrderKeys } from '../document/order.ts';
import { type BlockId, idToBytes, newId } from '../protocol/ids.ts';
import type { Author, ExpectedBlock } from './author.ts';

export const BUILDER_MEAN_MS: Millis = 1000;
const TYPES = ['paragraph', 'to_do', 'bulleted_list', 'heading_2', 'quote'];
/** Blocks that one person makes at most: the page has a limit, and what is deleted counts too. */
const BLOCKS_MAX = 1000;

interface Own {
  readonly id: BlockId;
  readonly parent: BlockId;
  key: string;
  type: string;
  deleted: boolean;
  mark: number | null;
}

export class Builder implements Author {
  readonly #page: string;
  readonly #random: Random;
  readonly #keys: OrderKeys;
  readonly #now: () => Millis;
  readonly #own: Own[] = [];
  #home: Own | null = null;
  #lastKey: string | null = null;
  #at: BlockId | null = null;

  constructor(page: string, random: Random, now: () => Millis) {
    this.#page = page;
    this.#random = random;
    this.#keys = new OrderKeys(random);
    this.#now = now;
  }

  edit(): Uint8Array {
    const op = this.#home ? this.#next(this.#home) : this.#moveIn();
    this.#at = 'block' in op ? op.block : null;
    return encodeOps([op]);
  }

  #moveIn(): OpDraft {
    this.#home = this.#make(this.#page as BlockId, 'toggle');
    return this.#insertion(this.#home);
  }

  #make(parent: BlockId, type: string): Own {
    this.#lastKey = this.#keys.between(this.#lastKey, null) ?? this.#lastKey ?? 'a0';
    const id = newId<BlockId>(this.#now(), this.#random);
    return { id, parent, key: this.#lastKey, type, deleted: false, mark: null };
  }

  #insertion({ id, parent, key, type }: Own): OpDraft {
    return { op: 'insert', block: id, parent, key, type, props: {}, text: null };
  }

  #next(home: Own): OpDraft {
    const dice = randomFloat(this.#random);
    const one = this.#own[randomBelow(this.#random, Math.max(1, this.#own.length))];
    if (!one || (dice < 0.35 && this.#own.length < BLOCKS_MAX)) {
      const made = this.#make(home.id, TYPES[randomBelow(this.#random, TYPES.length)]!);
      this.#own.push(made);
      return this.#insertion(made);
    }
    if (one.deleted) {
      one.deleted = false;
      return { op: 'restore', block: one.id };
    }
    if (dice < 0.5) {
      one.deleted = true;
      return { op: 'delete', block: one.id };
    }
    if (dice < 0.65) return this.#move(one, home);
    one.mark = randomBelow(this.#random, 1000);
    const type = dice < 0.75 ? TYPES[randomBelow(this.#random, TYPES.length)]! : null;
    if (type !== null) one.type = type;
    return { op: 'update', block: one.id, props: { mark: one.mark, checked: one.mark % 2 === 0 }, type };
  }

  /** Among its siblings, at the end or in the gap before another one; never below itself. */
  #move(one: Own, home: Own): OpDraft {
    const before = this.#own[randomBelow(this.#random, this.#own.length)]!;
    const between = before === one ? undefined : this.#keys.between(null, before.key);
    one.key = between ?? this.#keys.between(this.#lastKey, null) ?? one.key;
    if (this.#lastKey === null || one.key > this.#lastKey) this.#lastKey = one.key;
    return { op: 'move', block: one.id, parent: home.id, key: one.key };
  }

  pauseMs(): Millis {
    return -BUILDER_MEAN_MS * Math.log(1 - randomFloat(this.#random));
  }

  expected(): ExpectedBlock[] {
    const all = this.#home ? [this.#home, ...this.#own] : [];
    return all.map(({ id, parent, key, type, deleted, mark }) => ({ block: id, parent, key, type, deleted, mark, text: null })); // prettier-ignore
  }

  get cursor(): { block: Uint8Array; index: number } {
    return { block: this.#at === null ? new Uint8Array(16) : idToBytes(this.#at), index: 0 };
  }
}
