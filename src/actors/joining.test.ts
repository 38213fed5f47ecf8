/**
 * How a reader is brought up to the page: little at once, more in windows that it pulls, and what happens when the page
 * goes on meanwhile.
 */
import { beforeEach, describe, expect, test } from 'vitest';
import { ActorBench, entry, title } from '../../test/support/actor-world.ts';
import { EPOCH, PAGE, replicaId, userId } from '../../test/support/pages.ts';
import { BlocksModel } from '../document/blocks-model.ts';
import { seq } from '../protocol/ids.ts';
import { defaultLimits } from '../protocol/limits.ts';
import type { CachedSnapshot } from './world.ts';

const LARGE = 600_000;

let bench: ActorBench;
beforeEach(() => {
  bench = new ActorBench();
});

const cached = (at: number, bodyBytes: number): CachedSnapshot => ({
  seq: seq(at),
  body: new Uint8Array(bodyBytes),
  plainBytes: bodyBytes,
});

function loadAt(at: number, bodyBytes: number): void {
  const replicas = new Map([
    [replicaId(9), { owner: userId('user9'), lastN: at, lastSeq: seq(at), lastHlc: null }],
  ]);
  bench.load([], {
    model: new BlocksModel(PAGE, defaultLimits),
    private: { latestMs: 0, replicas, model: new Uint8Array() },
    snapshot: cached(at, bodyBytes),
  });
}

/** Change n of replica 9, which is change n of the page, committed. */
function commit(n: number, bytes = 10): void {
  bench.actor.receive({
    type: 'settled',
    entries: [entry(n, 9, n, [title('x'.repeat(bytes))])],
    closed: false,
  });
  bench.take();
}

/** Lets the page learn of a change that another node has written. */
function foreign(n: number, bytes = 10): void {
  bench.subscribe(99, { since: seq(n), epoch: EPOCH });
  commit(n, bytes);
  bench.tell({ type: 'unsubscribe', connection: 99 });
}

describe('a reader', () => {
  test('A70 gets a little at once, and more only as it pulls it, window by window', () => {
    loadAt(5, 4096);
    expect(bench.subscribe(1).slice(1)).toEqual(['send 1 snapshot seq=5 part=1/1', 'join 1']);
    bench = new ActorBench();
    loadAt(5, 4097);
    expect(bench.subscribe(1).slice(1)).toEqual(['offer 1', 'join 1']);
    expect(bench.pull(1)).toEqual(['send 1 snapshot seq=5 part=1/1']);
    expect(bench.pull(1)).toEqual([]);
  });

  test('A70 has its tail in windows too, up to where it joined', () => {
    loadAt(0, 1);
    for (let n = 1; n <= 4; n++) foreign(n, 200_000);
    expect(bench.subscribe(1, { since: seq(0), epoch: EPOCH }).slice(1)).toEqual(['offer 1', 'join 1']);
    expect(bench.pull(1)).toEqual(['send 1 changes 1: 9.1', 'offer 1']);
    // Committed after it joined: it hears of that as everyone does.
    foreign(5);
    expect(bench.pull(1)).toEqual(['send 1 changes 2: 9.2', 'offer 1']);
    expect(bench.pull(1)).toEqual(['send 1 changes 3: 9.3', 'offer 1']);
    expect(bench.pull(1)).toEqual(['send 1 changes 4: 9.4 9.5', 'offer 1']);
    expect(bench.pull(1)).toEqual([]);
  });

  test('A70 that leaves, or asks from elsewhere, is sent no more of the first', () => {
    loadAt(5, LARGE);
    bench.subscribe(1);
    bench.pull(1);
    bench.tell({ type: 'unsubscribe', connection: 1 });
    expect(bench.pull(1)).toEqual([]);
    bench.subscribe(2);
    bench.pull(2);
    foreign(6);
    expect(bench.tell({ type: 'sync', connection: 2, since: seq(5) })).toEqual(['send 2 changes 6: 9.6']);
    expect(bench.pull(2)).toEqual([]);
  });

  test('A71 reads on in the snapshot before the newest, and begins again when that is older', () => {
    loadAt(5, LARGE);
    bench.subscribe(1);
    bench.pull(1);
    for (const n of [6, 7]) foreign(n);
    bench.tell({ type: 'snapshot_saved', snapshot: cached(7, LARGE) });
    expect(bench.pull(1)).toEqual(['send 1 snapshot seq=5 part=2/3', 'offer 1']);
    foreign(8);
    bench.tell({ type: 'snapshot_saved', snapshot: cached(8, LARGE) });
    expect(bench.pull(1)).toEqual(['send 1 snapshot seq=8 part=1/3', 'offer 1']);
  });

  test('A72 that was left behind is told where the page stands, who is here, and the newest change; then it follows', () => {
    loadAt(5, LARGE);
    bench.subscribe(1);
    bench.tell({ type: 'presence', connection: 1, state: Uint8Array.of(1) });
    for (const n of [6, 7]) foreign(n);
    expect(bench.tell({ type: 'resume', connection: 1 })).toEqual([
      'send 1 subscribed head=7 lastN=0 role=editor',
      'send 1 presence user1=here',
      'send 1 changes 7: 9.7',
      'join 1',
    ]);
    expect(bench.tell({ type: 'sync', connection: 1, since: seq(5) })).toEqual(['send 1 changes 6: 9.6 9.7']);
  });

  test('A72 that was left behind where no change is held gets the snapshot', () => {
    loadAt(5, 10);
    bench.subscribe(1);
    expect(bench.tell({ type: 'resume', connection: 1 }).slice(1)).toEqual([
      'send 1 snapshot seq=5 part=1/1',
      'join 1',
    ]);
  });

  test('A72 that has gone meanwhile is told nothing', () => {
    loadAt(5, 10);
    bench.subscribe(1);
    bench.tell({ type: 'unsubscribe', connection: 1 });
    expect(bench.tell({ type: 'resume', connection: 1 })).toEqual([]);
  });

  test('A78 is told much of what is not committed yet as it pulls it, after the rest, up to where it joined', () => {
    bench = new ActorBench({}, 0);
    bench.load();
    bench.subscribe(9);
    for (let n = 1; n <= 6; n++) bench.change(9, n, [title('x'.repeat(60_000))]);
    expect(bench.subscribe(1).slice(1)).toEqual(['offer 1', 'join 1']);
    bench.change(9, 7, [title('y')]);
    expect(bench.pull(1)).toEqual(['send 1 changes 0: 9.1 9.2 9.3 9.4', 'offer 1']);
    bench.batch();
    bench.tell({ type: 'appended' });
    expect(bench.pull(1)).toEqual([]);
  });

  test('A78 goes on where it stood when the first of them are committed', () => {
    bench = new ActorBench({}, 0);
    bench.load();
    bench.subscribe(9);
    for (let n = 1; n <= 4; n++) bench.change(9, n, [title('x'.repeat(60_000))]);
    bench.batch();
    for (let n = 5; n <= 9; n++) bench.change(9, n, [title('x'.repeat(60_000))]);
    bench.subscribe(1);
    bench.tell({ type: 'appended' });
    expect(bench.pull(1)).toEqual(['send 1 changes 0: 9.5 9.6 9.7 9.8', 'offer 1']);
    expect(bench.pull(1)).toEqual(['send 1 changes 0: 9.9']);
    expect(bench.pull(1)).toEqual([]);
  });
});
