/**
 * A shard's ties to the same pages on other nodes: what they tell comes by the bus, and what the bus loses is found by
 * comparing heads with the log: now and then while the bus is up, more often while it is not (or there is none), at once
 * when it comes back. The last message of a burst is the one whose loss no later message shows.
 *
 * Presence has a bus of its own, `presence-exchange.ts`. What is large is not sent from node to node: the others are told of
 * its seq, and read it from the log.
 */
import { isMalformed, decodeServerMessage } from '../protocol/decode.ts';
import { encodeServerMessage } from '../protocol/encode.ts';
import { bytesToId, type EpochId, ID_BYTES, type PageId, seq, writeId } from '../protocol/ids.ts';
import { WIRE } from '../protocol/limits.ts';
import type { WirePresence } from '../protocol/messages.ts';
import type { PresenceNews } from '../actors/presence.ts';
import type { ToldMessage } from '../actors/world.ts';
import type { Log } from '../base/log.ts';
import type { Random } from '../base/random.ts';
import type { Clock, Millis, Timer } from '../base/time.ts';
import type { Bus, OpenBus } from '../cluster/bus.ts';
import type { LogStore, PageHeadAt } from '../persistence/log-store.ts';
import { PresenceExchange } from './presence-exchange.ts';
import type { BusCounts, ShardMetrics } from './shard-metrics.ts';

export interface OtherNodesOptions {
  readonly openBus: OpenBus | null;
  readonly store: LogStore;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly metrics: Pick<ShardMetrics, 'bus'>;
  /** Time between two looks at the heads while no bus is up; 0: never. */
  readonly headPollMs: Millis;
  /** The pages whose heads matter: live, with subscribers. */
  pages(): PageId[];
  told(page: PageId, message: ToldMessage): void;
  head(at: PageHeadAt): void;
  presence(page: PageId, news: PresenceNews): void;
  /** Called after messages were handled. */
  turnEnded(): void;
}

/** While the bus is up. */
const BUS_POLL_MS = 2000;
/** A frame of ordinary size goes whole; past this it is one large change. */
const MESSAGE_BYTES_MAX = WIRE.changesBytes;

export class OtherNodes {
  readonly #options: OtherNodesOptions;
  readonly #bus: Bus | null;
  readonly #presence: PresenceExchange | null;
  readonly #counts: BusCounts | null;
  /** The pages that are followed, each with the epoch that it was read in; null while it is loaded. */
  readonly #epochByPage = new Map<PageId, EpochId | null>();
  /** Those that were told of while they were loaded. */
  readonly #toldEarly = new Set<PageId>();
  #timer: Timer | undefined;
  #polledAt: Millis;
  #polling = false;
  #pollAgain = false;
  #turnEnds = false;
  #closed = false;

  constructor(options: OtherNodesOptions) {
    this.#options = options;
    const events = {
      message: (page: PageId, payload: Uint8Array) => this.#received(page, payload),
      // It has been loaded by now: what was told in between was not heard.
      following: (page: PageId) => this.#epochByPage.get(page) && this.#pollNow(),
      ready: () => this.#pollNow(),
    };
    this.#polledAt = options.clock.monotonic();
    const { openBus, metrics, clock, random, log } = options;
    this.#bus = openBus?.('changes', events) ?? null;
    this.#counts = openBus && metrics.bus(() => this.#bus!.isUp && this.#presence!.isUp);
    const heard = (page: PageId, news: PresenceNews) => {
      options.presence(page, news);
      this.#endTurnSoon();
    };
    this.#presence =
      openBus &&
      new PresenceExchange({
        openBus,
        clock,
        random,
        log,
        counts: this.#counts!,
        epochOf: (page) => this.#epochByPage.get(page) ?? null,
        heard,
      });
    this.#pollLater();
  }

