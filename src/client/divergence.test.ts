/**
 * The alarm in the client: when it is raised, how often the page is taken anew, and that it never loops.
 */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { PAGE, paragraph, marks, settle, Stage } from '../../test/support/client-stage.ts';
import { PAGE as LOGGED, replicaId, userId } from '../../test/support/pages.ts';
import { randomLog } from '../../test/support/random-log.ts';
import { seededRandom } from '../base/random.ts';
import type { Clock } from '../base/time.ts';
import { BlocksModel } from '../document/blocks-model.ts';
import type { Op } from '../document/ops.ts';
import { MODEL_VERSION, readSnapshot } from '../document/snapshot.ts';
import { seq } from '../protocol/ids.ts';
import { defaultLimits } from '../protocol/limits.ts';
import { MsgpackWriter } from '../protocol/msgpack-writer.ts';
import { Divergence, type DivergedEvent } from './divergence.ts';
import { Replica } from './replica.ts';

const GOOD = Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8);
const BAD = Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 9);
const MINUTE = 60_000;

function start() {
  let time = 0;
  let timers: { at: number; callback: () => void }[] = [];
  const clock: Clock = {
    now: () => time,
    monotonic: () => time,
    after: (delayMs, callback) => {
      const timer = { at: time + delayMs, callback };
      timers.push(timer);
      return { cancel: () => void (timers = timers.filter((one) => one !== timer)) };
    },
  };
  const done: string[] = [];
  const events: DivergedEvent[] = [];
  const state = { ours: GOOD as Uint8Array | null };
  const divergence = new Divergence(clock, seededRandom(1), {
    ours: () => state.ours,
    report: () => done.push('report'),
    repair: () => done.push('repair'),
    diverged: (event) => events.push(event),
  });
  const pass = (ms: number) => {
    time += ms;
    const due = timers.filter(({ at }) => at <= time);
    timers = timers.filter(({ at }) => at > time);
    for (const { callback } of due) callback();
  };
  return { divergence, state, done, events, pass, waiting: () => timers.length };
}

describe('a copy', () => {
  test('K71 that agrees, or that cannot be compared, says nothing', () => {
    const { divergence, state, done, events } = start();
    divergence.compare(seq(1), GOOD);
    state.ours = null;
    divergence.compare(seq(2), BAD);
    expect([done, events]).toEqual([[], []]);
  });

  test('K72 that differs is reported, and taken anew after a while that is not the same for all', () => {
    const { divergence, state, done, events, pass } = start();
    state.ours = BAD;
    divergence.compare(seq(7), GOOD);
    divergence.compare(seq(8), GOOD);
    expect(done).toEqual(['report']);
    expect(events).toEqual([
      { seq: 7, ours: '0102030405060709', theirs: '0102030405060708', repairing: true },
    ]);
    pass(2_000);
    expect(done).toEqual(['report', 'repair']);
  });

  test('K73 that still differs when it was taken anew is reported, ever more rarely, and goes on as it is', () => {
    const { divergence, state, done, events, pass } = start();
    state.ours = BAD;
    for (let minute = 0; minute < 24 * 60; minute++) {
      divergence.compare(seq(minute), GOOD);
      pass(MINUTE);
    }
    expect(done.filter((what) => what === 'repair')).toEqual(['repair']);
    expect(done.length).toBeLessThan(35);
    expect(events.map(({ repairing }) => repairing)).toEqual([true, ...events.slice(1).map(() => false)]);
  });

  test('K73 that comes to differ again and again is taken anew ever more rarely', () => {
    const { divergence, state, done, pass } = start();
    for (let minute = 0; minute < 24 * 60; minute++) {
      state.ours = BAD;
      divergence.compare(seq(minute), GOOD);
      pass(MINUTE / 2);
      state.ours = GOOD;
      divergence.compare(seq(minute), GOOD);
      pass(MINUTE / 2);
    }
    const repairs = done.filter((what) => what === 'repair').length;
    expect([repairs > 5, repairs < 35]).toEqual([true, true]);
  });

  test('K73 after hours of peace the next alarm counts as the first', () => {
    const { divergence, state, done, pass } = start();
    const once = () => {
      state.ours = BAD;
      divergence.compare(seq(1), GOOD);
      pass(MINUTE);
      state.ours = GOOD;
      divergence.compare(seq(1), GOOD);
    };
    for (let i = 0; i < 100; i++) once();
    pass(7 * 60 * MINUTE);
    done.length = 0;
    once();
    once();
    expect(done).toEqual(['report', 'repair', 'report', 'repair']);
  });

  test('K17 a page that is closed is not taken anew', () => {
    const { divergence, state, done, pass, waiting } = start();
    state.ours = BAD;
    divergence.compare(seq(7), GOOD);
    divergence.close();
    pass(MINUTE);
    expect([done, waiting()]).toEqual([['report'], 0]);
  });
});

