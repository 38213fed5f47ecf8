/**
 * A page's life told by its effects, in their order: loading, joining, committing, settling, and how it ends. The
 * database is played by hand; `batch()` is what the actor hands to it.
 */
import { beforeEach, describe, expect, test } from 'vitest';
import { ActorBench, entry, paragraph, title } from '../../test/support/actor-world.ts';
import { blockId, EPOCH, PAGE, replicaId, stampOf, userId, uuid } from '../../test/support/pages.ts';
import { randomBelow, seededRandom } from '../base/random.ts';
import { BlocksModel } from '../document/blocks-model.ts';
import type { LogEntry, StoredChange } from '../persistence/log-store.ts';
import { type EpochId, type NodeId, seq } from '../protocol/ids.ts';
import { defaultLimits } from '../protocol/limits.ts';
import { MsgpackWriter } from '../protocol/msgpack-writer.ts';
import { toWire } from './wire-change.ts';
import type { CachedSnapshot, LoadedPage } from './world.ts';

let bench: ActorBench;
beforeEach(() => {
  bench = new ActorBench();
});

/** A live page with `seqs` changes of replica 9, and these connections on it. */
function live(connections: number[] = [1], seqs = 0): void {
  bench.load(Array.from({ length: seqs }, (_, i) => entry(i + 1, 9, i + 1)));
  for (const connection of connections) bench.subscribe(connection);
  bench.take();
}

const appended = () => bench.tell({ type: 'appended' });
const settled = (entries: ReturnType<typeof entry>[], closed = false) =>
  bench.tell({ type: 'settled', entries, closed });
const unsettled = () => {
  bench.actor.appendUnsettled(false);
  return bench.story();
};
const state = (text: string) => new MsgpackWriter().str(text).take();

/** A page loaded from a snapshot at `at`, with a body of so many bytes. */
function snapshotAt(at: number, bodyBytes = 10): Partial<LoadedPage> {
  const model = new BlocksModel(PAGE, defaultLimits);
  const replicas = new Map([
    [replicaId(9), { owner: userId('user9'), lastN: at, lastSeq: seq(at), lastHlc: null }],
  ]);
  const snapshot: CachedSnapshot = { seq: seq(at), body: new Uint8Array(bodyBytes), plainBytes: bodyBytes };
  return { model, snapshot, private: { latestMs: 500, replicas, model: new Uint8Array() } };
}

