/**
 * What a run is made of, drawn from its seed: how many nodes, clients and pages, which limits, and the weather: how often
 * each kind of fault comes. Every fault has a probability of its own, and most are absent from any one seed, so that some
 * runs are calm, some wild, and some wild in one way only.
 */
import { defaultSnapshotPolicy, type SnapshotPolicy } from '../../src/actors/snapshot-policy.ts';
import { defaultLimits, type Limits } from '../../src/protocol/limits.ts';
import { Dice } from './dice.ts';

/** Mean ms between two of a kind, for each node or client; 0: never. */
export interface Weather {
  readonly net: {
    readonly delayMs: readonly [number, number];
    /** How much longer a frame may take than the others of its link. */
    readonly jitterMs: number;
    readonly cutEveryMs: number;
    /** How often a half hears of a cut late, or not at all for long. */
    readonly halfOpen: number;
    readonly offlineEveryMs: number;
    readonly offlineMs: number;
    /** One client cannot reach one node. */
    readonly partitionEveryMs: number;
    readonly slowEveryMs: number;
    readonly refuse: number;
  };
  readonly store: {
    readonly delayMs: readonly [number, number];
    readonly failBefore: number;
    readonly failAfter: number;
    /** Takes effect after its caller has given up. */
    readonly late: number;
    readonly stallEveryMs: number;
    readonly stallMs: number;
    readonly cutEveryMs: number;
    readonly readFails: number;
    readonly snapshotFails: number;
    readonly damageEveryMs: number;
  };
  readonly bus: {
    readonly delayMs: readonly [number, number];
    readonly jitterMs: number;
    readonly loss: number;
    /** The last message before a rest is lost. */
    readonly tailLoss: number;
    readonly doubled: number;
    readonly cutEveryMs: number;
  };
  readonly node: {
    readonly crashEveryMs: number;
    readonly shardCrashEveryMs: number;
    readonly stopEveryMs: number;
    /** A node dies at a step of an append: before its effect, after it, when the answer is there but told to nobody. */
    readonly crashAtAppend: number;
    /** Nothing of a node moves for a while. */
    readonly pauseEveryMs: number;
    readonly clockStepEveryMs: number;
  };
}

export interface ClientPlan {
  readonly skewMs: number;
  /** Mean ms between bursts of edits. */
  readonly everyMs: number;
  readonly burst: number;
  /** How long between two edits of a burst. */
  readonly typingMs: number;
  readonly reopenEveryMs: number;
  readonly restartEveryMs: number;
  readonly clockStepEveryMs: number;
}

export interface Plan {
  readonly seed: number;
  readonly nodes: number;
  readonly shards: number;
  readonly pages: number;
  readonly clients: readonly ClientPlan[];
  readonly edits: number;
  readonly nodeSkewMs: readonly number[];
  readonly limits: Limits;
  readonly evictIdleMs: number;
  readonly memoryBytesMax: number;
  readonly snapshots: SnapshotPolicy;
  /** Whether nodes hear of each other by a bus; without it by the log alone. */
  readonly bus: boolean;
  readonly headPollMs: number;
  readonly commitStallMs: number;
  /** How long a token lives; 0: for ever. Only where all clocks are right. */
  readonly tokenMs: number;
  /** How often a page goes to the trash, for a while. */
  readonly trashEveryMs: number;
  /** Whether a client of another make is there, which loses and drops its own text. */
  readonly naive: boolean;
  /** Whether a client comes back to the node it was on, if that is there. */
  readonly sticky: boolean;
  readonly weather: Weather;
}

/** How wild a seed is: in most runs a fault is there or not, in some none is, in a few all are. */
type Sometimes = (probability: number, low: number, high: number) => number;

export function drawPlan(seed: number): Plan {
  const dice = Dice.of(seed, 0);
  const mood = dice.chance(0.08) ? 0 : dice.chance(0.1) ? 2 : 1;
  const sometimes: Sometimes = (probability, low, high) => {
    const [there, value] = [dice.chance(probability * mood), dice.spread(low, high)];
    return there ? value : 0;
  };
  const nodes = dice.whole(1, 3);
  const weather = drawWeather(dice, sometimes);
  const nodeSkewMs = Array.from({ length: nodes }, () => sometimes(0.3, 10, 100_000) * (dice.chance(0.5) ? 1 : -1));
  const clocksAreRight = nodeSkewMs.every((skew) => skew === 0) && weather.node.clockStepEveryMs === 0;
  return {
    seed,
    nodes,
    shards: dice.chance(0.3) ? 2 : 1,
    pages: dice.chance(0.3) ? 2 : 1,
    clients: drawClients(dice, sometimes),
    edits: dice.whole(80, 180),
    nodeSkewMs,
    limits: drawLimits(dice, mood),
    evictIdleMs: dice.spread(300, 20_000),
    memoryBytesMax: 1 << 26,
    snapshots: drawSnapshots(dice),
    bus: dice.chance(0.7),
    headPollMs: dice.spread(100, 3000),
    commitStallMs: dice.chance(0.15) ? 0 : dice.spread(5, 1000),
    tokenMs: clocksAreRight ? sometimes(0.3, 3000, 60_000) : 0,
    trashEveryMs: sometimes(0.1, 3000, 30_000),
    naive: dice.chance(0.2),
    sticky: dice.chance(0.5),
    weather,
  };
} // prettier-ignore

