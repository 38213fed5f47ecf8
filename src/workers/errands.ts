/**
 * What a shard does at the store on behalf of its actors: loads and snapshots. The answer goes to the actor that asked,
 * never to one that has taken its place meanwhile. A load that fails says in the log what it was and how to repair it.
 */
import type { PageActor } from '../actors/page-actor.ts';
import { PageDamagedError } from '../actors/page-damage.ts';
import { LogMovedError, NoAnswerError, NoRoomError, type PageLoader } from '../actors/page-loader.ts';
import type { PageMessage, TakenSnapshot } from '../actors/world.ts';
import { AssertionError } from '../base/assert.ts';
import { type Log, stackOf } from '../base/log.ts';
import type { Clock, Millis } from '../base/time.ts';
import type { PageKind } from '../persistence/log-store.ts';
import { StoreError } from '../persistence/store-error.ts';
import type { PageId } from '../protocol/ids.ts';
import { Setbacks } from './setbacks.ts';
import type { ShardMetrics } from './shard-metrics.ts';

export interface ErrandsOptions {
  readonly loader: PageLoader;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Pick<ShardMetrics, 'loadMs' | 'noRoom' | 'snapshot' | 'snapshotFailed'>;
  answer(actor: PageActor, message: PageMessage): void;
  turnEnded(): void;
}

/** While the store itself fails: it is the same for all pages, and over when it is over. */
const STORE_RETRY_MS = 1000;
const BROKEN = 'a broken invariant ended a page’s actor; it will be reloaded';
const FAILED = 'an error ended a page’s actor; it will be reloaded';
const LOAD_LATER = 'the page cannot be loaded just now';
/** While pages in use take all memory: some of them will not be for long. */
const NO_ROOM_RETRY_MS = 2000;
/** For a page that is damaged, or whose actor broke. */
const SETBACKS = { free: 0, firstMs: 250, maxMs: 60_000, forgetMs: 300_000 };

export class Errands {
  readonly #options: ErrandsOptions;
  readonly #setbacks = new Setbacks(SETBACKS);

  constructor(options: ErrandsOptions) {
    this.#options = options;
  }

  get loadsWaiting(): number {
    return this.#options.loader.waiting;
  }

  /** ms for which a page that failed is left alone. */
  waitMs(page: PageId): Millis {
    return Math.ceil(this.#setbacks.waitMs(page, this.#options.clock.monotonic()));
  }

  /** Says in the log what ended a page's actor, and returns when it may be tried again. */
  ended(page: PageId, error: unknown): Millis {
    return this.#failed(page, error, error instanceof AssertionError ? BROKEN : FAILED);
  }

  #failed(page: PageId, error: unknown, what: string): Millis {
    const { clock, log } = this.#options;
    const retryMs = this.#setbacks.note(page, clock.monotonic());
    if (error instanceof PageDamagedError) {
      const fields = { page, seq: error.seq, error: error.message, retryMs, repair: `octavo verify ${page}` };
      log.error(fields, 'a page is damaged and unavailable; docs/operations.md says what to do');
    } else log.error({ page, error: stackOf(error), retryMs }, what);
    return retryMs;
  }

  async load(actor: PageActor, create: PageKind | null): Promise<void> {
    const { loader, clock, log, metrics, answer, turnEnded } = this.#options;
    const started = clock.monotonic();
    let message: PageMessage;
    try {
      const loaded = await loader.load(actor.page, create, () => {
        answer(actor, { type: 'load_slow', message: LOAD_LATER, retryAfterMs: STORE_RETRY_MS });
        turnEnded();
      });
      message = loaded ? { type: 'loaded', page: loaded } : { type: 'absent' };
    } catch (error) {
      // The outside world, or a damaged page: unavailable, never empty.
      message = this.#loadFailed(actor.page, error);
    }
    const ms = clock.monotonic() - started;
    metrics.loadMs(ms, message.type !== 'load_failed');
    if (message.type === 'loaded') {
      const { snapshot, tail } = message.page;
      const fields = { page: actor.page, ms: Math.round(ms), seq: snapshot?.seq ?? 0, changes: tail.length };
      log.debug(fields, 'a page was loaded');
    }
    answer(actor, message);
    turnEnded();
  }

  #loadFailed(page: PageId, error: unknown): PageMessage {
    const isPassing = error instanceof NoAnswerError || error instanceof LogMovedError;
    // Closed: the node stops, and clients are on their way to another.
    if (isPassing || (error instanceof StoreError && (error.retryable || error.code === 'closed'))) {
      this.#options.log.warn({ page, error: error.message }, 'a page cannot be loaded just now');
      return {
        type: 'load_failed',
        message: LOAD_LATER,
        retryAfterMs: STORE_RETRY_MS,
      };
    }
    if (error instanceof NoRoomError) {
      this.#options.metrics.noRoom();
      return { type: 'load_failed', message: error.message, retryAfterMs: NO_ROOM_RETRY_MS };
    }
    const retryAfterMs = this.#failed(page, error, 'a page cannot be loaded');
    return {
      type: 'load_failed',
      message: 'the page cannot be loaded; the server’s log says why',
      retryAfterMs,
    };
  }

  async saveSnapshot(actor: PageActor, taken: TakenSnapshot): Promise<void> {
    const { loader, clock, log, metrics, answer, turnEnded } = this.#options;
    const started = clock.monotonic();
    try {
      const snapshot = await loader.save(actor.page, taken);
      metrics.snapshot(snapshot.body.length, clock.monotonic() - started);
      answer(actor, { type: 'snapshot_saved', snapshot });
    } catch (error) {
      // The outside world: the log has everything, the next snapshot covers more.
      metrics.snapshotFailed();
      log.warn({ page: actor.page, error: String(error) }, 'a snapshot could not be stored');
      answer(actor, { type: 'snapshot_failed' });
    }
    turnEnded();
  }
}