describe('loading', () => {
  test('A1 asks for the page once; those who come meanwhile wait and are served in order', () => {
    expect(bench.story()).toEqual(['load']);
    expect([...bench.subscribe(1), ...bench.subscribe(2)]).toEqual([]);
    expect(bench.load([entry(1, 9, 1)])).toEqual([
      'send 1 subscribed head=1 lastN=0 role=editor',
      'send 1 changes 1: 9.1',
      'join 1',
      'send 2 subscribed head=1 lastN=0 role=editor',
      'send 2 changes 1: 9.1',
      'join 2',
    ]);
  });

  test('A1 one who leaves while it loads is not served', () => {
    bench.subscribe(1);
    bench.tell({ type: 'unsubscribe', connection: 1 });
    bench.take();
    expect(bench.load()).toEqual([]);
  });

  test('A2 a failed load is unavailable, never an empty page', () => {
    bench.subscribe(1);
    bench.take();
    expect(bench.tell({ type: 'load_failed', message: 'no', retryAfterMs: 1000 })).toEqual([
      'send 1 error unavailable retry=1000',
      'forget 1/10',
    ]);
    expect(bench.actor.isGone).toBe(true);
  });

  test('C72 those who wait for a slow load are sent away; it goes on, and serves those who come then', () => {
    bench.subscribe(1);
    bench.take();
    const slow = { type: 'load_slow', message: 'later', retryAfterMs: 1000 } as const;
    expect(bench.tell(slow)).toEqual(['send 1 error unavailable retry=1000', 'forget 1/10']);
    bench.subscribe(2);
    expect(bench.take()).toEqual([]);
    expect(bench.load([entry(1, 9, 1)])).toEqual([
      'send 2 subscribed head=1 lastN=0 role=editor',
      'send 2 changes 1: 9.1',
      'join 2',
    ]);
    expect(bench.tell(slow)).toEqual([]);
  });

  test('A2 a log that cannot be read ends the actor, it is not skipped', () => {
    bench.subscribe(1);
    const broken = { ...entry(1, 9, 1), body: Uint8Array.of(0x91, 1) };
    expect(() => bench.load([broken])).toThrow(/change 1 cannot be read/);
  });

  test('A4 a page that does not exist is made by those who may, and unknown to the others', () => {
    bench.subscribe(1, { create: 'blocks', role: 'viewer' });
    bench.subscribe(2, { create: null, role: 'owner' });
    bench.subscribe(3, { create: 'blocks', role: 'editor' });
    bench.subscribe(4, { create: 'ydoc', role: 'editor' });
    bench.take();
    expect(bench.tell({ type: 'absent' })).toEqual([
      'send 1 error unknown_page',
      'forget 1/10',
      'send 2 error unknown_page',
      'forget 2/20',
      'send 4 error unsupported',
      'forget 4/40',
      'load or create blocks',
    ]);
    expect(bench.load()).toEqual(['send 3 subscribed head=0 lastN=0 role=editor', 'join 3']);
  });

  test('A4 a page that nobody may make is gone', () => {
    bench.subscribe(1);
    bench.tell({ type: 'absent' });
    expect(bench.actor.isGone).toBe(true);
  });

  test('A4 create on a page that exists opens it; another model is refused', () => {
    live([]);
    expect(bench.subscribe(1, { create: 'blocks' })[0]).toMatch(/subscribed/);
    expect(bench.subscribe(2, { create: 'ydoc' })).toEqual(['send 2 error wrong_model', 'forget 2/20']);
  });
});

describe('joining', () => {
  test('A5 A18 SUBSCRIBED, who is here, the snapshot in parts, the changes after it, then the topic', () => {
    bench.load([entry(6, 9, 6), entry(7, 1, 1)], snapshotAt(5, 600_000));
    bench.subscribe(2);
    bench.tell({ type: 'presence', connection: 2, state: state('cursor') });
    bench.take();
    expect(bench.subscribe(1)).toEqual([
      'send 1 subscribed head=7 lastN=1 role=editor',
      'send 1 presence user2=here',
      'offer 1',
      'join 1',
    ]);
    expect(bench.pull(1)).toEqual(['send 1 snapshot seq=5 part=1/3', 'offer 1']);
    expect(bench.pull(1)).toEqual(['send 1 snapshot seq=5 part=2/3', 'offer 1']);
    expect(bench.pull(1)).toEqual(['send 1 snapshot seq=5 part=3/3', 'offer 1']);
    expect(bench.pull(1)).toEqual(['send 1 changes 6: 9.6 1.1']);
    expect(bench.pull(1)).toEqual([]);
  });

  test('A6 from a position it holds, only the changes after it', () => {
    bench.load([entry(6, 9, 6), entry(7, 9, 7)], snapshotAt(5));
    expect(bench.subscribe(1, { since: seq(6), epoch: EPOCH }).slice(1)).toEqual(['send 1 changes 7: 9.7', 'join 1']);
    expect(bench.subscribe(2, { since: seq(7), epoch: EPOCH }).slice(1)).toEqual(['join 2']);
    expect(bench.subscribe(3, { since: seq(5) }).slice(1)).toEqual(['send 3 changes 6: 9.6 9.7', 'join 3']);
  }); // prettier-ignore

  test('A6 from before what it holds the snapshot; from another epoch too, if the log is still what it was', () => {
    bench.load([entry(6, 9, 6)], snapshotAt(5));
    const whole = ['snapshot seq=5 part=1/1', 'changes 6: 9.6'];
    expect(bench.subscribe(1, { since: seq(4), epoch: EPOCH }).slice(1, 3)).toEqual(whole.map((one) => `send 1 ${one}`));
    const other = { since: seq(6), epoch: uuid<EpochId>(2, 9) };
    expect(bench.subscribe(2, other)).toEqual(['settle after 6']);
    expect(settled([]).slice(1, 3)).toEqual(whole.map((one) => `send 2 ${one}`));
  }); // prettier-ignore

  test('A7 a position ahead of this copy waits for the log to be read', () => {
    live([], 1);
    expect(bench.subscribe(1, { since: seq(3), epoch: EPOCH })).toEqual(['settle after 1']);
    expect(settled([entry(2, 9, 2), entry(3, 9, 3), entry(4, 9, 4)])).toEqual([
      'publish changes 2: 9.2 9.3 9.4',
      'send 1 subscribed head=4 lastN=0 role=editor',
      'send 1 changes 4: 9.4',
      'join 1',
    ]);
  });

  test('A7 still ahead after that: the page anew', () => {
    live([], 1);
    bench.subscribe(1, { since: seq(3), epoch: EPOCH });
    expect(settled([])).toEqual([
      'send 1 subscribed head=1 lastN=0 role=editor',
      'send 1 changes 1: 9.1',
      'join 1',
    ]);
  });

  test('A8 SYNC gets what is missing, from the log or by a snapshot, and nothing when nothing is', () => {
    bench.load([entry(6, 9, 6), entry(7, 9, 7)], snapshotAt(5));
    bench.subscribe(1);
    bench.take();
    const sync = (since: number) => bench.tell({ type: 'sync', connection: 1, since: seq(since) });
    expect(sync(6)).toEqual(['send 1 changes 7: 9.7']);
    expect(sync(7)).toEqual([]);
    expect(sync(2)).toEqual(['send 1 snapshot seq=5 part=1/1', 'send 1 changes 6: 9.6 9.7']);
    expect(bench.tell({ type: 'sync', connection: 99, since: seq(0) })).toEqual([]);
  });
});

