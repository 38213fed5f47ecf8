/**
 * The edits of one client on their way: when each was due, by its number from 0. What every listener of that client
 * looks up.
 */

/** Edits of one client under way, at most. */
const RING = 1 << 13;

export class EditRing {
  readonly #dueAt = new Float64Array(RING);
  /** Edits made. */
  count = 0;

  add(dueAt: number): number {
    this.#dueAt[this.count % RING] = dueAt;
    return this.count++;
  }

  dueAt(edit: number): number {
    return this.#dueAt[edit % RING]!;
  }
}
