/**
 * The fuse: a stall of the database does not stop people. When the oldest queued change has waited for `stallMs`, the
 * page is told of the whole queue before its commit (volatile: first seq 0, no acknowledgement), and of each further
 * change at the end of its turn, until an append succeeds. With `stallMs` 0 everything is told so.
 */
import type { Millis } from '../base/time.ts';
import type { PageId } from '../protocol/ids.ts';
import type { ChangeQueue } from './change-queue.ts';
import type { StoredChange } from '../persistence/log-store.ts';
import { volatileFrame, volatileFrames } from './volatile-frames.ts';
import type { ActorWorld } from './world.ts';

export class Fuse {
  readonly #page: PageId;
  readonly #world: ActorWorld;
  readonly #queue: ChangeQueue;
  #blown: boolean;

  constructor(page: PageId, world: ActorWorld, queue: ChangeQueue) {
    this.#page = page;
    this.#world = world;
    this.#queue = queue;
    this.#blown = world.stallMs === 0;
  }

  /** A change was queued. */
  queued(): void {
    this.#world.watch(this.#page);
    if (this.#blown) this.#world.markUntold(this.#page);
  }

  /** Whether the oldest change has waited too long: looked at now and then. Returns how long it has, null if none waits. */
  check(now: Millis): Millis | null {
    const oldest = this.#queue.all[0];
    if (!oldest) return null;
    const waited = now - oldest.since;
    if (!this.#blown && waited >= this.#world.stallMs) {
      this.#world.counts.stall();
      this.blow();
    }
    return waited;
  }

  blow(): void {
    this.#blown = true;
    this.#world.markUntold(this.#page);
  }

  /** An append succeeded, or nothing waits. Another node's change in the queue is a stall of that node. */
  mend(): void {
    this.#blown = this.#world.stallMs === 0 || this.#queue.hasForeign;
  }

  /** Tells what is queued and not told yet, here and on other nodes. */
  tell(): void {
    if (this.#blown) for (const frame of this.#untold()) this.everywhere(frame);
  }

  /** Tells it here only: it comes from another node. */
  tellHere(): void {
    for (const frame of this.#untold()) this.#world.publish(this.#page, frame);
  }

  #untold(): Uint8Array[] {
    const changes = this.#queue.takeUntold().map(({ change }) => change);
    if (changes.length > 0) this.#world.counts.volatile(changes.length);
    return volatileFrames(this.#page, changes);
  }

  /** Bytes of what was told and is not committed: one who joins is to know it besides the log. */
  get toldBytes(): number {
    return this.#queue.told.reduce((sum, { change }) => sum + change.body.length, 0);
  }

  get newestTold(): StoredChange | undefined {
    return this.#queue.told.at(-1)?.change;
  }

  /**
   * The next frame of it after the change `after` (null: from the first), up to `to`; undefined when there is no more. What
   * stood before a change that is gone is gone as well: the queue commits from its front.
   */
  toldAfter(after: StoredChange | null, to: StoredChange): { frame: Uint8Array; last: StoredChange } | undefined {
    const told = this.#queue.told.map(({ change }) => change);
    const from = after ? told.indexOf(after) + 1 : 0;
    const end = told.indexOf(to) + 1;
    return from < end ? volatileFrame(this.#page, told.slice(from, end)) : undefined;
  } // prettier-ignore

  everywhere(frame: Uint8Array): void {
    this.#world.publish(this.#page, frame);
    this.#world.tellNodes(this.#page, frame);
  }
}