describe('committing', () => {
  test('C1 C2 nothing is told before the commit; then one CHANGES to the page is echo and acknowledgement', () => {
    live([1, 2]);
    expect(bench.change(1, 1)).toEqual(['dirty']);
    bench.change(2, 1);
    bench.change(1, 2);
    bench.take();
    expect(bench.batch()).toBe('after 0: 1.1 2.1 1.2');
    expect(bench.batch()).toBeUndefined();
    expect(bench.change(2, 2)).toEqual([]);
    expect(appended()).toEqual(['publish changes 1: 1.1 2.1 1.2', 'dirty']);
    expect(bench.batch()).toBe('after 3: 2.2');
    expect(appended()).toEqual(['publish changes 4: 2.2']);
    expect(bench.batch()).toBeUndefined();
  });

  test('C10 a duplicate of what is in the log is acknowledged by the newest; of what is queued, by its echo', () => {
    live([1]);
    bench.change(1, 1);
    expect(bench.change(1, 1)).toEqual([]);
    bench.batch();
    appended();
    bench.change(1, 2);
    bench.batch();
    appended();
    expect(bench.change(1, 1)).toEqual(['send 1 ack n=2 seq=2']);
    expect(bench.batch()).toBeUndefined();
  });

  test('W60 a refusal is told once, and takes all that follows with it until a change is let in', () => {
    live([1, 2]);
    expect(bench.change(1, 1, [{ op: 'purge', blocks: [] }])).toEqual(['send 1 reject n=1 unsupported']);
    for (const n of [2, 3, 4]) expect(bench.change(1, n)).toEqual([]);
    expect(bench.change(1, 1)).toEqual(['dirty']);
    // One was let in: the next that is out of order is a mistake that its sender does not know of yet.
    expect(bench.change(1, 3)).toEqual(['send 1 reject n=3 out_of_order']);
    expect(bench.change(1, 4)).toEqual([]);
    expect(bench.change(1, 2)).toEqual(['dirty']);
    expect(bench.change(2, 1, undefined, { replica: replicaId(1) })).toEqual(['send 2 reject n=1 not_yours']);
  });

  test('C12 a change under an earlier session’s replica is that replica’s', () => {
    live([1]);
    expect(bench.change(1, 1, undefined, { replica: replicaId(5) })).toEqual(['dirty']);
    expect(bench.batch()).toBe('after 0: 5.1');
    appended();
    expect(bench.change(1, 1, undefined, { replica: replicaId(5) })).toEqual(['send 1 ack n=1 seq=1']);
    expect(bench.change(1, 1)).toEqual(['dirty']);
  });

  test('C15 ops without effect are told to their sender, before the echo', () => {
    live([1]);
    bench.change(1, 1, [paragraph(1), paragraph(2, blockId(7)), paragraph(1)]);
    bench.batch();
    expect(appended()).toEqual([
      'send 1 notice n=1 op=1 gone',
      'send 1 notice n=1 op=2 exists',
      'publish changes 1: 1.1',
    ]);
  });

  test('C16 what one who left had sent is committed all the same, and a stranger’s change is not heard', () => {
    live([1]);
    bench.change(1, 1);
    expect(bench.tell({ type: 'unsubscribe', connection: 1 })).toEqual(['leave 1']);
    expect(bench.change(1, 2)).toEqual([]);
    expect(bench.batch()).toBe('after 0: 1.1');
    expect(appended()).toEqual(['publish changes 1: 1.1']);
  });

  test('C24 an answer that nobody asked for is a bug that is noticed', () => {
    live([1]);
    expect(() => appended()).toThrow('an append is answered once');
    expect(() => settled([])).toThrow('a read of the log is answered once');
  });
});

