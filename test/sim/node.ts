/**
 * A node: the real gateway and the real shards, as `main.ts` and `shard-pool.ts` join them, but for threads. Each start is
 * an incarnation of its own, with an id, clocks and stores; what an earlier one had under way reaches nobody.
 */
import type { Compression } from '../../src/actors/compression.ts';
import type { Log } from '../../src/base/log.ts';
import { Gateway } from '../../src/gateway/gateway.ts';
import type { VerifyToken } from '../../src/gateway/auth.ts';
import { ANY_ORIGIN } from '../../src/gateway/origin.ts';
import { TrustedProxies } from '../../src/gateway/trusted-proxies.ts';
import { decideUpgrade } from '../../src/gateway/upgrade.ts';
import { guardHandlers } from '../../src/gateway/transport.ts';
import { newId, type EpochId, type NodeId, type PageId, type ShardIndex } from '../../src/protocol/ids.ts';
import { EnvelopeWriter, readEnvelope } from '../../src/workers/envelope.ts';
import { shardOf } from '../../src/workers/page-hash.ts';
import { Shard } from '../../src/workers/shard.ts';
import type { Shards } from '../../src/workers/shard-pool.ts';
import type { SimBus } from './bus.ts';
import type { Dice } from './dice.ts';
import { gatewayMetrics, shardMetrics } from './metrics.ts';
import { type Network, SimTransport } from './network.ts';
import type { Plan } from './plan.ts';
import { type CrashStep, type SimDatabase, SimStore, type StoreOwner } from './store.ts';
import { Lane, ProcessClock, type Timeline } from './timeline.ts';
import type { Trace } from './trace.ts';

/** Often: copies are compared all along the way, not only at its end. */
const OFTEN = { changesMin: 4, restMs: 30_000 };

export interface Cluster {
  readonly plan: Plan;
  readonly timeline: Timeline;
  readonly trace: Trace;
  readonly dice: Dice;
  readonly network: Network;
  readonly database: SimDatabase;
  readonly bus: SimBus;
  readonly epoch: EpochId;
  readonly verify: VerifyToken;
  readonly compression: Compression;
  readonly log: Log;
  /** A shard or a handler threw. */
  failed(error: unknown): void;
}

const DRAIN_MS = 3500;
/** What clients have to move. */
const PART_MS = 2000;
/** Between threads. */
const HOP_MS = 0.05;

/** One life of a shard thread, as its store and its clock know it. */
class ShardLife implements StoreOwner {
  readonly #slot: ShardSlot;
  isOver = false;

  constructor(slot: ShardSlot) {
    this.#slot = slot;
  }

  get isAlive(): boolean {
    return !this.isOver && this.#slot.node.isAlive;
  }

  get cutUntil(): number {
    return this.#slot.node.cutUntil;
  }

  get node(): number {
    return this.#slot.node.index;
  }

  /** The node dies at a step of an append; or only the shard, whose thread it is. */
  crash(step: CrashStep): void {
    const { cluster } = this.#slot.node;
    cluster.trace.note('crash', step);
    if (cluster.dice.chance(0.5)) this.#slot.node.crash();
    else if (this.isAlive) this.#slot.die();
  }
}

/** One shard thread, and the next one in its place when it dies. */
class ShardSlot {
  readonly node: Incarnation;
  readonly #index: number;
  readonly #toShard: Lane;
  readonly #fromShard: Lane;
  readonly out = new EnvelopeWriter();
  #shard!: Shard;
  #life!: ShardLife;

  constructor(node: Incarnation, index: number) {
    this.node = node;
    this.#index = index;
    this.#toShard = new Lane(node.cluster.timeline);
    this.#fromShard = new Lane(node.cluster.timeline);
    this.#start();
  }

