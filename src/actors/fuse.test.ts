/**
 * The fuse and what other nodes tell: volatile changes are told in order, never acknowledged, appended once, and nothing
 * is appended behind another node's before the log has it.
 */
import { describe, expect, test } from 'vitest';
import { ActorBench, entry, paragraph, title } from '../../test/support/actor-world.ts';
import { EPOCH, PAGE, replicaId, userId } from '../../test/support/pages.ts';
import { encodeOps, type OpDraft } from '../document/ops.ts';
import { seq, type UserId } from '../protocol/ids.ts';
import type { WireChange } from '../protocol/messages.ts';

const live = (stallMs = 100, ...connections: number[]) => {
  const bench = new ActorBench({}, stallMs);
  bench.load();
  for (const connection of connections) bench.subscribe(connection);
  bench.take();
  return bench;
};

const stall = (bench: ActorBench, ms: number) => {
  bench.now += ms;
  bench.actor.checkStall(bench.now);
  return bench.story();
};

const wire = (replica: number, n: number, drafts: OpDraft[] = [title(`${replica}.${n}`)], author: UserId = userId(`user${replica}`)): WireChange => ({
  replica: replicaId(replica), n, hlc: { ms: 900, counter: 0 }, author, at: 5, ops: encodeOps(drafts),
}); // prettier-ignore

const tellChanges = (bench: ActorBench, first: number, ...changes: WireChange[]) =>
  bench.tell({
    type: 'told',
    message: { kind: 'changes', page: bench.actor.page, firstSeq: seq(first), changes },
  });
const tellNames = (bench: ActorBench, first: number, ...names: [number, number][]) =>
  bench.tell({
    type: 'told',
    message: { kind: 'committed', page: bench.actor.page, firstSeq: seq(first), changes: names.map(([replica, n]) => ({ replica: replicaId(replica), n, hlc: { ms: 900, counter: 0 } })) },
  }); // prettier-ignore
const settled = (bench: ActorBench, entries = [] as ReturnType<typeof entry>[], closed = false) =>
  bench.tell({ type: 'settled', entries, closed });

describe('the fuse', () => {
  test('C60 a change that waits for too long is told without a seq, and not acknowledged', () => {
    const bench = live(100, 1);
    bench.change(1, 1);
    expect(bench.batch()).toBe('after 0: 1.1');
    expect(stall(bench, 99)).toEqual([]);
    expect(stall(bench, 1)).toEqual(['publish changes 0: 1.1']);
    expect(bench.forNodes()).toEqual(['changes 0: 1.1']);
  });

  test('C61 once it has blown each change is told at the end of its turn, until an append succeeds', () => {
    const bench = live(100, 1);
    bench.change(1, 1);
    bench.batch();
    stall(bench, 100);
    expect(bench.change(1, 2)).toEqual(['publish changes 0: 1.2']);
    expect(bench.tell({ type: 'appended' })).toEqual(['publish committed 1: 1.1', 'dirty']);
    expect(bench.change(1, 3)).toEqual(['dirty']);
    expect(bench.batch()).toBe('after 1: 1.2 1.3');
    expect(bench.tell({ type: 'appended' })).toEqual(['publish committed 2: 1.2', 'publish changes 3: 1.3']);
    expect(bench.forNodes()).toEqual(['changes 0: 1.1', 'changes 0: 1.2', 'committed 1: 1.1', 'committed 2: 1.2', 'changes 3: 1.3']);
  }); // prettier-ignore

  test('C62 with no time to wait everything is told at once', () => {
    const bench = live(0, 1);
    expect(bench.change(1, 1)).toEqual(['dirty', 'publish changes 0: 1.1']);
    bench.batch();
    expect(bench.tell({ type: 'appended' })).toEqual(['publish committed 1: 1.1']);
    expect(bench.change(1, 2)).toEqual(['dirty', 'publish changes 0: 1.2']);
  });

  test('C63 who joins is sent the volatile changes of now, before the log', () => {
    const bench = live(0, 1);
    bench.change(1, 1);
    expect(bench.subscribe(2)).toEqual([
      'send 2 subscribed head=0 lastN=0 role=editor',
      'send 2 changes 0: 1.1',
      'join 2',
    ]);
  });

  test('C64 what was told and is refused after all is withdrawn, after its sender was refused', () => {
    const bench = live(0, 1, 2);
    bench.change(1, 1);
    bench.batch();
    bench.actor.appendUnsettled(false);
    bench.take();
    expect(settled(bench, [], true)).toEqual(['send 1 reject n=1 page_closed', 'publish committed 0: 1.1']);
    expect(bench.forNodes()).toEqual(['changes 0: 1.1', 'committed 0: 1.1']);
  });

  test('C65 a resent change that was told is not acknowledged before the log has it', () => {
    const bench = live(0, 1);
    bench.change(1, 1);
    expect(bench.change(1, 1)).toEqual([]);
  });

  test('C66 past the shard’s bound of what waits, changes are refused as busy', () => {
    const bench = new ActorBench({ backlogBytesMax: 2100 });
    bench.load();
    bench.subscribe(1);
    bench.change(1, 1);
    bench.change(1, 2);
    bench.take();
    expect(bench.change(1, 3)).toEqual(['send 1 reject n=3 busy']);
    bench.batch();
    bench.tell({ type: 'appended' });
    expect(bench.change(1, 3)).toEqual(['dirty']);
  });

  test('an actor that ends gives its share of the bound back', () => {
    const bench = new ActorBench({ backlogBytesMax: 2100 });
    bench.load();
    bench.subscribe(1);
    bench.change(1, 1);
    expect(bench.backlog.bytes).toBeGreaterThan(0);
    bench.actor.crash(250);
    expect(bench.backlog.bytes).toBe(0);
  });
});

