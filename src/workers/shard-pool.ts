/**
 * All shards of a node: routes records to them, one batch per turn and shard, and starts a dead shard again. What the
 * dead one had not committed was not acknowledged: its clients are told to subscribe again, and resend.
 */
import { AggregatorRegistry } from 'prom-client';
import type { Log } from '../base/log.ts';
import { backoffMs, type Random } from '../base/random.ts';
import { type Clock, endOfTurn } from '../base/time.ts';
import type { PageId, ShardIndex } from '../protocol/ids.ts';
import { EnvelopeWriter, readEnvelope } from './envelope.ts';
import { openLocalShard } from './local-port.ts';
import { shardOf } from './page-hash.ts';
import type { ShardConfig, ShardPort } from './port.ts';
import { openThreadShard } from './thread-port.ts';

export interface ShardPoolOptions {
  /** 0: one shard in this thread. */
  readonly shards: number;
  readonly config: Omit<ShardConfig, 'index'>;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
}

export interface ShardPoolEvents {
  record(type: number, connection: number, bytes: Uint8Array): void;
  shardLost(shard: ShardIndex): void;
}

const RESTART_FIRST_MS = 100;
const RESTART_MAX_MS = 10_000;
/** A shard that lived this long is not counted as failing to start. */
const HEALTHY_MS = 60_000;

interface Slot {
  port: ShardPort;
  readonly out: EnvelopeWriter;
  startedAt: number;
  failures: number;
}

export class ShardPool {
  readonly #options: ShardPoolOptions;
  readonly #events: ShardPoolEvents;
  readonly #slots: Slot[] = [];
  readonly #count: number;
  #flushing = false;
  #draining = false;

  constructor(options: ShardPoolOptions, events: ShardPoolEvents) {
    this.#options = options;
    this.#events = events;
    this.#count = Math.max(1, options.shards);
    for (let index = 0; index < this.#count; index++) {
      const startedAt = options.clock.monotonic();
      this.#slots.push({ port: this.#open(index), out: new EnvelopeWriter(), startedAt, failures: 0 });
    }
  }

  get count(): number {
    return this.#count;
  }

  #open(index: number): ShardPort {
    const config: ShardConfig = { ...this.#options.config, index };
    const events = {
      onBatch: (batch: Uint8Array) => readEnvelope(batch, this.#events.record),
      onExit: (reason: string) => this.#lost(index, reason),
    };
    return this.#options.shards === 0
      ? openLocalShard(config, this.#options.log, events)
      : openThreadShard(config, events);
  }

  #lost(index: number, reason: string): void {
    if (this.#draining) return;
    const slot = this.#slots[index]!;
    const { clock, random, log } = this.#options;
    const lived = clock.monotonic() - slot.startedAt;
    slot.failures = lived > HEALTHY_MS ? 0 : slot.failures + 1;
    const delayMs =
      slot.failures <= 1 ? 0 : backoffMs(random, slot.failures, RESTART_FIRST_MS, RESTART_MAX_MS);
    log.error(
      { shard: index, reason, livedMs: Math.round(lived), restartMs: Math.round(delayMs) },
      'a shard died',
    );
    slot.out.take();
    clock.after(delayMs, () => {
      if (this.#draining) return;
      slot.startedAt = clock.monotonic();
      slot.port = this.#open(index);
      this.#events.shardLost(index as ShardIndex);
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
    endOfTurn(() => this.#flush());
  }

  #flush(): void {
    this.#flushing = false;
    for (const { out, port } of this.#slots) if (!out.isEmpty) port.post(out.take());
  }

  /** The metrics of all shards, merged, in Prometheus' text format; with those of `own` added. */
  async metrics(own: unknown): Promise<string> {
    const answers = await Promise.allSettled(this.#slots.map((slot) => slot.port.metrics()));
    const parts = [
      own,
      ...answers.flatMap((answer) => (answer.status === 'fulfilled' ? [answer.value] : [])),
    ];
    return AggregatorRegistry.aggregate(parts as never).metrics();
  }

  /** Ends a shard without warning: for tests. */
  kill(shard: ShardIndex): Promise<void> {
    return this.#slots[shard]!.port.kill();
  }

  async drain(deadlineMs: number): Promise<void> {
    this.#flush();
    this.#draining = true;
    await Promise.all(this.#slots.map((slot) => slot.port.drain(deadlineMs)));
  }
}
