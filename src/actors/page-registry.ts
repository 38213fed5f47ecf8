/**
 * The live pages of a shard: find or start one, and let go of those that nobody uses. A page without subscribers leaves
 * after `idleMs`. When the pages take more than `bytesMax`, whoever is idle leaves at once, longest idle first; then pages
 * with subscribers are put to rest (`held-model.ts`), the largest first; if that is not enough, no page is loaded any more
 * (`hasRoom`) until it is. A page with news is snapshotted on its way out, so that it loads quickly when it is wanted again.
 */
import type { Millis } from '../base/time.ts';
import type { PageId } from '../protocol/ids.ts';
import { busiest, type PageFigures, type PageSort } from './page-figures.ts';
import { PageActor } from './page-actor.ts';
import type { ActorWorld } from './world.ts';

export interface EvictionPolicy {
  readonly idleMs: number;
  readonly bytesMax: number;
}

/** Runs a step of an actor that may fail, as everywhere: then it ends alone. */
export type Guard = (actor: PageActor, step: () => void) => void;

export interface PageTotals {
  readonly pages: number;
  readonly atRest: number;
  readonly bytes: number;
  readonly queued: number;
  readonly subscribers: number;
}

/** Short of memory, this much is made free, so that not every load has to look at every page. */
const SLACK = 0.9;
const RECOUNT_MS = 1000;
/** A page with news that leaves holds its encoded state until it is stored: so much of the memory may go in a second. */
const NEWS_LEAVING_SHARE = 1 / 2;

export class PageRegistry {
  readonly #actors = new Map<PageId, PageActor>();
  readonly #world: ActorWorld;
  readonly #policy: EvictionPolicy;
  readonly #evicted: (page: PageId) => void;
  readonly #guard: Guard;
  /** What all pages took when they were last counted, and what was loaded since. */
  #bytes = 0;
  /** When nothing more could be made free; looked at again in the next second. */
  #fullAt = -Infinity;
  #newsBytesLeft: number;

  constructor(world: ActorWorld, policy: EvictionPolicy, evicted: (page: PageId) => void, guard: Guard) {
    this.#guard = guard;
    this.#world = world;
    this.#policy = policy;
    this.#newsBytesLeft = policy.bytesMax * NEWS_LEAVING_SHARE;
    this.#evicted = evicted;
  }

  /** The page, live or loading; started if it is neither. */
  open(page: PageId): PageActor {
    const found = this.#actors.get(page);
    if (found && !found.isGone) return found;
    const actor = new PageActor(page, this.#world);
    // Known before it asks for anything: the answers are for it alone.
    this.#actors.set(page, actor);
    actor.start();
    return actor;
  }

  get(page: PageId): PageActor | undefined {
    return this.#actors.get(page);
  }

  /** Forgets an actor that is gone. */
  drop(actor: PageActor): void {
    if (this.#actors.get(actor.page) === actor) this.#actors.delete(actor.page);
  }

  all(): IterableIterator<PageActor> {
    return this.#actors.values();
  }

  totals(): PageTotals {
    let [bytes, queued, atRest, subscribers] = [0, 0, 0, 0];
    for (const actor of this.#actors.values()) {
      bytes += actor.bytes;
      queued += actor.queueLength;
      subscribers += actor.subscribers;
      if (actor.isAtRest) atRest++;
    }
    return { pages: this.#actors.size, atRest, bytes, queued, subscribers };
  }

  /** The busiest pages, as `sort` has it. */
  busiest(sort: PageSort, limit: number): PageFigures[] {
    return busiest(this.#figures(this.#world.clock.monotonic()), sort, limit);
  }

  *#figures(now: Millis): Generator<PageFigures> {
    for (const { page, subscribers, bytes, queueLength: queued, pulse } of this.#actors.values())
      yield { page, subscribers, bytes, queued, ...pulse.figures(now) };
  }

  /** A page has come into memory. */
  loaded(actor: PageActor): void {
    this.#bytes += actor.bytes;
  }

  /** Whether another page may be loaded; makes room if it can. */
  hasRoom(now: number): boolean {
    const { bytesMax } = this.#policy;
    if (this.#bytes < bytesMax) return true;
    if (now - this.#fullAt < RECOUNT_MS) return false;
    this.#reclaim(now, bytesMax * SLACK);
    if (this.#bytes < bytesMax) return true;
    this.#fullAt = now;
    return false;
  }

  /** Once a second: gives every page its tick, and evicts. */
  sweep(now: number): void {
    this.#newsBytesLeft = this.#policy.bytesMax * NEWS_LEAVING_SHARE;
    this.#fullAt = -Infinity;
    for (const actor of this.#actors.values()) {
      if (actor.isGone) this.#actors.delete(actor.page);
      else {
        this.#guard(actor, () => actor.receive({ type: 'tick' }));
        const idleMs = actor.idleMs(now);
        if (idleMs > 0 && idleMs >= this.#policy.idleMs) this.#evict(actor);
      }
    }
    this.#bytes = this.totals().bytes;
    if (this.#bytes > this.#policy.bytesMax) this.#reclaim(now, this.#policy.bytesMax);
  }

  /** Brings the pages down to `goal` bytes, as far as that goes without taking one from anybody. */
  #reclaim(now: number, goal: number): void {
    this.#bytes = this.totals().bytes;
    const idle = [...this.#actors.values()].filter((actor) => actor.idleMs(now) > 0);
    idle.sort((a, b) => b.idleMs(now) - a.idleMs(now));
    for (const actor of idle) {
      if (this.#bytes <= goal) return;
      const { bytes } = actor;
      if (this.#evict(actor)) this.#bytes -= bytes;
    }
    const awake = [...this.#actors.values()].filter((actor) => !actor.isAtRest);
    awake.sort((a, b) => b.bytes - a.bytes);
    for (const actor of awake) {
      if (this.#bytes <= goal) return;
      const { bytes } = actor;
      this.#guard(actor, () => actor.rest(true));
      this.#bytes -= bytes - actor.bytes;
    }
  }

  #evict(actor: PageActor): boolean {
    if (!actor.isQuiet) {
      if (this.#newsBytesLeft <= 0) return false;
      this.#newsBytesLeft -= actor.bytes;
    }
    // The encoded state outlives the actor: the store has it on its way.
    this.#guard(actor, () => actor.snapshot(true));
    if (!actor.evict()) return false;
    this.#actors.delete(actor.page);
    this.#evicted(actor.page);
    return true;
  }
}
