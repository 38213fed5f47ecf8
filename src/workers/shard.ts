/**
 * A shard: the pages that hash to it, their commit loop and their store. Knows no threads: batches of records come in by
 * `receive`, go out by `emit`; `shard-thread.ts` and the in-process twin in `shard-pool.ts` carry them.
 *
 * It is the actors' world: what they ask for is done here, and the answers become their next messages. Everything that
 * one incoming batch, or one answer of the database, caused leaves as one batch.
 */
import { AssertionError } from '../base/assert.ts';
import type { Log } from '../base/log.ts';
import type { Random } from '../base/random.ts';
import type { Clock, Timer } from '../base/time.ts';
import { CommitLoop } from '../actors/commit-loop.ts';
import { PageLoader } from '../actors/page-loader.ts';
import { PageRegistry } from '../actors/page-registry.ts';
import type { PageActor } from '../actors/page-actor.ts';
import type { ActorWorld, PageMessage } from '../actors/world.ts';
import type { LogStore, PageKind } from '../persistence/log-store.ts';
import { decodeClientMessage, isMalformed } from '../protocol/decode.ts';
import { encodeServerMessage } from '../protocol/encode.ts';
import {
  idToBytes,
  type EpochId,
  type PageId,
  type ReplicaId,
  type Seq,
  type UserId,
} from '../protocol/ids.ts';
import type { Limits } from '../protocol/limits.ts';
import type { ClientMessage, Role } from '../protocol/messages.ts';
import { EnvelopeWriter, FROM_SHARD, readEnvelope, TO_SHARD } from './envelope.ts';
import { readCh, readRole, readSlowed, readSubscribeHead, writeCh } from './records.ts';
import { createShardMetrics, type ShardMetrics } from './shard-metrics.ts';

export interface ShardOptions {
  readonly store: LogStore;
  readonly epoch: EpochId;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly limits: Limits;
  /** A page without subscribers leaves memory after this. */
  readonly evictIdleMs: number;
  readonly memoryBytesMax: number;
  emit(batch: Uint8Array): void;
}

const SWEEP_MS = 1000;
const DRAIN_POLL_MS = 10;
const BATCH_BYTES = 4 << 20;

export class Shard {
  readonly #options: ShardOptions;
  readonly #out = new EnvelopeWriter();
  readonly #pagesByConnection = new Map<number, Map<number, PageId>>();
  readonly #presenceChanged = new Set<PageId>();
  readonly #pages: PageRegistry;
  readonly #commits: CommitLoop<PageActor>;
  readonly #loader: PageLoader;
  readonly #topics = new Map<PageId, Uint8Array>();
  #sweepTimer: Timer | undefined;
  #draining = false;
  readonly metrics: ShardMetrics;

