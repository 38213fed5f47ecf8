/**
 * One run: nodes, people, network and database made from a plan, faults for as long as edits are made, then fair weather
 * until all is quiet, then the checks. Everything that happens is a function of the seed.
 */
import './quick-random.ts';
import type { Compression } from '../../src/actors/compression.ts';
import type { Log } from '../../src/base/log.ts';
import type { StoredSnapshot } from '../../src/persistence/log-store.ts';
import type { Verdict } from '../../src/gateway/auth.ts';
import { TRANSPORT_SHARE } from '../../src/gateway/outbox.ts';
import { MemoryDatabase } from '../../src/persistence/memory-log-store.ts';
import { newId, type EpochId, type PageId, type UserId } from '../../src/protocol/ids.ts';
import { defaultLimits } from '../../src/protocol/limits.ts';
import { SimBus } from './bus.ts';
import { checkAll } from './checks.ts';
import { Dice } from './dice.ts';
import { Journal, SimFailure } from './journal.ts';
import { Network } from './network.ts';
import { type Cluster, SimNode } from './node.ts';
import { NaiveWriter } from './naive.ts';
import { Person, type PersonWorld } from './person.ts';
import { drawPlan, fairWeather, type Plan, type Weather } from './plan.ts';
import type { SimDatabase } from './store.ts';
import { START_MS, Timeline } from './timeline.ts';
import { Trace } from './trace.ts';
import { Witness } from './witness.ts';

export interface Outcome {
  readonly seed: number;
  /** Of everything that happened. */
  readonly hash: number;
  readonly events: number;
  readonly virtualMs: number;
  readonly edits: number;
  readonly changes: number;
  readonly failure: { readonly check: string; readonly detail: string } | null;
}

/** Edits are made for this long at most. */
const ACTIVE_MS = 60_000;
/** In fair weather all must be done within this. */
const PATIENCE_MS = 200_000;
const LOOK_MS = 100;
const EVENTS_MAX = 300_000;

/** Packs nothing: that zlib works is not in question, and it would be a third of a run. */
const plainCompression: Compression = {
  pack: async (plain) => plain.slice(),
  unpack: async (packed) => packed,
  unpackNow: (packed) => packed,
};

export class World implements PersonWorld {
  readonly plan: Plan;
  readonly timeline = new Timeline();
  readonly trace: Trace;
  readonly dice: Dice;
  readonly journal = new Journal();
  readonly witness: Witness;
  readonly network: Network;
  readonly pages: readonly PageId[];
  readonly database = new MemoryDatabase();
  readonly #shared: SimDatabase;
  readonly #bus: SimBus;
  readonly #cluster: Cluster;
  readonly #nodes: SimNode[] = [];
  readonly #people: Person[];
  readonly #snapshots: { page: PageId; snapshot: StoredSnapshot }[] = [];
  #weather: Weather;
  #failure: SimFailure | null = null;
  #isOver = false;
  isActive = true;

