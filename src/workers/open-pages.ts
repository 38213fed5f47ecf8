/**
 * Which page a connection has open under which ch, as its shard was told. Kept by the shard.
 */
import type { PageId } from '../protocol/ids.ts';

export class OpenPages {
  readonly #byConnection = new Map<number, Map<number, PageId>>();

  find(connection: number, ch: number): PageId | undefined {
    return this.#byConnection.get(connection)?.get(ch);
  }

  open(connection: number, ch: number, page: PageId): void {
    let pages = this.#byConnection.get(connection);
    if (!pages) this.#byConnection.set(connection, (pages = new Map()));
    pages.set(ch, page);
  }

  /** The page that was open there. */
  close(connection: number, ch: number): PageId | undefined {
    const page = this.find(connection, ch);
    this.#byConnection.get(connection)?.delete(ch);
    return page;
  }

  /** All of a connection that is gone. */
  closeAll(connection: number): PageId[] {
    const pages = [...(this.#byConnection.get(connection)?.values() ?? [])];
    this.#byConnection.delete(connection);
    return pages;
  }
}