  #start(): void {
    const { cluster, clock, gateway } = this.node;
    const { plan, dice, compression, log, bus } = cluster;
    const life = new ShardLife(this);
    this.#life = life;
    const arrive = (batch: Uint8Array) => {
      if (life.isAlive)
        readEnvelope(batch, (type, connection, bytes) => gateway.record(type, connection, bytes));
    };
    this.#shard = new Shard({
      store: new SimStore(cluster.database, life),
      clock: clock.of(() => life.isAlive),
      random: dice.random,
      log,
      limits: plan.limits,
      evictIdleMs: plan.evictIdleMs,
      memoryBytesMax: plan.memoryBytesMax,
      commitStallMs: plan.commitStallMs,
      openBus: plan.bus ? (topic, events) => bus.open(life, topic, events) : null,
      headPollMs: plan.headPollMs,
      compression,
      snapshotPolicy: plan.snapshots,
      hashPolicy: OFTEN,
      createMetrics: shardMetrics,
      emit: (batch) => void this.#fromShard.send(HOP_MS + this.node.pausedMs, () => arrive(batch)),
    });
  }

  flush(): void {
    if (this.out.isEmpty) return;
    const batch = this.out.take();
    const life = this.#life;
    this.#toShard.send(HOP_MS + this.node.pausedMs, () => life.isAlive && this.#shard.receive(batch));
  }

  die(): void {
    if (!this.#life.isAlive) return;
    const { cluster, gateway } = this.node;
    cluster.trace.note('shard dies', this.#index);
    this.#life.isOver = true;
    this.out.take();
    cluster.timeline.after(cluster.dice.between(0, 500), () => {
      if (!this.node.isAlive || this.node.isStopping) return;
      this.#start();
      gateway.shardLost(this.#index as ShardIndex, 250);
    });
  }

  async drain(): Promise<void> {
    if (!this.#life.isAlive) return;
    // It may die on the way, and then never answers.
    const late = new Promise<void>((resolve) => this.node.cluster.timeline.after(DRAIN_MS + 500, resolve));
    await Promise.race([this.#shard.drain(DRAIN_MS), late]);
  }
}

/** The clocks of a process: one wall, and a life for each part of it. */
class NodeClock {
  readonly #timeline: Timeline;
  readonly #clocks: ProcessClock[] = [];
  skewMs: number;

  constructor(timeline: Timeline, skewMs: number) {
    this.#timeline = timeline;
    this.skewMs = skewMs;
  }

  of(isAlive: () => boolean): ProcessClock {
    const clock = new ProcessClock(this.#timeline, this.skewMs, isAlive);
    this.#clocks.push(clock);
    return clock;
  }

  step(byMs: number): void {
    this.skewMs += byMs;
    for (const clock of this.#clocks) clock.skewMs += byMs;
  }
}

class Incarnation implements Shards {
  readonly cluster: Cluster;
  readonly clock: NodeClock;
  readonly gateway: Gateway;
  readonly transport: SimTransport;
  readonly slots: ShardSlot[];
  readonly #node: SimNode;
  #flushing = false;
  isAlive = true;
  /** Told to stop; it serves its clients until they have gone. */
  isParting = false;
  isStopping = false;

  constructor(node: SimNode, cluster: Cluster) {
    this.#node = node;
    this.cluster = cluster;
    const { plan, timeline, dice, epoch, verify, log, network } = cluster;
    this.clock = new NodeClock(timeline, node.skewMs);
    const clock = this.clock.of(() => this.isAlive);
    const id = newId<NodeId>(clock.now(), dice.random);
    this.gateway = new Gateway({ clock, random: dice.random, log, limits: plan.limits, node: id, epoch, verify, createMetrics: gatewayMetrics }); // prettier-ignore
    const { gateway } = this;
    const proxies = new TrustedProxies();
    const handlers = guardHandlers(
      {
        upgrade: (request) => decideUpgrade(request, { origins: ANY_ORIGIN, proxies }),
        open: (socket, context) => gateway.open(socket, context),
        message: (socket, bytes, isBinary) => gateway.message(socket, bytes, isBinary),
        drain: (socket) => gateway.drained(socket),
        dropped: (socket) => gateway.dropped(socket),
        close: (socket) => gateway.closed(socket),
        http: async () => ({ status: 404, contentType: 'text/plain', body: '' }),
      },
      log,
    );
    this.transport = new SimTransport(network, handlers);
    this.slots = Array.from({ length: plan.shards }, (_, index) => new ShardSlot(this, index));
    gateway.attach(this.transport, this);
    network.transports[node.index] = this.transport;
  }

  /** A shard that is down is not told from one that is slow: what reaches it then is lost, the hardest case. */
  unavailableMs(): number {
    return 0;
  }

  get cutUntil(): number {
    return this.#node.cutUntil;
  }

  get index(): number {
    return this.#node.index;
  }

  get pausedMs(): number {
    return Math.max(0, this.#node.pausedUntil - this.cluster.timeline.now);
  }

  crash(): void {
    this.#node.crash();
  }

  shardOf(page: PageId): ShardIndex {
    return shardOf(page, this.slots.length);
  }

  post(shard: ShardIndex, type: number, connection: number, bytes: Uint8Array): void {
    this.slots[shard]!.out.add(type, connection, bytes);
    if (this.#flushing) return;
    this.#flushing = true;
    this.cluster.timeline.after(0, () => {
      this.#flushing = false;
      if (this.isAlive) for (const slot of this.slots) slot.flush();
    });
  }
}

export class SimNode {
  readonly index: number;
  readonly #cluster: Cluster;
  #life: Incarnation | null = null;
  skewMs: number;
  /** Until then the database is not reached. */
  cutUntil = 0;
  /** Until then nothing moves between its threads. */
  pausedUntil = 0;

  constructor(cluster: Cluster, index: number) {
    this.index = index;
    this.#cluster = cluster;
    this.skewMs = cluster.plan.nodeSkewMs[index] ?? 0;
    this.start();
  }

  get isUp(): boolean {
    return this.#life !== null;
  }

  start(): void {
    if (this.#life) return;
    this.#cluster.trace.note('start', this.index);
    this.#life = new Incarnation(this, this.#cluster);
  }

  /** Dies at once: nothing that it had under way happens any more, but for what has left it. */
  crash(): void {
    const life = this.#life;
    if (!life) return;
    const { network, timeline, dice, trace } = this.#cluster;
    trace.note('node dies', this.index);
    life.isAlive = false;
    this.#life = null;
    life.transport.listens = false;
    for (const connection of network.connections) if (connection.transport === life.transport) connection.serverDied(); // prettier-ignore
    timeline.after(dice.between(50, 4000), () => this.start());
  }

  /** Stops as `main.ts` does, then starts again. */
  async restart(): Promise<void> {
    const life = this.#life;
    if (!life || life.isParting) return;
    const { trace, timeline, dice } = this.#cluster;
    trace.note('stop', this.index);
    life.isParting = true;
    life.transport.stopListening();
    // It may die on the way, and then nothing of it happens any more.
    await Promise.race([life.gateway.farewell.begin(PART_MS), this.#later(PART_MS + 500)]);
    if (!life.isAlive) return;
    life.isStopping = true;
    for (const slot of life.slots) slot.flush();
    await Promise.all(life.slots.map((slot) => slot.drain()));
    if (!life.isAlive) return;
    life.gateway.end();
    await life.transport.close();
    life.isAlive = false;
    this.#life = null;
    trace.note('stopped', this.index);
    timeline.after(dice.between(20, 1000), () => this.start());
  }

  #later(ms: number): Promise<void> {
    return new Promise((resolve) => void this.#cluster.timeline.after(ms, resolve));
  }

  killShard(): void {
    const life = this.#life;
    if (life && !life.isStopping) this.#cluster.dice.pick(life.slots).die();
  }

  stepClock(byMs: number): void {
    this.skewMs += byMs;
    this.#life?.clock.step(byMs);
  }
}