  constructor(plan: Plan, print: ((line: string) => void) | null = null) {
    this.plan = plan;
    this.trace = new Trace(this.timeline, print);
    this.dice = Dice.of(plan.seed, 1);
    this.#weather = plan.weather;
    const { timeline, trace } = this;
    this.witness = new Witness(this.database, (error) => this.failed(error));
    const weather = () => this.#weather;
    this.network = new Network({
      timeline,
      trace,
      dice: Dice.of(plan.seed, 2),
      bufferBytesMax: plan.limits.socketBufferBytesMax * TRANSPORT_SHARE,
      weather: () => this.#weather.net,
      sent: (bytes) => this.witness.sent(bytes),
    });
    this.#bus = new SimBus({ timeline, trace, dice: Dice.of(plan.seed, 5), weather: () => this.#weather.bus });
    this.#shared = {
      timeline,
      trace,
      weather,
      dice: Dice.of(plan.seed, 3),
      database: this.database,
      stalledUntil: 0,
      appended: () => {},
      saved: (page, snapshot) => this.#snapshots.push({ page, snapshot }),
    };
    const idDice = Dice.of(plan.seed, 4);
    this.pages = Array.from({ length: plan.pages }, () => newId<PageId>(START_MS, idDice.random));
    this.#cluster = {
      plan,
      timeline,
      trace,
      dice: this.dice,
      network: this.network,
      database: this.#shared,
      bus: this.#bus,
      epoch: this.database.epoch as EpochId,
      verify: async (token) => this.#verify(token),
      compression: plainCompression,
      log: this.#log(),
      failed: (error) => this.failed(error),
    };
    for (let i = 0; i < plan.nodes; i++) this.#nodes.push(new SimNode(this.#cluster, i));
    this.#people = plan.clients.map((_, i) => new Person(this, i, Dice.of(plan.seed, 10 + i)));
    if (plan.naive) new NaiveWriter(this, plan.clients.length, Dice.of(plan.seed, 20));
    this.#planFaults();
  } // prettier-ignore

  failed(error: unknown): void {
    if (this.#failure) return;
    this.#failure = error instanceof SimFailure ? error : new SimFailure('an error', stackOf(error));
    this.trace.note('FAILED', this.#failure.message);
  }

  /** Looks like a JWT to the SDK, which reads the expiry in it. */
  tokenFor(user: string): string {
    const { tokenMs } = this.plan;
    const exp = tokenMs > 0 ? (START_MS + this.timeline.now + tokenMs) / 1000 : 1e12;
    return `${user}.${btoa(JSON.stringify({ exp }))}.signature`;
  }

  #verify(token: string): Verdict {
    const [user, claims] = token.split('.');
    const { exp } = JSON.parse(atob(claims!)) as { exp: number };
    const expiresMs = exp * 1000;
    if (expiresMs <= START_MS + this.timeline.now)
      return { refused: 'expired', reason: 'the token has expired' };
    const grants = { workspace: 'editor', byPage: new Map() } as const;
    return { identity: { user: user as UserId, name: user!, issuedMs: START_MS, expiresMs, grants } };
  }

  #log(): Log {
    const nothing = () => {};
    const info = (fields: object, message: string) => this.trace.note('log', message, JSON.stringify(fields));
    return {
      debug: nothing,
      info: nothing,
      warn: info,
      error: (fields, message) => {
        info(fields, message);
        const expected = message === 'a shard died';
        if (!expected)
          this.failed(new SimFailure('an error in the log', `${message} ${JSON.stringify(fields)}`));
      },
    };
  }

  nodesFor(person: number): number[] {
    const { nodes, sticky } = this.plan;
    const first = sticky ? person % nodes : this.dice.below(nodes);
    return Array.from({ length: nodes }, (_, i) => (first + i) % nodes);
  }

  // ── faults ─────────────────────────────────────────────────────────────────────────────────────────────────────

  #every(meanMs: number, act: () => void): void {
    const waitMs = this.dice.wait(meanMs);
    if (waitMs > ACTIVE_MS) return;
    this.timeline.after(waitMs, () => {
      if (!this.isActive) return;
      act();
      this.#every(meanMs, act);
    });
  }

  #planFaults(): void {
    const { net, store, node, bus } = this.plan.weather;
    const { dice, network, timeline, trace } = this;
    for (const { index } of this.#people) {
      const mine = (connection: { client: number }) => connection.client === index;
      this.#every(net.cutEveryMs, () => network.cutWhere(mine));
      this.#every(net.offlineEveryMs, () => {
        trace.note('offline', index);
        network.offline.add(index);
        network.cutWhere(mine);
        timeline.after(dice.between(0.2, 1) * net.offlineMs, () => network.offline.delete(index));
      });
      this.#every(net.slowEveryMs, () => {
        trace.note('slow', index);
        const rate = dice.spread(0.05, 20);
        for (const connection of network.connections) if (mine(connection)) connection.readRate = rate;
        timeline.after(dice.between(500, 6000), () => {
          for (const connection of network.connections) if (mine(connection)) connection.readRate = Infinity;
        });
      });
      this.#every(net.partitionEveryMs, () => {
        const one = dice.pick(this.#nodes).index;
        const pair = index * 100 + one;
        trace.note('partition', index, one);
        network.partitioned.add(pair);
        network.cutWhere((connection) => mine(connection) && connection.transport === network.transports[one]);
        timeline.after(dice.between(500, 10_000), () => network.partitioned.delete(pair));
      });
    }
    for (const one of this.#nodes) {
      this.#every(node.crashEveryMs, () => one.crash());
      this.#every(node.shardCrashEveryMs, () => one.killShard());
      this.#every(node.stopEveryMs, () => void one.restart().catch((error: unknown) => this.failed(error)));
      this.#every(node.clockStepEveryMs, () => one.stepClock(dice.spread(10, 100_000) * (dice.chance(0.7) ? -1 : 1)));
      this.#every(node.pauseEveryMs, () => (one.pausedUntil = timeline.now + dice.spread(50, 5000)));
      this.#every(bus.cutEveryMs, () => {
        this.#bus.cut(one.index);
        timeline.after(dice.spread(50, 10_000), () => this.#bus.heal(one.index));
      });
      this.#every(store.cutEveryMs, () => (one.cutUntil = timeline.now + dice.spread(100, 15_000)));
    }
    this.#every(store.stallEveryMs, () => {
      trace.note('stall');
      this.#shared.stalledUntil = timeline.now + dice.between(0.1, 1) * store.stallMs;
    });
    this.#every(store.damageEveryMs, () => this.#damage());
    this.#every(this.plan.trashEveryMs, () => this.#trash());
  } // prettier-ignore

  #trash(): void {
    const page = this.dice.pick(this.pages);
    if (!this.database.pages.has(page)) return;
    this.trace.note('trash', page);
    this.database.setClosed(page, true);
    // Longer than an append may be under way unseen: that none comes to the log after its refusal, because the page was
    // closed and opened again meanwhile, is not promised.
    this.timeline.after(this.dice.between(20_000, 30_000), () => this.database.setClosed(page, false));
  }

  #damage(): void {
    const page = this.dice.pick(this.pages);
    const newest = this.database.snapshots.get(page)?.[0];
    if (newest) this.database.damageSnapshot(page, newest.seq);
  }

  /** Restarts one node after the other, for as long as edits are made. */
  roll(pauseMs: number, index = 0): void {
    this.timeline.after(pauseMs, () => {
      if (!this.isActive) return;
      const next = () => this.roll(pauseMs, index + 1);
      this.#nodes[index % this.#nodes.length]!.restart().then(next, (error: unknown) => this.failed(error));
    });
  }

  // ── the course of a run ────────────────────────────────────────────────────────────────────────────────────────

  #heal(): void {
    const { network, timeline, trace } = this;
    trace.note('fair weather');
    this.isActive = false;
    this.#weather = fairWeather;
    network.offline.clear();
    network.partitioned.clear();
    for (const connection of network.connections) connection.readRate = Infinity;
    this.#shared.stalledUntil = timeline.now;
    this.#bus.healAll();
    for (const node of this.#nodes) {
      node.cutUntil = timeline.now;
      node.pausedUntil = timeline.now;
      node.start();
    }
    for (const person of this.#people) person.start();
  }

  readonly #headOf = (page: PageId) => this.database.pages.get(page)?.log.length ?? 0;

  #stuckOn(): string | null {
    for (const person of this.#people) {
      const reason = person.stuckOn(this.#headOf);
      if (reason) return reason;
    }
    return this.#presenceStuckOn();
  }

  /** People on other nodes are seen by the bus only. */
  #presenceStuckOn(): string | null {
    if (!this.plan.bus && this.#nodes.length > 1) return null;
    for (const person of this.#people) {
      const reason = person.misses(this.#people);
      if (reason) return reason;
    }
    return null;
  }

  /** Looks now and then whether it is time for fair weather, and then whether all is quiet. */
  #watch(healedAt: number | null, quiet: number): void {
    this.timeline.after(LOOK_MS, () => {
      const { now } = this.timeline;
      if (healedAt === null) {
        if (this.journal.edits < this.plan.edits && now < ACTIVE_MS) return this.#watch(null, 0);
        this.#heal();
        return this.#watch(now, 0);
      }
      const reason = this.#stuckOn();
      if (reason === null && quiet >= 10) this.#isOver = true;
      else if (now > healedAt + PATIENCE_MS) this.failed(new SimFailure('stuck', reason ?? 'never quiet'));
      else this.#watch(healedAt, reason === null ? quiet + 1 : 0);
    });
  }

  async run(): Promise<Outcome> {
    const surfaced = (error: unknown) => this.failed(error);
    process.on('uncaughtException', surfaced);
    process.on('unhandledRejection', surfaced);
    try {
      this.#watch(null, 0);
      await this.timeline.run(() => {
        if (this.timeline.events > EVENTS_MAX) this.failed(new SimFailure('runs away', `${EVENTS_MAX} events`));
        return this.#isOver || this.#failure !== null;
      });
      if (!this.#failure) await this.#check();
    } catch (error) {
      this.failed(error);
    } finally {
      process.off('uncaughtException', surfaced);
      process.off('unhandledRejection', surfaced);
    }
    const changes = this.pages.reduce((sum, page) => sum + this.#headOf(page), 0);
    const failure = this.#failure && { check: this.#failure.check, detail: this.#failure.message };
    const { seed } = this.plan;
    return { seed, hash: this.trace.hash, events: this.timeline.events, virtualMs: this.timeline.now, edits: this.journal.edits, changes, failure };
  } // prettier-ignore

  #check(): Promise<void> {
    const copies = this.#people.flatMap(({ index, sessions }) =>
      [...sessions.values()].map(({ page }) => ({ name: `person ${index}`, page })),
    );
    return checkAll({
      database: this.database,
      compression: plainCompression,
      limits: this.plan.limits,
      journal: this.journal,
      copies,
      snapshots: this.#snapshots,
      refusals: this.#possibleRefusals(),
    });
  }

  #possibleRefusals(): ReadonlySet<string> {
    const { limits } = this.plan;
    const small = (['textBytesMax', 'blocksMax', 'depthMax', 'opsPerChangeMax'] as const).some(
      (name) => limits[name] < defaultLimits[name],
    );
    const trash = this.plan.trashEveryMs > 0 ? ['page_closed', 'gone'] : [];
    // Text that was built on another's before its commit, which then was lost with its node.
    const early = this.witness.toldEarly ? ['missing', 'gone'] : [];
    return new Set([...(small ? ['too_large', 'gone'] : []), ...trash, ...early]);
  }
}

const stackOf = (error: unknown): string =>
  error instanceof Error ? (error.stack ?? error.message) : String(error);

export function runSeed(seed: number, print: ((line: string) => void) | null = null): Promise<Outcome> {
  return new World(drawPlan(seed), print).run();
}
