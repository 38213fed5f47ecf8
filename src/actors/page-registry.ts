/**
 * The live pages of a shard: find or start one, and let go of those that nobody uses. A page without subscribers leaves
 * after `idleMs`, earlier when the shard is past its memory budget (longest idle first); a page with news is snapshotted
 * on its way out, so that it loads quickly when it is wanted again.
 */
import type { PageId } from '../protocol/ids.ts';
import { PageActor } from './page-actor.ts';
import type { ActorWorld } from './world.ts';

export interface EvictionPolicy {
  readonly idleMs: number;
  readonly bytesMax: number;
}

export class PageRegistry {
  readonly #actors = new Map<PageId, PageActor>();
  readonly #world: ActorWorld;
  readonly #policy: EvictionPolicy;
  readonly #evicted: () => void;

  constructor(world: ActorWorld, policy: EvictionPolicy, evicted: () => void) {
    this.#world = world;
    this.#policy = policy;
    this.#evicted = evicted;
  }

  /** The page, live or loading; started if it is neither. */
  open(page: PageId): PageActor {
    const found = this.#actors.get(page);
    if (found && !found.isGone) return found;
    const actor = new PageActor(page, this.#world);
    this.#actors.set(page, actor);
    return actor;
  }

  get(page: PageId): PageActor | undefined {
    return this.#actors.get(page);
  }

  drop(page: PageId): void {
    this.#actors.delete(page);
  }

  all(): IterableIterator<PageActor> {
    return this.#actors.values();
  }

  totals(): { pages: number; bytes: number; queued: number } {
    let bytes = 0;
    let queued = 0;
    for (const actor of this.#actors.values()) {
      bytes += actor.bytes;
      queued += actor.queueLength;
    }
    return { pages: this.#actors.size, bytes, queued };
  }

  /** Once a second: gives every page its tick, and evicts. */
  sweep(now: number): void {
    const idle: { actor: PageActor; idleMs: number }[] = [];
    let bytes = 0;
    for (const actor of this.#actors.values()) {
      if (actor.isGone) this.#actors.delete(actor.page);
      else {
        actor.receive({ type: 'tick' });
        bytes += actor.bytes;
        const idleMs = actor.idleMs(now);
        if (idleMs > 0) idle.push({ actor, idleMs });
      }
    }
    idle.sort((a, b) => b.idleMs - a.idleMs);
    for (const { actor, idleMs } of idle) {
      if (idleMs < this.#policy.idleMs && bytes <= this.#policy.bytesMax) break;
      const size = actor.bytes;
      // The encoded state outlives the actor: the store has it on its way.
      actor.snapshot(true);
      if (!actor.evict()) continue;
      bytes -= size;
      this.#actors.delete(actor.page);
      this.#evicted();
    }
  }
}