describe('settling', () => {
  test('C17 nothing goes to the database until the log has been read', () => {
    live([1]);
    bench.change(1, 1);
    bench.batch();
    expect(unsettled()).toEqual(['settle after 0']);
    bench.change(1, 2);
    expect(bench.batch()).toBeUndefined();
    expect(settled([])).toEqual(['dirty']);
    expect(bench.batch()).toBe('after 0: 1.1 1.2');
  });

  test('C3 C19 unknown outcome: what is in the log leaves the queue, and nothing is doubled', () => {
    live([1]);
    for (const n of [1, 2, 3]) bench.change(1, n);
    bench.batch();
    bench.change(1, 4);
    unsettled();
    // All three were committed, though the answer was lost.
    expect(settled([entry(1, 1, 1), entry(2, 1, 2), entry(3, 1, 3)])).toEqual([
      'publish changes 1: 1.1 1.2 1.3',
      'dirty',
    ]);
    expect(bench.batch()).toBe('after 3: 1.4');
    expect(appended()).toEqual(['publish changes 4: 1.4']);
    expect(bench.change(1, 3)).toEqual(['send 1 ack n=4 seq=4']);
  });

  test('C18 a lost race: foreign changes are applied and told first, then ours follow', () => {
    live([1]);
    bench.change(1, 1, [paragraph(1)]);
    bench.batch();
    unsettled();
    expect(settled([entry(1, 2, 1, [paragraph(1)])])).toEqual(['publish changes 1: 2.1', 'dirty']);
    expect(bench.batch()).toBe('after 1: 1.1');
    expect(appended()).toEqual(['send 1 notice n=1 op=0 exists', 'publish changes 2: 1.1']);
  });

  test('C125 a page says when others have had their turn: not when the log brings what is its own', () => {
    live([1]);
    bench.change(1, 1, undefined, { ms: 501 });
    bench.batch();
    unsettled();
    settled([entry(1, 1, 1)]);
    expect(bench.othersWrote).toBe(0);
    bench.actor.receive({ type: 'head', at: { page: PAGE, epoch: EPOCH, head: seq(2), closed: false } });
    settled([entry(2, 2, 1)]);
    expect(bench.othersWrote).toBe(1);
  });

  test('C19 the same replica went on through another node: only what the log lacks stays', () => {
    live([1, 2]);
    bench.change(1, 1);
    bench.change(2, 1);
    bench.batch();
    unsettled();
    // A resend through another node has put (1, 1) and (1, 2) into the log.
    bench.change(1, 2);
    bench.change(1, 3);
    bench.take();
    expect(settled([entry(1, 1, 1), entry(2, 1, 2)])).toEqual(['publish changes 1: 1.1 1.2', 'dirty']);
    expect(bench.batch()).toBe('after 2: 2.1 1.3');
  });

  test('C19 an id that another user took meanwhile: not_yours, and everything of it goes', () => {
    live([1, 2]);
    bench.change(1, 1);
    bench.change(1, 2);
    bench.change(2, 1);
    bench.batch();
    unsettled();
    expect(settled([entry(1, 1, 1, undefined, userId('mallory'))])).toEqual([
      'publish changes 1: 1.1',
      'send 1 reject n=1 not_yours',
      'send 1 reject n=2 not_yours',
      'dirty',
    ]);
    expect(bench.batch()).toBe('after 1: 2.1');
  });

  test('C83 the log has another change under its number: refused with all behind it, and not taken for that one', () => {
    live([1, 2]);
    for (const n of [1, 2]) bench.change(1, n);
    bench.change(2, 1);
    bench.batch();
    unsettled();
    expect(settled([entry(1, 1, 1, [paragraph(9)])])).toEqual(['publish changes 1: 1.1', 'send 1 reject n=1 out_of_order', 'dirty']);
    expect(bench.batch()).toBe('after 1: 2.1');
  }); // prettier-ignore

  test('C83 a change that comes under a number which the log gave to another is refused, not acknowledged', () => {
    live([1]);
    bench.change(1, 1);
    bench.batch();
    appended();
    expect(bench.change(1, 1)).toEqual(['send 1 ack n=1 seq=1']);
    expect(bench.change(1, 1, [paragraph(9)])).toEqual(['send 1 reject n=1 out_of_order']);
  });

  test('C20 a page that went to the trash refuses what waits and what comes', () => {
    live([1]);
    bench.change(1, 1);
    bench.batch();
    unsettled();
    expect(settled([], true)).toEqual(['send 1 reject n=1 page_closed']);
    expect(bench.change(1, 1)).toEqual(['send 1 reject n=1 page_closed']);
    expect(bench.batch()).toBeUndefined();
  });

  test('C17 wanted during a commit, it begins after it', () => {
    live([1], 1);
    bench.change(1, 1);
    bench.batch();
    expect(bench.subscribe(2, { since: seq(9), epoch: EPOCH })).toEqual([]);
    expect(appended()).toEqual(['publish changes 2: 1.1', 'settle after 2']);
    expect(settled([])[0]).toBe('send 2 subscribed head=2 lastN=0 role=editor');
  });

  test('C3 C5 lost answers, lost races and foreign changes in any order: each change once, in order, told once', () => {
    for (let seed = 1; seed <= 60; seed++) {
      const random = seededRandom(seed);
      const run = new Run();
      for (let step = 0; step < 120; step++) run.step(randomBelow(random, 8));
      run.finish();
    }
  });
});

