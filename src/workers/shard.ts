/**
 * A shard: the pages that hash to it, their commit loop and their store. Knows no threads: batches of records come in by
 * `receive`, go out by `emit`; `shard-thread.ts` and the in-process twin in `shard-pool.ts` carry them.
 *
 * It is the actors' world: what they ask for is done here, and the answers become their next messages. Everything that
 * one incoming batch, or one answer of the database, caused leaves as one batch.
 */
import type { Millis, Timer } from '../base/time.ts';
import { CommitLoop } from '../actors/commit-loop.ts';
import { threadedCompression } from '../actors/compression.ts';
import { PageLoader } from '../actors/page-loader.ts';
import { PageRegistry } from '../actors/page-registry.ts';
import type { PageActor } from '../actors/page-actor.ts';
import { defaultSnapshotPolicy } from '../actors/snapshot-policy.ts';
import type { ActorWorld, PageMessage } from '../actors/world.ts';
import { decodeClientMessage, isMalformed } from '../protocol/decode.ts';
import type { PageId, ReplicaId, UserId } from '../protocol/ids.ts';
import type { ClientMessage, Role } from '../protocol/messages.ts';
import { readRouteHead } from '../protocol/route.ts';
import { TO_SHARD } from './envelope.ts';
import { Errands } from './errands.ts';
import { Inbox } from './inbox.ts';
import { OpenPages } from './open-pages.ts';
import { readCh, readSlowed } from './number-records.ts';
import { OtherNodes } from './other-nodes.ts';
import { readRole, readSubscribeHead } from './records.ts';
import { createShardMetrics, type ShardMetrics } from './shard-metrics.ts';
import type { PagesQuery } from './port.ts';
import type { ShardOptions } from './shard-options.ts';
import type { ShardOut } from './shard-out.ts';
import { StallWatch } from './stall-watch.ts';
import { openShardOut } from './traced-out.ts';

const SWEEP_MS = 1000;
const DRAIN_POLL_MS = 10;

export class Shard {
  readonly #options: ShardOptions;
  readonly #out: ShardOut;
  readonly #openPages = new OpenPages();
  readonly #presenceChanged = new Set<PageId>();
  readonly #untold = new Set<PageId>();
  readonly #inbox: Inbox;
  readonly #stalls: StallWatch;
  readonly #nodes: OtherNodes;
  readonly #pages: PageRegistry;
  readonly #commits: CommitLoop<PageActor>;
  readonly #errands: Errands;
  readonly #world: ActorWorld;
  /** When the batch that is being handled came. */
  #sweepTimer: Timer | undefined;
  #draining = false;
  readonly metrics: ShardMetrics;
  readonly busiest = ({ sort, limit }: PagesQuery) => this.#pages.busiest(sort, limit);

