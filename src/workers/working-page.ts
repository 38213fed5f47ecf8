/**
 * Which page a shard is at work on, in memory that outlives its thread: when the thread dies, the pool reads whom it died
 * with. A page that ends its thread again and again can so be left alone, and the others of its shard are served.
 *
 * It is a suspicion, not a proof: memory may run out in one page's step because of another. So it takes several deaths.
 * Layout: a flag (1: at work), then the 16 bytes of the page's id.
 */
import { bytesToId, ID_BYTES, type PageId, writeId } from '../protocol/ids.ts';

export class WorkingPage {
  readonly #bytes: Uint8Array;
  #last: PageId | undefined;

  constructor(memory: SharedArrayBuffer) {
    this.#bytes = new Uint8Array(memory);
  }

  static allocate(): SharedArrayBuffer {
    return new SharedArrayBuffer(1 + ID_BYTES);
  }

  /** In the shard, before a step of the page's. */
  enter(page: PageId): void {
    if (page !== this.#last) {
      writeId(page, this.#bytes, 1);
      this.#last = page;
    }
    this.#bytes[0] = 1;
  }

  /** After the step. A thread that ends in it never comes here. */
  leave(): void {
    this.#bytes[0] = 0;
  }

  /** In the pool, when the thread has ended: the page it died with; undefined if it was between two steps. */
  get page(): PageId | undefined {
    // Copied: ids are read from memory of one's own.
    return this.#bytes[0] === 1 ? bytesToId<PageId>(this.#bytes.slice(), 1) : undefined;
  }
}