describe('other nodes', () => {
  test('A85 what they say the log holds is applied and told, in order and once', () => {
    const bench = live(100, 1);
    expect(tellChanges(bench, 1, wire(8, 1), wire(8, 2))).toEqual(['publish changes 1: 8.1 8.2']);
    expect(tellChanges(bench, 1, wire(8, 1), wire(8, 2), wire(8, 3))).toEqual(['publish changes 3: 8.3']);
    expect(tellChanges(bench, 2, wire(8, 2))).toEqual([]);
    expect(bench.forNodes()).toEqual([]);
  });

  test('A86 a gap is read from the log', () => {
    const bench = live(100, 1);
    expect(tellChanges(bench, 3, wire(8, 3))).toEqual(['settle after 0']);
    expect(settled(bench, [entry(1, 8, 1), entry(2, 8, 2), entry(3, 8, 3)])).toEqual(['publish changes 1: 8.1 8.2 8.3']);
  }); // prettier-ignore

  test('A86 a head past ours is read from the log; ours is not', () => {
    const bench = live(100, 1);
    expect(
      bench.tell({ type: 'head', at: { page: PAGE, epoch: EPOCH, head: seq(0), closed: false } }),
    ).toEqual([]);
    expect(
      bench.tell({ type: 'head', at: { page: PAGE, epoch: EPOCH, head: seq(1), closed: false } }),
    ).toEqual(['settle after 0']);
  });

  test('C126 while our own append is under way it is told at once, and ours goes again when it has lost', () => {
    const bench = live(100, 1);
    bench.change(1, 1);
    bench.batch();
    expect(tellChanges(bench, 1, wire(8, 1))).toEqual(['publish changes 1: 8.1']);
    expect(bench.batch()).toBeUndefined();
    bench.actor.appendUnsettled(true);
    expect(bench.story()).toEqual(['dirty']);
    expect(bench.batch()).toBe('after 1: 1.1');
  });

  test('C126 lost twice in a row, or of unknown outcome, the log is read', () => {
    for (const [first, second] of [[true, true], [false, true]] as const) {
      const bench = live(100, 1);
      bench.change(1, 1);
      bench.batch();
      tellChanges(bench, 1, wire(8, 1));
      bench.actor.appendUnsettled(first);
      if (!first) {
        expect(bench.story()).toEqual(['settle after 1']);
        settled(bench);
      }
      bench.batch();
      tellChanges(bench, 2, wire(8, 2));
      bench.actor.appendUnsettled(second);
      expect(bench.story()).toEqual(['settle after 2']);
      settled(bench);
      bench.batch();
      expect(bench.tell({ type: 'appended' })).toEqual(['publish changes 3: 1.1']);
    }
  }); // prettier-ignore

  test('C126 so is what is heard while the log is read, and the read tells it no second time', () => {
    const bench = live(100, 1);
    expect(tellChanges(bench, 2, wire(8, 2))).toEqual(['settle after 0']);
    expect(tellChanges(bench, 1, wire(8, 1))).toEqual(['publish changes 1: 8.1']);
    expect(settled(bench, [entry(1, 8, 1), entry(2, 8, 2)])).toEqual(['publish changes 2: 8.2']);
  });

  test('C126 what another node tells of our own append waits for its answer', () => {
    for (const succeeds of [true, false]) {
      const bench = live(100, 1);
      bench.change(1, 1, undefined, { ms: 501 });
      bench.batch();
      expect(tellChanges(bench, 1, { ...wire(1, 1), hlc: { ms: 501, counter: 0 } })).toEqual([]);
      if (succeeds) {
        expect(bench.tell({ type: 'appended' })).toEqual(['publish changes 1: 1.1', 'settle after 1']);
        expect(settled(bench)).toEqual([]);
      } else {
        bench.actor.appendUnsettled(true);
        expect(bench.story()).toEqual(['settle after 0']);
        expect(settled(bench, [entry(1, 1, 1)])).toEqual(['publish changes 1: 1.1']);
      }
      expect(bench.batch()).toBeUndefined();
    }
  });

  test('C126 an append that was overtaken and succeeded all the same is a bug that is noticed', () => {
    const bench = live(100, 1);
    bench.change(1, 1);
    bench.batch();
    tellChanges(bench, 1, wire(8, 1));
    expect(() => bench.tell({ type: 'appended' })).toThrow('an append is answered once');
  });

  test('A85 an append of ours of unknown outcome that the log has is told to the others', () => {
    const bench = live(100, 1);
    bench.change(1, 1, undefined, { ms: 501 });
    bench.batch();
    bench.actor.appendUnsettled(false);
    expect(settled(bench, [entry(1, 1, 1)])).toEqual(['settle after 0', 'publish changes 1: 1.1']);
    expect(bench.forNodes()).toEqual(['changes 1: 1.1']);
  });

  test('C67 another node’s volatile change is told here, behind what is queued here', () => {
    const bench = live(100, 1);
    bench.change(1, 1);
    expect(tellChanges(bench, 0, wire(8, 1))).toEqual([
      'publish changes 0: 1.1',
      'dirty',
      'publish changes 0: 8.1',
    ]);
    expect(bench.forNodes()).toEqual(['changes 0: 1.1']);
  });

  test('C67 one with a hole before it, of another’s replica, or known already is not', () => {
    const bench = live(100, 1);
    expect(tellChanges(bench, 0, wire(8, 2))).toEqual([]);
    tellChanges(bench, 0, wire(8, 1));
    expect(tellChanges(bench, 0, wire(8, 1))).toEqual([]);
    expect(tellChanges(bench, 0, wire(8, 2, undefined, userId('mallory')))).toEqual([]);
    expect(tellChanges(bench, 0, wire(8, 3))).toEqual([]);
    expect(tellChanges(bench, 0, wire(8, 2))).toEqual(['dirty', 'publish changes 0: 8.2']);
  });

  test('C68 nothing is appended behind it until the log has it', () => {
    const bench = live(100, 1);
    bench.change(1, 1);
    tellChanges(bench, 0, wire(8, 1));
    bench.change(1, 2);
    expect(bench.batch()).toBe('after 0: 1.1');
    bench.tell({ type: 'appended' });
    expect(bench.batch()).toBeUndefined();
    expect(tellNames(bench, 2, [8, 1])).toEqual(['publish committed 2: 8.1', 'dirty']);
    expect(bench.batch()).toBe('after 2: 1.2');
  });

  test('C69 if the log answers without it for a second, this node appends it', () => {
    const bench = live(100, 1);
    tellChanges(bench, 0, wire(8, 1));
    bench.change(1, 1);
    expect(bench.tell({ type: 'tick' })).toEqual(['settle after 0']);
    settled(bench);
    expect(bench.batch()).toBeUndefined();
    bench.now += 1000;
    bench.tell({ type: 'tick' });
    expect(settled(bench)).toEqual(['dirty']);
    expect(bench.batch()).toBe('after 0: 8.1 1.1');
    expect(bench.tell({ type: 'appended' })).toEqual(['publish committed 1: 8.1 1.1']);
  });

  test('C69 its sender may send it here meanwhile: it stays one change', () => {
    const bench = live(100, 1);
    tellChanges(bench, 0, wire(2, 1));
    bench.subscribe(2);
    bench.take();
    expect(bench.change(2, 1)).toEqual([]);
    expect(bench.change(2, 2)).toEqual(['dirty', 'publish changes 0: 2.2']);
  });

  test('C70 withdrawn by its node, it is withdrawn here; what stood on it is refused', () => {
    const bench = live(100, 1);
    tellChanges(bench, 0, wire(8, 1, [paragraph(1)]), wire(8, 2), wire(9, 1));
    expect(tellNames(bench, 0, [8, 1])).toEqual(['publish committed 0: 8.1 8.2', 'dirty']);
    expect(bench.subscribe(3)).toEqual([
      'send 3 subscribed head=0 lastN=0 role=editor',
      'send 3 changes 0: 9.1',
      'join 3',
    ]);
  });

  test('C70 a change that was handed to the database is not withdrawn by another node', () => {
    const bench = live(100, 1);
    bench.change(1, 1);
    bench.batch();
    stall(bench, 100);
    expect(tellNames(bench, 0, [1, 1])).toEqual([]);
    expect(bench.tell({ type: 'appended' })).toEqual(['publish committed 1: 1.1']);
  });

  test('A87 COMMITTED that names another change of the same number is read from the log', () => {
    const bench = live(100, 1);
    tellChanges(bench, 0, { ...wire(8, 1), hlc: { ms: 901, counter: 0 } });
    expect(tellNames(bench, 1, [8, 1])).toEqual(['settle after 0']);
    expect(settled(bench, [entry(1, 8, 1)])).toEqual(['publish changes 1: 8.1']);
  });

  test('A87 COMMITTED that names a change unknown here is read from the log', () => {
    const bench = live(100, 1);
    expect(tellNames(bench, 1, [8, 1])).toEqual(['settle after 0']);
  });
});
