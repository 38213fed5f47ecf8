/**
 * What one shard counts, in a registry of its own; those of all threads are merged for /metrics. Labels are of bounded sets
 * only: codes, outcomes. The table of all metrics is in docs/operations.md.
 */
import { Registry } from 'prom-client';
import type { BatchDone } from '../actors/commit-loop.ts';
import type { ActorCounts } from '../actors/world.ts';
import { Spread, durations } from '../base/spread.ts';
import { Tally, TallyBy } from '../base/tally.ts';
import type { Millis } from '../base/time.ts';
import { BUS_TOPICS, type BusTopic } from '../cluster/bus.ts';
import { CHANGE_KINDS } from '../document/model.ts';
import { CODES, type Code, NOTICES, type NoticeCode } from '../protocol/codes.ts';
import { gauge } from '../base/gauges.ts';
import { hopTimes } from './hop-times.ts';
import { type ShardFacts, type ShardState, shardGauges } from './shard-gauges.ts';

export interface ShardMetrics {
  readonly registry: Registry;
  readonly actors: ActorCounts;
  /** Called once, where there is a bus. */
  bus(isUp: () => boolean): BusCounts;
  /** How long a batch of the gateway was on its way. */
  arrived(ms: Millis): void;
  batchDone(done: BatchDone): void;
  snapshot(bytes: number, ms: Millis): void;
  snapshotFailed(): void;
  eviction(): void;
  /** A page was not loaded, since pages in use take all the memory there is for them. */
  noRoom(): void;
  loadMs(ms: Millis, ok: boolean): void;
}

export interface BusCounts {
  /** Taken by the bus, or dropped. */
  published(topic: BusTopic, taken: boolean): void;
  received(topic: BusTopic): void;
}

const CODE_NAMES = Object.keys(CODES) as Code[];
const NOTICE_NAMES = Object.keys(NOTICES) as NoticeCode[];
const OUTCOMES = ['accepted', 'duplicate', 'refused'] as const;
const BATCH_BOUNDS = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096];
const SNAPSHOT_BOUNDS = [1e3, 1e4, 1e5, 1e6, 1e7, 1e8];

/** `state` is asked at each scrape. */
export function createShardMetrics(state: () => ShardState, facts: ShardFacts): ShardMetrics {
  const registry = new Registry();
  const by = <K extends string>(name: string, help: string, label: string, keys: readonly K[]) =>
    new TallyBy(registry, name, help, label, keys);
  shardGauges(registry, state, facts);
  const appends = by('octavo_appends_total', 'Append statements, by outcome', 'outcome', ['ok', 'failed']);
  const conflicts = new Tally(registry, 'octavo_append_conflicts_total', 'Appends of a page that another node was ahead of: read, applied, tried again'); // prettier-ignore
  const appendMs = durations(registry, 'octavo_append_seconds', 'One append statement');
  const batchSizes = new Spread(registry, 'octavo_append_changes', 'Changes of one append statement', {
    bounds: BATCH_BOUNDS,
  });
  const snapshotBytes = new Spread(registry, 'octavo_snapshot_bytes', 'Snapshots, packed', {
    bounds: SNAPSHOT_BOUNDS,
  });
  const snapshotMs = durations(registry, 'octavo_snapshot_seconds', 'Packing and storing a snapshot');
  const snapshotFailures = new Tally(registry, 'octavo_snapshot_failures_total', 'Snapshots that could not be stored: the log has all, the next one covers more'); // prettier-ignore
  const evictions = new Tally(registry, 'octavo_evictions_total', 'Pages that left memory');
  const hop = hopTimes(registry);
  return {
    registry,
    actors: actorCounts(registry, hop),
    bus: (isUp) => busCounts(registry, isUp),
    arrived: hop('gateway_to_shard'),
    batchDone({ changes, ms, conflicts: lost }) {
      appends.add(lost === null ? 'failed' : 'ok');
      conflicts.add(lost ?? 0);
      appendMs.add(ms);
      batchSizes.add(changes);
    },
    snapshot(bytes, ms) {
      snapshotBytes.add(bytes);
      snapshotMs.add(ms);
    },
    snapshotFailed: () => snapshotFailures.add(),
    eviction: () => evictions.add(),
    ...loadCounts(registry),
  };
}