/** A page with two writers, and a log that another node writes to as well. */
class Run {
  readonly bench = new ActorBench();
  readonly log: LogEntry[] = [];
  readonly sent = new Map([[1, 0], [2, 0]]); // prettier-ignore
  inFlight: StoredChange[] | undefined;
  known = 0;
  settling: number | undefined;
  toldTo = 0;

  constructor() {
    this.bench.load();
    for (const connection of this.sent.keys()) this.bench.subscribe(connection);
    this.note();
  }

  /** Takes the effects in: what was told must go on from what was told before. */
  note(): void {
    for (const effect of this.bench.take()) {
      if (effect.effect === 'settle') this.settling = effect.known;
      if (effect.effect !== 'publish' || effect.message.kind !== 'changes') continue;
      const { firstSeq, changes } = effect.message;
      expect(firstSeq).toBe(this.toldTo + 1);
      this.toldTo += changes.length;
      expect(changes.map(nameOf)).toEqual(this.log.slice(firstSeq - 1, this.toldTo).map(nameOf));
    }
  }

  step(kind: number): void {
    const { bench, log } = this;
    if (kind <= 1) this.send(kind + 1);
    else if (kind === 2) log.push(entry(log.length + 1, 3, log.filter((one) => one.replica === replicaId(3)).length + 1));
    else if (kind === 3 && !this.inFlight) {
      const batch = bench.actor.takeBatch();
      this.inFlight = batch && [...batch.changes];
      this.known = batch?.known ?? 0;
    } else if (kind === 4 && this.inFlight) this.answer(true, true);
    else if (kind === 5 && this.inFlight) this.answer(true, false);
    else if (kind === 6 && this.inFlight) this.answer(false, false);
    else if (kind === 7) this.hear();
    else if (this.settling !== undefined) {
      const entries = log.slice(this.settling);
      this.settling = undefined;
      bench.actor.receive({ type: 'settled', entries, closed: false });
    }
    this.note();
  } // prettier-ignore