  constructor(options: ShardOptions) {
    this.#options = options;
    const { store, clock, random, log, limits, compression = threadedCompression, working } = options;
    this.#out = openShardOut(options);
    this.metrics = (options.createMetrics ?? createShardMetrics)(
      () => ({
        ...this.#pages.totals(),
        backlogBytes: this.#world.backlog.bytes,
        loadsWaiting: this.#errands.loadsWaiting,
      }),
      options,
    );
    const policy = { idleMs: options.evictIdleMs, bytesMax: options.memoryBytesMax };
    this.#world = this.#makeWorld();
    this.#pages = new PageRegistry(
      this.#world,
      policy,
      (page) => {
        this.metrics.eviction();
        log.debug({ page }, 'a page left memory');
      },
      (actor, step) => this.#guard(actor, step),
    );
    const hasRoom = () => this.#pages.hasRoom(clock.monotonic());
    this.#errands = new Errands({
      loader: new PageLoader({ store, limits, log, clock, compression, working, hasRoom }),
      clock,
      log,
      metrics: this.metrics,
      answer: (actor, message) => {
        this.#guard(actor, () => actor.receive(message));
        if (message.type !== 'loaded') return;
        this.#pages.loaded(actor);
        this.#nodes.loaded(actor.page, message.page.epoch);
      },
      turnEnded: () => this.#endTurn(),
    });
    this.#commits = new CommitLoop({
      store,
      clock,
      random,
      log,
      takeBatch: (page) => {
        const owner = this.#pages.get(page);
        const batch = this.#guard(owner, (actor) => actor.takeBatch());
        return batch && { ...batch, owner: owner! };
      },
      isGone: (owner) => owner.isGone,
      damaged: (owner, error) =>
        this.#guard(owner, () => {
          throw error;
        }),
      appended: (owner) => this.#guard(owner, () => owner.receive({ type: 'appended' })),
      unsettled: (owner, lost) => this.#guard(owner, () => owner.appendUnsettled(lost)),
      settled: (owner, entries, closed) =>
        this.#guard(owner, () => owner.receive({ type: 'settled', entries, closed })),
      displaced: (owner) => this.#guard(owner, () => owner.receive({ type: 'displaced' })),
      turnEnded: () => this.#endTurn(),
      batchDone: (done) => this.metrics.batchDone(done),
    });
    const check = (page: PageId, now: Millis) =>
      this.#guard(this.#pages.get(page), (actor) => actor.checkStall(now)) ?? null;
    const checked = () => this.#endTurn();
    this.#stalls = new StallWatch({ clock, log, stallMs: options.commitStallMs, check, checked });
    this.#nodes = this.#openNodes();
    const record = this.#record.bind(this);
    const arrived = (ms: Millis) => this.metrics.arrived(ms);
    this.#inbox = new Inbox({ clock, arrived, record, turnEnded: checked });
    this.#sweepLater();
  }

  #openNodes(): OtherNodes {
    const { openBus, headPollMs, store, clock, random, log } = this.#options;
    return new OtherNodes({
      openBus,
      headPollMs,
      store,
      clock,
      random,
      log,
      metrics: this.metrics,
      pages: () => [...this.#pages.all()].flatMap((actor) => (actor.isInUse ? actor.page : [])),
      told: (page, message) => this.#tell(page, { type: 'told', message }),
      head: (at) => this.#tell(at.page, { type: 'head', at }),
      presence: (page, news) => this.#tell(page, { type: 'presence_elsewhere', news }),
      turnEnded: () => this.#endTurn(),
    });
  }

  #sweepLater(): void {
    this.#sweepTimer = this.#options.clock.after(SWEEP_MS, () => {
      this.#pages.sweep(this.#options.clock.monotonic());
      this.#nodes.retain((page) => this.#pages.get(page) !== undefined);
      this.#endTurn();
      this.#sweepLater();
    });
  }

  /** Handles one batch of records from the gateway; while it drains nothing new: clients keep it and go elsewhere. */
  receive(batch: Uint8Array): void {
    if (!this.#draining) this.#inbox.receive(batch);
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
        const page = this.#openPages.find(connection, ch);
        if (page) this.#tell(page, { type: 'role', connection, role });
        return;
      }
      case TO_SHARD.unsubscribe:
        return this.#unsubscribe(connection, readCh(bytes));
      case TO_SHARD.pull: {
        const page = this.#openPages.find(connection, readCh(bytes));
        if (page) this.#tell(page, { type: 'pull', connection });
        // Whatever became of the page: the gateway asks for one window at a time.
        return this.#out.pulled(connection, bytes);
      }
      case TO_SHARD.resume: {
        const page = this.#openPages.find(connection, readCh(bytes));
        if (page) this.#tell(page, { type: 'resume', connection });
        return;
      }
      case TO_SHARD.traced:
        return this.#options.traces?.handle(connection, bytes, this.#openPages, (...to) =>
          this.#record(...to),
        );
      case TO_SHARD.closed:
        for (const page of this.#openPages.closeAll(connection))
          this.#tell(page, { type: 'unsubscribe', connection });
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
    const waitMs = this.#pages.get(page) ? 0 : this.#errands.waitMs(page);
    if (waitMs > 0) return this.#refuseForNow(connection, ch, waitMs);
    this.#openPages.open(connection, ch, page);
    const subscriber = { connection, ch, user, replica, role };
    const request = { subscriber, since, epoch, create, at: this.#inbox.begunAt };
    this.#guard(this.#pages.open(page), (actor) => actor.receive({ type: 'subscribe', request }));
  }

  #unsubscribe(connection: number, ch: number): void {
    const page = this.#openPages.close(connection, ch);
    if (page) this.#tell(page, { type: 'unsubscribe', connection });
  }

  #frame(connection: number, bytes: Uint8Array, userWaitMs: number): void {
    const message = decodeClientMessage(bytes);
    if (isMalformed(message))
      return this.#out.error(connection, 'malformed', message.malformed, readRouteHead(bytes)?.ch ?? null);
    if (!('ch' in message)) return;
    const page = this.#openPages.find(connection, message.ch);
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
      case 'diverged':
        return this.#tell(page, { type: 'diverged', connection, seq: message.seq, hash: message.hash });
    }
  }

  /** The page failed a moment ago and is left alone. */
  #refuseForNow(connection: number, ch: number, waitMs: number): void {
    this.#out.error(connection, 'unavailable', 'the page cannot be loaded; the server’s log says why', ch, waitMs);
    this.#out.forget(connection, ch);
  } // prettier-ignore

  #tell(page: PageId, message: PageMessage): void {
    this.#guard(this.#pages.get(page), (actor) => actor.receive(message));
  }

  /** Runs one step of an actor. If an invariant of it broke, it dies alone; its clients come back to a fresh one. */
  #guard<T>(actor: PageActor | undefined, step: (actor: PageActor) => T): T | undefined {
    if (!actor || actor.isGone) return undefined;
    const { working } = this.#options;
    let result: T | undefined;
    working?.enter(actor.page);
    try {
      result = step(actor);
    } catch (error) {
      actor.crash(this.#errands.ended(actor.page, error));
    }
    working?.leave();
    if (actor.isGone) this.#pages.drop(actor);
    return result;
  }

  /** Presence and volatile changes of the turn, then everything out, then the next append if the database is free. */
  #endTurn(): void {
    for (const page of this.#presenceChanged) {
      const frame = this.#guard(this.#pages.get(page), (actor) => actor.takePresence());
      if (frame) this.#out.publish(page, frame);
    }
    this.#presenceChanged.clear();
    for (const page of this.#untold) this.#guard(this.#pages.get(page), (actor) => actor.tellVolatile());
    this.#untold.clear();
    this.#out.flush();
    this.#commits.pump();
  }

  #makeWorld(): ActorWorld {
    const { clock, limits, log, snapshotPolicy = defaultSnapshotPolicy, hashPolicy } = this.#options;
    const out = this.#out;
    return {
      clock,
      limits,
      log,
      snapshotPolicy,
      hashPolicy,
      unpack: (this.#options.compression ?? threadedCompression).unpackNow,
      counts: this.metrics.actors,
      stallMs: this.#options.commitStallMs,
      backlog: { bytes: 0 },
      send: (connection, frame) => out.send(connection, frame),
      sendBulk: (connection, frame) => out.sendBulk(connection, frame),
      offerBulk: (connection, ch) => out.offerBulk(connection, ch),
      publish: (page, frame) => out.publish(page, frame),
      join: (connection, page) => out.join(connection, page),
      leave: (connection, page) => out.leave(connection, page),
      forget: (connection, ch) => {
        this.#openPages.close(connection, ch);
        out.forget(connection, ch);
      },
      load: (page, create) => {
        this.#nodes.follow(page);
        void this.#errands.load(this.#pages.get(page)!, create);
      },
      tellNodes: (page, frame) => this.#nodes.tell(page, frame),
      sharePresence: (page, kind, states) => this.#nodes.sharePresence(page, kind, states),
      watch: (page) => this.#stalls.watch(page),
      markUntold: (page) => this.#untold.add(page),
      markDirty: (page) => this.#commits.markDirty(page),
      othersWrote: (page) => this.#commits.othersWrote(page),
      settle: (page, epoch, known) => this.#commits.settle(page, epoch, known, this.#pages.get(page)!),
      saveSnapshot: (page, taken) => void this.#errands.saveSnapshot(this.#pages.get(page)!, taken),
      markPresence: (page) => this.#presenceChanged.add(page),
      telling: (since) => out.telling(since),
    };
  }

  /** Commits what is queued and snapshots dirty pages, as far as `deadlineMs` allows; then lets the store go. */
  async drain(deadlineMs: number): Promise<void> {
    const { clock, store } = this.#options;
    this.#sweepTimer?.cancel();
    this.#draining = true;
    this.#inbox.finish();
    const until = clock.monotonic() + deadlineMs;
    for (;;) {
      const actors = [...this.#pages.all()];
      // One that is under way may lack the last changes: then there is another after it.
      for (const actor of actors) this.#guard(actor, () => actor.queueLength === 0 && actor.snapshot(true));
      this.#endTurn();
      if (actors.every((actor) => actor.isQuiet) || clock.monotonic() >= until) break;
      await new Promise<void>((resolve) => clock.after(DRAIN_POLL_MS, resolve));
    }
    await this.#nodes.close();
    await store.close();
  }
}