  constructor(options: ShardOptions) {
    this.#options = options;
    const { store, clock, random, log, limits } = options;
    this.metrics = createShardMetrics(() => this.#pages.totals());
    const policy = { idleMs: options.evictIdleMs, bytesMax: options.memoryBytesMax };
    this.#pages = new PageRegistry(this.#world(), policy, () => this.metrics.eviction());
    this.#loader = new PageLoader(store, limits, log);
    this.#commits = new CommitLoop({
      store,
      clock,
      random,
      log,
      takeBatch: (page) => {
        const owner = this.#pages.get(page);
        const batch = owner?.takeBatch();
        return batch && { ...batch, owner: owner! };
      },
      appended: (owner) => this.#guard(owner, () => owner.receive({ type: 'appended' })),
      unsettled: (owner) => this.#guard(owner, () => owner.appendUnsettled()),
      settled: (owner, entries, closed) =>
        this.#guard(owner, () => owner.receive({ type: 'settled', entries, closed })),
      turnEnded: () => this.#endTurn(),
      batchDone: (...args) => this.metrics.batchDone(...args),
    });
    this.#sweepLater();
  }

  #sweepLater(): void {
    this.#sweepTimer = this.#options.clock.after(SWEEP_MS, () => {
      this.#pages.sweep(this.#options.clock.monotonic());
      this.#endTurn();
      this.#sweepLater();
    });
  }

  /** Handles one batch of records from the gateway; while it drains nothing new: clients keep it and go elsewhere. */
  receive(batch: Uint8Array): void {
    if (this.#draining) return;
    readEnvelope(batch, (type, connection, bytes) => this.#record(type, connection, bytes));
    this.#endTurn();
  }

  #record(type: number, connection: number, bytes: Uint8Array): void {
    switch (type) {
      case TO_SHARD.frame:
        return this.#frame(connection, bytes, 0);
      case TO_SHARD.slowed: {
        const { waitMs, frame } = readSlowed(bytes);
        return this.#frame(connection, frame, waitMs);
      }
      case TO_SHARD.subscribe: {
        const { user, role, replica, frame } = readSubscribeHead(bytes);
        const message = decodeClientMessage(frame);
        if (isMalformed(message) || message.kind !== 'subscribe') return;
        return this.#subscribe(connection, message, user, role, replica);
      }
      case TO_SHARD.role: {
        const { ch, role } = readRole(bytes);
        const page = this.#pagesByConnection.get(connection)?.get(ch);
        if (page) this.#tell(page, { type: 'role', connection, role });
        return;
      }
      case TO_SHARD.unsubscribe:
        return this.#unsubscribe(connection, readCh(bytes));
      case TO_SHARD.closed:
        // A Map may lose entries while it is walked.
        for (const ch of this.#pagesByConnection.get(connection)?.keys() ?? [])
          this.#unsubscribe(connection, ch);
        this.#pagesByConnection.delete(connection);
        return;
    }
  }

  #subscribe(
    connection: number,
    message: ClientMessage & { kind: 'subscribe' },
    user: UserId,
    role: Role,
    replica: ReplicaId,
  ): void {
    const { ch, page, since, epoch, create } = message;
    let pages = this.#pagesByConnection.get(connection);
    if (!pages) this.#pagesByConnection.set(connection, (pages = new Map()));
    pages.set(ch, page);
    const request = { subscriber: { connection, ch, user, replica, role }, since, epoch, create };
    this.#guard(this.#pages.open(page), (actor) => actor.receive({ type: 'subscribe', request }));
  }

  #unsubscribe(connection: number, ch: number): void {
    const pages = this.#pagesByConnection.get(connection);
    const page = pages?.get(ch);
    if (!page) return;
    pages!.delete(ch);
    this.#tell(page, { type: 'unsubscribe', connection });
  }

  #frame(connection: number, bytes: Uint8Array, userWaitMs: number): void {
    const message = decodeClientMessage(bytes);
    if (isMalformed(message)) return this.#sendError(connection, `${message.malformed}`);
    if (!('ch' in message)) return;
    const page = this.#pagesByConnection.get(connection)?.get(message.ch);
    // A page that was refused a moment ago: the client has been told.
    if (!page) return;
    switch (message.kind) {
      case 'change':
        return this.#tell(page, {
          type: 'change',
          connection,
          n: message.n,
          hlc: message.hlc,
          ops: message.ops,
          replica: message.replica,
          userWaitMs,
        });
      case 'presence':
        return this.#tell(page, { type: 'presence', connection, state: message.state });
      case 'sync':
        return this.#tell(page, { type: 'sync', connection, since: message.since });
    }
  }

  #sendError(connection: number, reason: string): void {
    const error = {
      kind: 'error',
      code: 'malformed',
      message: reason,
      retryAfterMs: null,
      ch: null,
    } as const;
    this.#out.add(FROM_SHARD.send, connection, encodeServerMessage(error));
  }

  #tell(page: PageId, message: PageMessage): void {
    this.#guard(this.#pages.get(page), (actor) => actor.receive(message));
  }

  /** Runs one step of an actor. If an invariant of it broke, it dies alone; its clients come back to a fresh one. */
  #guard(actor: PageActor | undefined, step: (actor: PageActor) => void): void {
    if (!actor || actor.isGone) return;
    try {
      step(actor);
    } catch (error) {
      const kind = error instanceof AssertionError ? 'a broken invariant' : 'an error';
      this.#options.log.error({ page: actor.page, error: stackOf(error) }, `${kind} ended a page’s actor; it will be reloaded`);
      actor.crash();
    }
    if (actor.isGone) this.#pages.drop(actor.page);
  } // prettier-ignore

  /** Presence of the turn, then everything out, then the next append if the database is free. */
  #endTurn(): void {
    for (const page of this.#presenceChanged) {
      const frame = this.#pages.get(page)?.takePresence();
      if (frame) this.#out.addPair(FROM_SHARD.publish, 0, this.#topic(page), frame);
    }
    this.#presenceChanged.clear();
    if (!this.#out.isEmpty) this.#options.emit(this.#out.take());
    this.#commits.pump();
  }

  #topic(page: PageId): Uint8Array {
    let topic = this.#topics.get(page);
    if (!topic) {
      // Only a cache of 16-byte forms: emptied when it is large.
      if (this.#topics.size > 10_000) this.#topics.clear();
      this.#topics.set(page, (topic = idToBytes(page)));
    }
    return topic;
  }

  #world(): ActorWorld {
    const { clock, limits, epoch, log } = this.#options;
    const out = this.#out;
    return {
      clock,
      limits,
      epoch,
      log,
      counts: this.metrics.actors,
      send: (connection, frame) => {
        out.add(FROM_SHARD.send, connection, frame);
        // Snapshots for a crowd leave in pieces: one batch of all would be copied each time it grows.
        if (out.length > BATCH_BYTES) this.#options.emit(out.take());
      },
      sendBulk: (connection, frame) => out.add(FROM_SHARD.bulk, connection, frame),
      publish: (page, frame) => out.addPair(FROM_SHARD.publish, 0, this.#topic(page), frame),
      join: (connection, page) => out.add(FROM_SHARD.join, connection, this.#topic(page)),
      leave: (connection, page) => out.add(FROM_SHARD.leave, connection, this.#topic(page)),
      forget: (connection, ch) => {
        this.#pagesByConnection.get(connection)?.delete(ch);
        out.add(FROM_SHARD.forget, connection, writeCh(ch));
      },
      load: (page, create) => void this.#load(page, create),
      markDirty: (page) => this.#commits.markDirty(page),
      settle: (page, known) => this.#commits.settle(page, known, this.#pages.get(page)!),
      saveSnapshot: (page, seq, version, plain, privateState) =>
        void this.#saveSnapshot(page, seq, version, plain, privateState),
      markPresence: (page) => this.#presenceChanged.add(page),
    };
  }

  async #load(page: PageId, create: PageKind | null): Promise<void> {
    const started = this.#options.clock.monotonic();
    let message: PageMessage;
    try {
      const loaded = await this.#loader.load(page, create);
      message = loaded ? { type: 'loaded', page: loaded } : { type: 'absent' };
    } catch (error) {
      // The outside world, or a damaged page: unavailable, never empty.
      this.#options.log.error({ page, error: stackOf(error) }, 'a page cannot be loaded');
      message = { type: 'load_failed', message: 'the page cannot be loaded just now' };
    }
    this.metrics.loadMs(this.#options.clock.monotonic() - started, message.type !== 'load_failed');
    this.#tell(page, message);
    this.#endTurn();
  }

  async #saveSnapshot(page: PageId, seq: Seq, version: number, plain: Uint8Array, privateState: Uint8Array): Promise<void> {
    try {
      const snapshot = await this.#loader.save(page, seq, version, plain, privateState);
      this.metrics.snapshot(snapshot.body.length);
      this.#tell(page, { type: 'snapshot_saved', snapshot });
    } catch (error) {
      // The outside world: the log has everything, the next snapshot covers more.
      this.#options.log.warn({ page, error: String(error) }, 'a snapshot could not be stored');
      this.#tell(page, { type: 'snapshot_failed' });
    }
    this.#endTurn();
  } // prettier-ignore

  /** Commits what is queued and snapshots dirty pages, as far as `deadlineMs` allows; then lets the store go. */
  async drain(deadlineMs: number): Promise<void> {
    const { clock, store } = this.#options;
    this.#sweepTimer?.cancel();
    this.#draining = true;
    const until = clock.monotonic() + deadlineMs;
    for (;;) {
      const actors = [...this.#pages.all()];
      // One that is under way may lack the last changes: then there is another after it.
      for (const actor of actors) if (actor.queueLength === 0) actor.snapshot(true);
      this.#endTurn();
      if (actors.every((actor) => actor.isQuiet) || clock.monotonic() >= until) break;
      await new Promise<void>((resolve) => clock.after(DRAIN_POLL_MS, resolve));
    }
    await store.close();
  }
}

const stackOf = (error: unknown): string =>
  error instanceof Error ? (error.stack ?? error.message) : String(error);
