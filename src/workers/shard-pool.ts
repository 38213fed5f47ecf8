/**
 * All shards of a node: routes records to them, one batch per turn and shard, and starts a dead shard again. What the
 * dead one had not committed was not acknowledged: its clients are told to subscribe again, and resend.
 */
import { busiest, type PageFigures } from '../actors/page-figures.ts';
import type { Log } from '../base/log.ts';
import { backoffMs, type Random } from '../base/random.ts';
import { type Clock, endOfTurn, type Millis, type Timer } from '../base/time.ts';
import type { PageId, ShardIndex } from '../protocol/ids.ts';
import { batchTimes, type BatchTimes, EnvelopeWriter, readEnvelope } from './envelope.ts';
import { openLocalShard } from './local-port.ts';
import { MergedMetrics, type MetricList } from './merged-metrics.ts';
import { shardOf } from './page-hash.ts';
import type { PagesQuery, ShardConfig, ShardPort } from './port.ts';
import { Setbacks } from './setbacks.ts';
import { openThreadShard } from './thread-port.ts';
import { WorkingPage } from './working-page.ts';

export interface ShardPoolOptions {
  /** 0: one shard in this thread. */
  readonly shards: number;
  readonly config: Omit<ShardConfig, 'index' | 'working'>;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
}

/** What a gateway asks of its shards. */
export interface Shards {
  shardOf(page: PageId): ShardIndex;
  post(shard: ShardIndex, type: number, connection: number, bytes: Uint8Array): void;
  /** ms until the page may be asked for: its shard is being started anew, or it has ended its shard too often. 0: now. */
  unavailableMs(page: PageId): Millis;
}

/** A live page, and where it lives. */
export interface NodePage extends PageFigures {
  readonly shard: number;
}

export interface ShardPoolEvents {
  record(type: number, connection: number, bytes: Uint8Array): void;
  /** All records of a batch were handled. */
  batchDone(times: BatchTimes): void;
  /** It died with all that was not committed; its clients are to come back after `retryMs`. */
  shardLost(shard: ShardIndex, retryMs: Millis): void;
}

const RESTART_FIRST_MS = 100;
const RESTART_MAX_MS = 10_000;
/** A shard that lived this long is not counted as failing to start. */
const HEALTHY_MS = 60_000;
const BEAT_MS = 1000;
/** What a shard takes to start, about: clients that come earlier only wait for it. */
const START_MS = 250;
/** A page with which its shard died three times is left alone for half a minute, then longer. */
const DEADLY = { free: 2, firstMs: 30_000, maxMs: 600_000, forgetMs: 1_800_000 };

interface Slot {
  port: ShardPort;
  readonly out: EnvelopeWriter;
  startedAt: number;
  failures: number;
  /** Null while it runs. */
  restartsAt: number | null;
  working: WorkingPage;
}

export class ShardPool implements Shards {
  readonly #options: ShardPoolOptions;
  readonly #events: ShardPoolEvents;
  readonly #slots: Slot[] = [];
  readonly #count: number;
  readonly #deadly = new Setbacks(DEADLY);
  readonly #metrics = new MergedMetrics();
  #beats: Timer | undefined;
  #flushing = false;
  /** When the first record of this turn was posted. */
  #turnAt: Millis = 0;
  #draining = false;

  constructor(options: ShardPoolOptions, events: ShardPoolEvents) {
    this.#options = options;
    this.#events = events;
    this.#count = Math.max(1, options.shards);
    for (let index = 0; index < this.#count; index++) {
      this.#slots.push({ ...this.#open(index), out: new EnvelopeWriter(), failures: 0 });
    }
    this.#beatLater();
  }

  get count(): number {
    return this.#count;
  }