describe('a page', () => {
  const told = (stage: Stage, hash = stage.fold().hash!) =>
    stage.say({ kind: 'hash', page: PAGE, seq: seq(stage.log.length), hash });

  test('K71 compares at the very seq only, and says nothing while it agrees', async () => {
    const stage = new Stage();
    const page = await stage.page();
    page.insert({ type: 'paragraph', props: { n: 9 } });
    await settle();
    stage.foreign(paragraph(1));
    await told(stage, new Uint8Array(8));
    await stage.tell(1);
    await told(stage);
    expect([page.seq, stage.all('diverged')]).toEqual([1, []]);
  });

  test('K72 that differs is reported and taken anew, and what is pending stays', async () => {
    const stage = new Stage();
    const page = await stage.page();
    const alarms: DivergedEvent[] = [];
    page.on('diverged', (event) => alarms.push(event));
    stage.foreign(paragraph(1));
    await stage.tell(1);
    const heard = stage.log[0]!;
    // What this copy was told is not what the log has.
    stage.log[0] = { ...heard, hlc: { ...heard.hlc, counter: heard.hlc.counter + 1 } };
    const id = page.insert({ type: 'paragraph', props: { n: 2 }, text: 'mine' });
    await settle();
    await told(stage);
    expect(stage.all('diverged')).toMatchObject([{ seq: 1 }]);
    expect(alarms).toMatchObject([{ seq: 1, repairing: true }]);
    await stage.clock.advance(2000);
    expect(stage.last('subscribe').since).toBeNull();
    await stage.subscribed();
    await stage.tell(1);
    await told(stage);
    expect([page.seq, page.live, marks(page), page.block(id)?.plainText]).toEqual([1, true, [1, 2], 'mine']);
    expect([stage.all('diverged').length, stage.last('change').n]).toEqual([1, 1]);
    stage.take(1);
    await stage.tell(2);
    await told(stage);
    expect([page.saved, stage.all('diverged').length]).toEqual([true, 1]);
  });

  test('K72 that loses its socket before is taken anew on the next', async () => {
    const stage = new Stage();
    const page = await stage.page();
    stage.foreign(paragraph(1));
    await stage.tell(1);
    await told(stage, new Uint8Array(8));
    stage.peer.events.close(1006, 'gone');
    await stage.clock.advance(4000);
    await stage.welcome();
    expect(stage.last('subscribe').since).toBeNull();
    await stage.subscribed();
    await stage.tell(1);
    expect([page.seq, page.live]).toEqual([1, true]);
  });

  test('K71 compares nothing past an op of a newer version', async () => {
    const stage = new Stage();
    await stage.page();
    stage.foreign(paragraph(1));
    // [[99, nil]]
    stage.log[0] = { ...stage.log[0]!, ops: Uint8Array.of(0x91, 0x92, 99, 0xc0) };
    await stage.tell(1);
    await told(stage, new Uint8Array(8));
    expect(stage.all('diverged')).toEqual([]);
  });

  test('K103 past an op of a newer version the copy says that there is more, shows the rest, and is written on', async () => {
    const stage = new Stage();
    const page = await stage.page();
    const said: boolean[] = [];
    page.on('outdated', (outdated) => said.push(outdated));
    for (const n of [1, 2, 3]) stage.foreign(paragraph(n));
    stage.log[1] = { ...stage.log[1]!, ops: Uint8Array.of(0x91, 0x92, 99, 0xc0) };
    await stage.tell(1, 1);
    expect([page.outdated, said]).toEqual([false, []]);
    await stage.tell(2);
    expect([page.outdated, said, marks(page), page.seq]).toEqual([true, [true], [1, 3], 3]);
    page.insert({ type: 'paragraph', props: { n: 'mine' } });
    await settle();
    expect(stage.last('change').n).toBe(1);
    stage.take(1);
    await stage.tell(4);
    expect([page.saved, marks(page).length, said]).toEqual([true, 3, [true]]);
  });

  test('K104 a snapshot of a version that it cannot read ends the page as unsupported; what is pending is handed back', async () => {
    const stage = new Stage();
    const page = await stage.page();
    page.insert({ type: 'paragraph', props: { n: 1 } });
    await settle();
    const back: string[] = [];
    page.on('rejected', ({ code, ops }) => back.push(`${code} ${ops.length}`));
    const { ch } = stage.last('subscribe');
    const newer = new MsgpackWriter().array(5).int(MODEL_VERSION + 1).nil().nil().nil().nil().take(); // prettier-ignore
    await stage.say({ kind: 'snapshot', ch, seq: seq(7), encoding: 0, part: 0, parts: 1, bytes: newer });
    await expect(page.whenLive()).rejects.toMatchObject({ code: 'unsupported' });
    expect(back).toEqual(['unsupported 1']);
  });
});

test('K74 frames of a kind that the SDK does not know are ignored', async () => {
  const stage = new Stage();
  const page = await stage.page();
  for (const kind of [63, 99, 127]) stage.peer.events.message(Uint8Array.of(0x92, kind, 1));
  stage.foreign(paragraph(1));
  await stage.tell(1);
  expect([page.live, marks(page), stage.errors]).toEqual([true, [1], []]);
});

const LONG = process.env['OCTAVO_TEST_LONG'] !== undefined;

test('K70 property: over any log the SDK’s copy and the server’s have one hash at every seq, from snapshots too', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 1e9 }), fc.nat(59), (number, joined) => {
      const server = new BlocksModel(LOGGED, defaultLimits);
      const first = new Replica(LOGGED, replicaId(8), () => 1);
      const late = new Replica(LOGGED, replicaId(9), () => 1);
      const author = userId('ann');
      randomLog(number, 60).forEach(({ stamp, body }, i) => {
        const { replica, ms, counter } = stamp;
        const changes = [{ replica, n: i + 1, hlc: { ms, counter }, author, at: 0, ops: body }];
        if (i === joined) late.load(readSnapshot(LOGGED, server.encodeSnapshot()).table, seq(i));
        server.apply(server.decode(body) as Op[], { ...stamp }, author);
        for (const copy of i >= joined ? [first, late] : [first]) {
          copy.applyChanges(seq(i + 1), changes);
          expect(copy.confirmed.hash).toEqual(server.stateHash());
        }
      });
    }),
    { numRuns: LONG ? 3_000 : 40 },
  );
});