  /** Hears of this page from here on: it is being loaded. */
  follow(page: PageId): void {
    if (!this.#bus) return;
    const isNew = !this.#epochByPage.has(page);
    this.#epochByPage.set(page, null);
    if (!isNew) return;
    this.#bus.subscribe(page);
    this.#presence!.follow(page);
  }

  /** Nothing is told or heard across epochs. */
  loaded(page: PageId, epoch: EpochId): void {
    if (!this.#epochByPage.has(page)) return;
    this.#epochByPage.set(page, epoch);
    this.#presence!.ask(page);
    if (this.#toldEarly.delete(page)) this.#pollNow();
  }

  /** Forgets the pages that are not live any more. */
  retain(isLive: (page: PageId) => boolean): void {
    for (const page of this.#epochByPage.keys()) {
      if (isLive(page)) continue;
      this.#bus!.unsubscribe(page);
      this.#presence!.forget(page);
      this.#epochByPage.delete(page);
      this.#toldEarly.delete(page);
    }
  }

  tell(page: PageId, frame: Uint8Array): void {
    const epoch = this.#epochByPage.get(page);
    if (!this.#bus || !epoch) return;
    const sent = frame.length > MESSAGE_BYTES_MAX ? placeOf(frame) : frame;
    const message = new Uint8Array(ID_BYTES + sent.length);
    writeId(epoch, message, 0);
    message.set(sent, ID_BYTES);
    this.#counts!.published('changes', this.#bus.publish(page, message));
  }

  sharePresence(page: PageId, kind: 'change' | 'list', states: readonly WirePresence[]): void {
    this.#presence?.share(page, kind, states);
  }

  /** One turn for all that came at once. */
  #endTurnSoon(): void {
    if (this.#turnEnds) return;
    this.#turnEnds = true;
    queueMicrotask(() => {
      this.#turnEnds = false;
      if (!this.#closed) this.#options.turnEnded();
    });
  }

  #received(page: PageId, payload: Uint8Array): void {
    if (this.#closed) return;
    this.#counts!.received('changes');
    if (this.#epochByPage.get(page) === null) this.#toldEarly.add(page);
    // Of another epoch, or a stranger's: nothing of it is in the log that this page was made from.
    if (payload.length < ID_BYTES || bytesToId<EpochId>(payload) !== this.#epochByPage.get(page)) return;
    const message = decodeServerMessage(payload.subarray(ID_BYTES));
    if (isMalformed(message)) {
      // A newer node: the log has what matters.
      this.#options.log.warn({ page, reason: message.malformed }, 'a message of another node cannot be read');
    } else if (message.kind === 'changes' || message.kind === 'committed') this.#options.told(page, message);
    this.#endTurnSoon();
  }

  /** Looks every `headPollMs` whether it is time: the bus may have gone down since. */
  #pollLater(): void {
    const { clock, headPollMs } = this.#options;
    if (headPollMs === 0) return;
    this.#timer = clock.after(headPollMs, () => {
      const everyMs = this.#bus?.isUp ? Math.max(BUS_POLL_MS, headPollMs) : headPollMs;
      if (clock.monotonic() - this.#polledAt >= everyMs) this.#pollNow();
      this.#pollLater();
    });
  }

  #pollNow(): void {
    // What a poll under way has read may be older than this call.
    if (this.#polling) this.#pollAgain = true;
    else if (!this.#closed) void this.#poll();
  }

  async #poll(): Promise<void> {
    const { store, pages, head, clock } = this.#options;
    this.#polledAt = clock.monotonic();
    const asked = pages();
    if (asked.length === 0) return;
    this.#polling = true;
    try {
      for (const at of await store.readHeads(asked)) head(at);
      this.#options.turnEnded();
    } catch {
      // The outside world: whoever appends or loads says that the database is away; this looks again anyway.
    } finally {
      this.#polling = false;
    }
    if (!this.#pollAgain) return;
    this.#pollAgain = false;
    this.#pollNow();
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#timer?.cancel();
    await Promise.all([this.#bus?.close(), this.#presence?.close()]);
  }
}

/** Instead of a large frame: that its last change is in the log. What is not in the log goes whole, there is nowhere to read it. */
function placeOf(frame: Uint8Array): Uint8Array {
  const message = decodeServerMessage(frame);
  if (isMalformed(message) || message.kind !== 'changes' || message.firstSeq === 0) return frame;
  const { page, firstSeq, changes } = message;
  const { replica, n, hlc } = changes.at(-1)!;
  const last = seq(firstSeq + changes.length - 1);
  return encodeServerMessage({ kind: 'committed', page, firstSeq: last, changes: [{ replica, n, hlc }] });
}