  #open(index: number): Pick<Slot, 'port' | 'startedAt' | 'restartsAt' | 'working'> {
    const working = WorkingPage.allocate();
    const config: ShardConfig = { ...this.#options.config, index, working };
    const events = {
      onBatch: (batch: Uint8Array) => {
        readEnvelope(batch, this.#events.record);
        this.#events.batchDone(batchTimes(batch));
      },
      onExit: (reason: string) => this.#lost(index, reason),
    };
    const port =
      this.#options.shards === 0
        ? openLocalShard(config, this.#options.log, events)
        : openThreadShard(config, events);
    return {
      port,
      startedAt: this.#options.clock.monotonic(),
      restartsAt: null,
      working: new WorkingPage(working),
    };
  }

  #lost(index: number, reason: string): void {
    if (this.#draining) return;
    const slot = this.#slots[index]!;
    const { clock, random, log } = this.#options;
    const now = clock.monotonic();
    const lived = now - slot.startedAt;
    slot.failures = lived > HEALTHY_MS ? 0 : slot.failures + 1;
    const restartMs =
      slot.failures <= 1 ? 0 : Math.round(backoffMs(random, slot.failures, RESTART_FIRST_MS, RESTART_MAX_MS));
    const { page } = slot.working;
    log.error({ shard: index, reason, page, livedMs: Math.round(lived), restartMs }, 'a shard died');
    this.#suspect(page, now);
    slot.out.take();
    void this.#metrics.ended(index);
    slot.restartsAt = now + restartMs;
    const restart = () => void (this.#draining || Object.assign(slot, this.#open(index)));
    if (restartMs === 0) restart();
    else clock.after(restartMs, restart);
    this.#events.shardLost(index as ShardIndex, restartMs + START_MS);
  }

  /** The page that was being worked on when its shard died. */
  #suspect(page: PageId | undefined, now: Millis): void {
    const aloneMs = page === undefined ? 0 : this.#deadly.note(page, now);
    if (aloneMs === 0) return;
    const fields = { page, aloneMs, repair: `octavo verify ${page}` };
    this.#options.log.error(fields, 'a page ended its shard too often and is unavailable for a while');
  }

  unavailableMs(page: PageId): Millis {
    const now = this.#options.clock.monotonic();
    const { restartsAt } = this.#slots[this.shardOf(page)]!;
    const restartMs = restartsAt === null ? 0 : Math.max(0, restartsAt - now) + START_MS;
    return Math.ceil(Math.max(restartMs, this.#deadly.waitMs(page, now)));
  }

  /** A thread that is in an endless loop says nothing: it is ended, and started like one that died. */
  #beatLater(): void {
    this.#beats = this.#options.clock.after(BEAT_MS, () => {
      for (const { port, restartsAt } of this.#slots) {
        if (restartsAt === null && port.beat()) void port.kill('it gave no sign of life');
      }
      this.#beatLater();
    });
  }

  shardOf(page: PageId): ShardIndex {
    return shardOf(page, this.#count);
  }

  /** Adds a record to a shard's batch of this turn. */
  post(shard: ShardIndex, type: number, connection: number, bytes: Uint8Array): void {
    this.#slots[shard]!.out.add(type, connection, bytes);
    if (this.#flushing) return;
    this.#flushing = true;
    this.#turnAt = this.#options.clock.monotonic();
    endOfTurn(() => this.#flush());
  }

  #flush(): void {
    this.#flushing = false;
    const times = { at: this.#turnAt, since: Infinity };
    for (const { out, port } of this.#slots) if (!out.isEmpty) port.post(out.take(times));
  }

  /** The metrics of all shards, merged, in Prometheus' text format; with those of `own` added. */
  async metrics(own: MetricList): Promise<string> {
    const answers = await Promise.allSettled(this.#slots.map((slot) => slot.port.metrics()));
    return this.#metrics.merge(
      own,
      answers.map((answer) => (answer.status === 'fulfilled' ? answer.value : undefined)),
    );
  }

  /** The busiest pages of all shards; of those that answer. */
  async pages(query: PagesQuery): Promise<NodePage[]> {
    const answers = await Promise.allSettled(this.#slots.map((slot) => slot.port.pages(query)));
    const pages = answers.flatMap((answer, shard) =>
      answer.status === 'fulfilled' ? answer.value.map((figures) => ({ ...figures, shard })) : [],
    );
    return busiest(pages, query.sort, query.limit);
  }

  /** Ends a shard without warning: for tests. */
  kill(shard: ShardIndex): Promise<void> {
    return this.#slots[shard]!.port.kill('killed');
  }

  async drain(deadlineMs: number): Promise<void> {
    this.#flush();
    this.#draining = true;
    this.#beats?.cancel();
    await Promise.all(this.#slots.map((slot) => slot.port.drain(deadlineMs)));
  }
}
