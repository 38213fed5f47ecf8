/**
 * The parting of a node from its clients, on sockets that only note what is done to them, under a clock that the test moves.
 */
import { expect, test } from 'vitest';
import { FakeClock } from '../../test/support/client-stage.ts';
import { silentLog } from '../base/log.ts';
import { seededRandom } from '../base/random.ts';
import type { ServerMessage } from '../protocol/messages.ts';
import type { Connection } from './connection.ts';
import { Farewell } from './farewell.ts';
import type { Replies } from './replies.ts';

function stage(served: number, others = 0) {
  const clock = new FakeClock();
  const connections = new Map<number, Connection>();
  const told = new Map<number, number>();
  const closed = new Map<number, number>();
  const leave = (id: number) => {
    const connection = connections.get(id)!;
    connections.delete(id);
    farewell.left(connection);
  };
  const replies = {
    send: ({ id }: Connection, message: ServerMessage) => {
      if (message.kind === 'goaway') told.set(id, message.afterMs);
    },
    close: ({ id }: Connection, why: string) => {
      expect(why).toBe('going_away');
      closed.set(id, clock.time);
      leave(id);
    },
  } as unknown as Replies;
  for (let id = 1; id <= served + others; id++) {
    const state = id <= served ? { tag: 'ready', replica: 'some' } : { tag: 'verifying' };
    connections.set(id, { id, state } as unknown as Connection);
  }
  const farewell = new Farewell({ clock, random: seededRandom(5), log: silentLog, replies, connections });
  return { clock, connections, told, closed, leave, farewell };
}

const isOver = async (parting: Promise<void>) =>
  Promise.race([
    parting.then(() => true),
    new Promise<false>((resolve) => setImmediate(() => resolve(false))),
  ]);

test('G106 each is told its moment, spread over what there is, and closed some time after it', async () => {
  const { clock, told, closed, farewell } = stage(700);
  const parting = farewell.begin(5000);
  const moments = [...told.values()];
  expect(moments.length).toBe(700);
  expect(Math.min(...moments)).toBeLessThan(50);
  expect(Math.max(...moments)).toBeLessThan(3500);
  for (let from = 0; from < 3500; from += 500) {
    const share = moments.filter((moment) => moment >= from && moment < from + 500).length / 700;
    expect(share).toBeGreaterThan(0.08);
    expect(share).toBeLessThan(0.21);
  }
  await clock.advance(5000);
  expect(await isOver(parting)).toBe(true);
  for (const [id, at] of closed) expect(at).toBe(told.get(id)! + 1500);
  expect(closed.size).toBe(700);
});

test('G106 few are told to go soon, and have long to do it; it is over when the last has gone', async () => {
  const { clock, told, closed, leave, farewell } = stage(4);
  const parting = farewell.begin(60_000);
  expect(Math.max(...told.values())).toBeLessThanOrEqual(20);
  await clock.advance(59_000);
  expect(closed.size).toBe(0);
  for (const id of [1, 2, 3]) leave(id);
  expect(await isOver(parting)).toBe(false);
  leave(4);
  expect([await isOver(parting), closed.size]).toEqual([true, 0]);
});

test('G106 those that have not said HELLO are sent away at once', async () => {
  const { told, closed, leave, farewell } = stage(1, 2);
  const parting = farewell.begin(5000);
  expect([[...told.keys()], [...closed.keys()]]).toEqual([[1], [2, 3]]);
  leave(1);
  expect(await isOver(parting)).toBe(true);
});

test('G107 without clients it is over at once; so it is in a hurry, before and meanwhile, and with no time', async () => {
  expect(await isOver(stage(0, 3).farewell.begin(5000))).toBe(true);
  const none = stage(5);
  expect(await isOver(none.farewell.begin(0))).toBe(true);
  const before = stage(5);
  before.farewell.hurry();
  expect(await isOver(before.farewell.begin(5000))).toBe(true);
  const meanwhile = stage(5);
  const parting = meanwhile.farewell.begin(5000);
  expect(await isOver(parting)).toBe(false);
  meanwhile.farewell.hurry();
  expect(await isOver(parting)).toBe(true);
  // They are closed by the node’s end, when they have heard of all that was committed.
  await meanwhile.clock.advance(10_000);
  expect([none.told.size, before.told.size, meanwhile.closed.size]).toEqual([0, 0, 0]);
});