  send(connection: number): void {
    const n = this.sent.get(connection)! + 1;
    this.sent.set(connection, n);
    expect(this.bench.change(connection, n).filter((one) => one !== 'dirty')).toEqual([]);
  }

  /** Another node tells the newest of the log. */
  hear(): void {
    const from = Math.max(0, this.log.length - 2);
    const changes = this.log.slice(from).map(toWire);
    const message = { kind: 'changes', page: PAGE, firstSeq: seq(from + 1), changes } as const;
    if (changes.length > 0) this.bench.actor.receive({ type: 'told', message });
  }

  answer(done: boolean, heard: boolean): void {
    // Another node may have been quicker: then nothing was done, and the head says so.
    const wins = done && this.log.length === this.known;
    if (wins)
      for (const change of this.inFlight!) this.log.push({ ...change, seq: seq(this.log.length + 1) });
    this.inFlight = undefined;
    if (wins && heard) this.bench.actor.receive({ type: 'appended' });
    else this.bench.actor.appendUnsettled(done && !wins);
  }

  finish(): void {
    for (let i = 0; i < 20; i++) for (const kind of [4, 3]) this.step(kind);
    expect(this.bench.actor.queueLength).toBe(0);
    expect(this.toldTo).toBe(this.log.length);
    for (const [connection, count] of this.sent) {
      const numbers = this.log.filter((one) => one.replica === replicaId(connection)).map(({ n }) => n);
      expect(numbers).toEqual(Array.from({ length: count }, (_, i) => i + 1));
    }
  }
}

const nameOf = ({ replica, n }: { replica: string; n: number }) => `${replica}.${n}`;

describe('roles and presence', () => {
  test('A9 a weaker role holds at once; none takes the page away', () => {
    live([1]);
    expect(bench.tell({ type: 'role', connection: 1, role: 'viewer' })).toEqual(['send 1 role viewer']);
    expect(bench.change(1, 1)).toEqual(['send 1 reject n=1 forbidden']);
    expect(bench.tell({ type: 'role', connection: 1, role: null })).toEqual([
      'leave 1',
      'send 1 role null',
      'send 1 error forbidden',
      'forget 1/10',
    ]);
    expect(bench.tell({ type: 'role', connection: 1, role: 'owner' })).toEqual([]);
  });

  test('A104 people are renewed on other nodes every 10 s, and when they ask', () => {
    live([1]);
    const news = { node: uuid<NodeId>(1, 7), states: [] };
    bench.tell({ type: 'presence_elsewhere', news: { ...news, kind: 'ask' } });
    expect(bench.shared).toEqual([]);
    bench.tell({ type: 'presence', connection: 1, state: state('a') });
    bench.actor.takePresence();
    bench.tell({ type: 'presence_elsewhere', news: { ...news, kind: 'ask' } });
    expect(bench.shared.splice(0)).toEqual(['change user1', 'list user1']);
    for (let i = 0; i < 25; i++) {
      bench.now += 1000;
      bench.tell({ type: 'tick' });
    }
    expect(bench.shared).toEqual(['list user1', 'list user1']);
  });

  test('A17 presence leaves once a turn, and a goodbye by itself', () => {
    live([1, 2]);
    bench.tell({ type: 'presence', connection: 1, state: state('a') });
    expect(bench.actor.takePresence()).toBeDefined();
    expect(bench.actor.takePresence()).toBeUndefined();
    bench.tell({ type: 'unsubscribe', connection: 1 });
    expect(bench.actor.takePresence()).toBeDefined();
    expect(bench.subscribe(3).some((one) => one.includes('presence'))).toBe(false);
  });
});