function drawClients(dice: Dice, sometimes: Sometimes): ClientPlan[] {
  return Array.from({ length: dice.whole(2, 3) }, () => ({
    skewMs: sometimes(0.3, 10, 200_000) * (dice.chance(0.5) ? 1 : -1),
    everyMs: dice.spread(50, 3000),
    burst: dice.whole(1, 12),
    typingMs: dice.chance(0.4) ? 0 : dice.spread(1, 200),
    reopenEveryMs: sometimes(0.25, 2000, 20_000),
    restartEveryMs: sometimes(0.2, 4000, 40_000),
    clockStepEveryMs: sometimes(0.15, 2000, 20_000),
  }));
}

function drawLimits(dice: Dice, mood: number): Limits {
  const small = (value: number, low: number, high: number) =>
    dice.chance(0.12 * mood) ? dice.whole(low, high) : value;
  return {
    ...defaultLimits,
    pageQueueMax: small(defaultLimits.pageQueueMax, 2, 20),
    userChangesPerSecond: small(10_000, 5, 50),
    userChangesBurst: small(10_000, 1, 20),
    pageChangesPerSecond: small(10_000, 10, 60),
    textBytesMax: small(defaultLimits.textBytesMax, 60, 400),
    blocksMax: small(defaultLimits.blocksMax, 4, 20),
    depthMax: small(defaultLimits.depthMax, 2, 5),
    opsPerChangeMax: small(defaultLimits.opsPerChangeMax, 2, 4),
    socketBufferBytesMax: Math.round(dice.spread(4 << 10, 64 << 10)),
  };
}

function drawSnapshots(dice: Dice): SnapshotPolicy {
  if (dice.chance(0.15)) return defaultSnapshotPolicy;
  const changesMin = dice.whole(2, 60);
  return { changesMin, bytesMin: 1 << 30, idleMs: dice.spread(500, 8000), idleChangesMin: dice.whole(1, 20) };
}

function drawWeather(dice: Dice, sometimes: Sometimes): Weather {
  const delay = dice.spread(0.2, 80);
  const storeDelay = dice.spread(0.2, 60);
  const busDelay = dice.spread(0.1, 50);
  return {
    net: {
      delayMs: [delay / 2, delay],
      jitterMs: sometimes(0.4, 1, 800),
      cutEveryMs: sometimes(0.45, 500, 20_000),
      halfOpen: sometimes(0.3, 0.1, 1),
      offlineEveryMs: sometimes(0.3, 3000, 30_000),
      offlineMs: dice.spread(300, 60_000),
      partitionEveryMs: sometimes(0.2, 3000, 20_000),
      slowEveryMs: sometimes(0.2, 2000, 20_000),
      refuse: sometimes(0.15, 0.05, 0.6),
    },
    store: {
      delayMs: [storeDelay / 2, storeDelay],
      failBefore: sometimes(0.3, 0.005, 0.3),
      failAfter: sometimes(0.4, 0.005, 0.4),
      late: sometimes(0.2, 0.005, 0.1),
      stallEveryMs: sometimes(0.3, 2000, 20_000),
      stallMs: dice.spread(150, 8000),
      cutEveryMs: sometimes(0.2, 3000, 20_000),
      readFails: sometimes(0.25, 0.01, 0.4),
      snapshotFails: sometimes(0.25, 0.02, 0.7),
      damageEveryMs: sometimes(0.2, 1000, 10_000),
    },
    bus: {
      delayMs: [busDelay / 2, busDelay],
      jitterMs: sometimes(0.3, 1, 1000),
      loss: sometimes(0.3, 0.01, 0.5),
      tailLoss: sometimes(0.3, 0.05, 0.9),
      doubled: sometimes(0.2, 0.02, 0.3),
      cutEveryMs: sometimes(0.2, 2000, 20_000),
    },
    node: {
      crashEveryMs: sometimes(0.3, 2000, 30_000),
      shardCrashEveryMs: sometimes(0.25, 2000, 20_000),
      stopEveryMs: sometimes(0.2, 3000, 30_000),
      crashAtAppend: sometimes(0.25, 0.003, 0.05),
      pauseEveryMs: sometimes(0.15, 3000, 20_000),
      clockStepEveryMs: sometimes(0.15, 3000, 20_000),
    },
  };
}

/** No faults at all. */
export const fairWeather: Weather = {
  net: { delayMs: [1, 3], jitterMs: 0, cutEveryMs: 0, halfOpen: 0, offlineEveryMs: 0, offlineMs: 0, partitionEveryMs: 0, slowEveryMs: 0, refuse: 0 },
  store: { delayMs: [1, 2], failBefore: 0, failAfter: 0, late: 0, stallEveryMs: 0, stallMs: 0, cutEveryMs: 0, readFails: 0, snapshotFails: 0, damageEveryMs: 0 },
  bus: { delayMs: [1, 2], jitterMs: 0, loss: 0, tailLoss: 0, doubled: 0, cutEveryMs: 0 },
  node: { crashEveryMs: 0, shardCrashEveryMs: 0, stopEveryMs: 0, crashAtAppend: 0, pauseEveryMs: 0, clockStepEveryMs: 0 },
}; // prettier-ignore
