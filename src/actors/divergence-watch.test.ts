/**
 * When a page tells its hash, and what becomes of the answers of clients whose copy differs.
 */
import { describe, expect, test } from 'vitest';
import { ActorBench, entry } from '../../test/support/actor-world.ts';
import { PAGE, replicaId, userId } from '../../test/support/pages.ts';
import { silentLog } from '../base/log.ts';
import { BlocksModel } from '../document/blocks-model.ts';
import { hashHex } from '../document/state-hash.ts';
import { decodeServerMessage, isMalformed } from '../protocol/decode.ts';
import { seq } from '../protocol/ids.ts';
import { defaultLimits } from '../protocol/limits.ts';
import { DivergenceWatch } from './divergence-watch.ts';
import type { PageState } from './page-state.ts';
import type { ActorWorld, Subscriber } from './world.ts';

const OURS = Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8);
const THEIRS = Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 9);
const REST_MS = 30_000;
const CHANGES = 256;

/** A watch alone, over a page whose head and hash the test sets. */
function start() {
  const page = { head: seq(0), hash: OURS as Uint8Array | null };
  const told: number[] = [];
  const logged: object[] = [];
  const counted = { diverged: 0 };
  const time = { now: 0 };
  const world = {
    clock: { monotonic: () => time.now },
    counts: { diverged: () => counted.diverged++ },
    log: {
      ...silentLog,
      error: (fields: object) => void logged.push(fields),
      warn: (fields: object) => void logged.push(fields),
    },
    publish: (_page: unknown, frame: Uint8Array) => {
      const message = decodeServerMessage(frame);
      if (!isMalformed(message) && message.kind === 'hash') told.push(message.seq);
    },
  } as unknown as ActorWorld;
  const watch = new DivergenceWatch(PAGE, world);
  const state = { get head() { return page.head; }, stateHash: () => page.hash } as unknown as PageState; // prettier-ignore
  const subscriber: Subscriber = {
    connection: 1,
    ch: 1,
    user: userId('ann'),
    replica: replicaId(1),
    role: 'viewer',
  };
  const tellAt = (head: number, now = time.now) => {
    page.head = seq(head);
    time.now = now;
    watch.tell(state);
  };
  const answer = (at: number, hash = THEIRS) => watch.diverged(subscriber, seq(at), hash);
  return { tellAt, answer, page, told, logged, counted, time };
}

describe('a page tells its hash', () => {
  test('A80 once in 256 changes while people write, and once when they rest', () => {
    const { tellAt, told } = start();
    for (let head = 1; head <= 3 * CHANGES; head++) tellAt(head, head * 10);
    expect(told).toEqual([CHANGES, 2 * CHANGES, 3 * CHANGES]);
    const rested = 3 * CHANGES * 10 + REST_MS;
    tellAt(3 * CHANGES, rested + 1000);
    tellAt(3 * CHANGES + 1, rested + 2000);
    tellAt(3 * CHANGES + 1, rested + 2000 + REST_MS - 1);
    expect(told.length).toBe(3);
    tellAt(3 * CHANGES + 1, rested + 2000 + REST_MS);
    tellAt(3 * CHANGES + 1, rested + 2000 + 2 * REST_MS);
    expect(told.slice(3)).toEqual([3 * CHANGES + 1]);
  });

  test('A80 right after the CHANGES that reached its seq: the hash of just that state', () => {
    const bench = new ActorBench();
    const log = Array.from({ length: CHANGES - 1 }, (_, i) => entry(i + 1, 9, i + 1));
    bench.load(log);
    bench.subscribe(1);
    bench.change(1, 1);
    bench.change(1, 2);
    expect(bench.batch()).toBe(`after ${CHANGES - 1}: 1.1 1.2`);
    // Waits for the next commit: told of is only what is in the log.
    bench.change(1, 3);
    bench.take();
    bench.actor.receive({ type: 'appended' });
    const published = bench.take().flatMap((one) => (one.effect === 'publish' ? [one.message] : []));
    expect(published.map(({ kind }) => kind)).toEqual(['changes', 'hash']);
    const model = new BlocksModel(PAGE, defaultLimits);
    const apply = ({ ops, hlc, replica }: { ops: Uint8Array; hlc: { ms: number; counter: number }; replica: typeof log[0]['replica'] }) =>
      model.apply(model.decode(ops) as never, { ...hlc, replica }, userId('ann')); // prettier-ignore
    for (const { body, hlcMs, hlcCounter, replica } of log)
      apply({ ops: body, hlc: { ms: hlcMs, counter: hlcCounter }, replica });
    const [changes, hash] = published;
    if (changes?.kind === 'changes') changes.changes.forEach(apply);
    expect(hash).toMatchObject({ kind: 'hash', page: PAGE, seq: CHANGES + 1, hash: model.stateHash() });
  });

  test('A81 not while nobody is on it, and never past an op that it does not know', () => {
    const bench = new ActorBench();
    bench.load(Array.from({ length: 2 * CHANGES }, (_, i) => entry(i + 1, 9, i + 1)));
    expect(bench.tell({ type: 'tick' })).toEqual([]);
    bench.subscribe(1);
    expect(bench.tell({ type: 'tick' })).toEqual(['publish hash']);
    expect(bench.tell({ type: 'tick' })).toEqual([]);
    const { tellAt, told, page, logged } = start();
    page.hash = null;
    tellAt(CHANGES);
    tellAt(CHANGES, REST_MS);
    expect([told, logged]).toEqual([[], [{ page: PAGE, seq: CHANGES }]]);
  });
});

describe('a client’s copy that differs', () => {
  test('A82 is counted each time, and logged with both hashes once in 10 s', () => {
    const { tellAt, answer, logged, counted, time } = start();
    tellAt(CHANGES);
    for (let i = 0; i < 100; i++) answer(CHANGES);
    expect(counted.diverged).toBe(100);
    const line = { page: PAGE, seq: CHANGES, ours: hashHex(OURS), theirs: hashHex(THEIRS), user: 'ann', replica: replicaId(1) };
    expect(logged).toEqual([{ ...line, notLogged: 0 }]);
    time.now += 10_000;
    answer(CHANGES);
    expect(logged.slice(1)).toEqual([{ ...line, notLogged: 99 }]);
  }); // prettier-ignore

  test('A83 is no alarm when it agrees after all, or names what was not told lately', () => {
    const { tellAt, answer, logged, counted } = start();
    answer(0);
    for (let i = 1; i <= 9; i++) tellAt(i * CHANGES);
    answer(9 * CHANGES, OURS);
    answer(9 * CHANGES - 1);
    answer(CHANGES);
    expect([counted.diverged, logged]).toEqual([0, []]);
    answer(2 * CHANGES);
    expect([counted.diverged, logged.length]).toEqual([1, 1]);
  });
});