describe('snapshots and the end', () => {
  const saved = (at: number): CachedSnapshot => ({ seq: seq(at), body: new Uint8Array(5), plainBytes: 5 });

  test('A11 a forced snapshot is the confirmed state, without what is queued', () => {
    live([1], 2);
    bench.change(1, 1, [title('queued')]);
    bench.take();
    bench.actor.snapshot(true);
    const [save] = bench.take();
    if (save?.effect !== 'save') return expect.fail('no snapshot');
    const restored = new BlocksModel(PAGE, defaultLimits, { snapshot: save.plain, private: new MsgpackWriter().array(0).take() });
    expect(save.seq).toBe(2);
    expect(restored.table.get(restored.table.root)!.props.get('title')).toMatchObject({ value: '9.2', stamp: stampOf(502, 0, 9) });
    bench.actor.snapshot(true);
    expect(bench.story()).toEqual([]);
  }); // prettier-ignore

  test('A13 a saved snapshot serves joiners; one just behind it still gets changes', () => {
    live([], 3);
    bench.actor.snapshot(true);
    expect(bench.tell({ type: 'snapshot_saved', snapshot: saved(3) })).toEqual(['save at 3']);
    expect(bench.subscribe(1)[1]).toBe('send 1 snapshot seq=3 part=1/1');
    expect(bench.subscribe(2, { since: seq(1) })[1]).toBe('send 2 changes 2: 9.2 9.3');
  });

  test('A13 a snapshot older than the one it has, saved for an actor before it, changes nothing', () => {
    bench.load([entry(8, 9, 8)], snapshotAt(7));
    bench.tell({ type: 'snapshot_saved', snapshot: saved(5) });
    bench.take();
    expect(bench.subscribe(1)).toEqual([
      'send 1 subscribed head=8 lastN=0 role=editor',
      'send 1 snapshot seq=7 part=1/1',
      'send 1 changes 8: 9.8',
      'join 1',
    ]);
  });

  test('A16 rests only without subscribers and without work; leaves memory only then', () => {
    live([1]);
    bench.now += 1000;
    expect([bench.actor.idleMs(bench.now), bench.actor.evict()]).toEqual([0, false]);
    bench.change(1, 1);
    bench.tell({ type: 'unsubscribe', connection: 1 });
    expect([bench.actor.idleMs(bench.now), bench.actor.evict()]).toEqual([0, false]);
    bench.batch();
    appended();
    bench.now += 500;
    expect(bench.actor.idleMs(bench.now)).toBe(500);
    expect(bench.actor.evict()).toBe(true);
    expect(bench.actor.isGone).toBe(true);
  });

  test('A10 a crash tells everyone to come back, those who wait too', () => {
    live([1, 2]);
    bench.subscribe(3, { since: seq(9), epoch: EPOCH });
    bench.change(1, 1);
    bench.take();
    bench.actor.crash(250);
    expect(bench.story()).toEqual([
      'send 3 error unavailable retry=250',
      'forget 3/30',
      'send 1 error unavailable retry=250',
      'forget 1/10',
      'leave 1',
      'send 2 error unavailable retry=250',
      'forget 2/20',
      'leave 2',
    ]);
    expect(bench.actor.isGone).toBe(true);
  });
});