function actorCounts(registry: Registry, hop: ReturnType<typeof hopTimes>): ActorCounts {
  const tally = (name: string, help: string) => new Tally(registry, name, help);
  const by = <K extends string>(name: string, help: string, label: string, keys: readonly K[]) =>
    new TallyBy(registry, name, help, label, keys);
  const kinds = new Map(CHANGE_KINDS.map((kind, i) => [kind, i]));
  const changes = new Tally(
    registry,
    'octavo_changes_total',
    'Changes received, by outcome and by what they do: their op, mixed, or unread when they were not looked at',
    OUTCOMES.flatMap((outcome) => CHANGE_KINDS.map((op) => ({ outcome, op }))),
  );
  const rejects = by('octavo_rejects_total', 'Changes refused, by code', 'code', CODE_NAMES);
  const retries = tally('octavo_append_retries_total', 'Changes handed to the database once more, after a lost race or an outcome that was unknown'); // prettier-ignore
  const committed = tally('octavo_changes_committed_total', 'Changes committed to the log');
  const logBytes = tally('octavo_log_bytes_total', 'Bytes of the changes committed to the log');
  const commitMs = durations(registry, 'octavo_commit_seconds', 'From receipt of a change by its shard to its commit'); // prettier-ignore
  const lostOps = tally('octavo_ops_lost_total', 'Ops without effect, since a concurrent edit of the same thing is newer'); // prettier-ignore
  const notices = by('octavo_notices_total', 'Ops without effect of which their sender was told, by reason', 'code', NOTICE_NAMES); // prettier-ignore
  const stalls = tally('octavo_stalls_total', 'Pages whose commits took longer than COMMIT_STALL_MS');
  const volatile = tally('octavo_changes_volatile_total', 'Changes told before their commit');
  const catchUps = by('octavo_catchups_total', 'Readers brought up to the page, by what they were sent', 'kind', ['snapshot', 'tail']); // prettier-ignore
  const joins = by('octavo_joins_total', 'Who came to a page: for the first time, or back with what they had', 'kind', ['new', 'back']); // prettier-ignore
  const joinMs = durations(registry, 'octavo_join_seconds', 'From the receipt of SUBSCRIBE to the last of the page handed out'); // prettier-ignore
  const divergences = tally('octavo_divergences_total', 'Copies of clients that had another hash than the page at the same seq: never expected'); // prettier-ignore
  const [queueHop, commitHop] = [hop('queue'), hop('commit')];
  const offset = (outcome: (typeof OUTCOMES)[number]) => OUTCOMES.indexOf(outcome) * CHANGE_KINDS.length;
  const offsets = { accepted: offset('accepted'), duplicate: offset('duplicate') };
  const refused = offset('refused');
  return {
    change: (outcome, kind) => changes.add(1, offsets[outcome] + kinds.get(kind)!),
    refused(code, kind) {
      changes.add(1, refused + kinds.get(kind)!);
      rejects.add(code);
    },
    retried: (count) => retries.add(count),
    committed(count, bytes) {
      committed.add(count);
      logBytes.add(bytes);
    },
    commitMs(waitedMs, committedMs) {
      queueHop(waitedMs);
      commitHop(committedMs);
      commitMs.add(waitedMs + committedMs);
    },
    lost: (ops) => lostOps.add(ops),
    notice: (code) => notices.add(code),
    stall: () => stalls.add(),
    volatile: (count) => volatile.add(count),
    catchUp: (kind) => catchUps.add(kind),
    joined(isBack, ms) {
      joins.add(isBack ? 'back' : 'new');
      joinMs.add(ms);
    },
    diverged: () => divergences.add(),
  };
}

function loadCounts(registry: Registry): Pick<ShardMetrics, 'loadMs' | 'noRoom'> {
  const load = durations(registry, 'octavo_load_seconds', 'Bringing a page into memory');
  const failures = new Tally(registry, 'octavo_load_failures_total', 'Pages that could not be loaded');
  const noRoom = new Tally(registry, 'octavo_loads_without_room_total', 'Loads refused, since pages in use take all memory'); // prettier-ignore
  return {
    loadMs(ms, ok) {
      load.add(ms);
      if (!ok) failures.add();
    },
    noRoom: () => noRoom.add(),
  };
}

function busCounts(registry: Registry, isUp: () => boolean): BusCounts {
  const by = (name: string, help: string) => new TallyBy<BusTopic>(registry, name, help, 'topic', BUS_TOPICS);
  gauge(registry, 'octavo_bus_up', 'Shards that hear of other nodes by Redis', () => (isUp() ? 1 : 0));
  const published = by('octavo_bus_published_total', 'Messages for other nodes, handed to Redis');
  const dropped = by('octavo_bus_dropped_total', 'Messages for other nodes not sent, since Redis is away or slow: these find them in the database'); // prettier-ignore
  const received = by('octavo_bus_received_total', 'Messages of other nodes');
  return {
    published: (topic, taken) => (taken ? published : dropped).add(topic),
    received: (topic) => received.add(topic),
  };
}
