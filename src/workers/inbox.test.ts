/**
 * What comes to a shard is handled in turns of a few milliseconds, in its order.
 */
import { beforeEach, expect, test } from 'vitest';
import { systemClock } from '../base/time.ts';
import { EnvelopeWriter } from './envelope.ts';
import { Inbox } from './inbox.ts';

/** ms that each record takes. */
let cost = 1;
let now = 0;
let handled: number[] = [];
let turns: number[] = [];
let waits: number[] = [];
let waiting: (() => void)[] = [];
let inbox: Inbox;

beforeEach(() => {
  [cost, now, handled, turns, waits, waiting] = [1, 0, [], [], [], []];
  inbox = new Inbox({
    clock: { ...systemClock, monotonic: () => now },
    arrived: (ms) => waits.push(ms),
    record: (_type, connection) => {
      now += cost;
      handled.push(connection);
    },
    turnEnded: () => turns.push(handled.length),
    later: (callback) => waiting.push(callback),
  });
});

function batch(from: number, count: number): Uint8Array {
  const writer = new EnvelopeWriter();
  for (let i = 0; i < count; i++) writer.add(1, from + i, new Uint8Array(3));
  return writer.take({ at: now, since: now });
}
const round = () => waiting.splice(0).forEach((callback) => callback());
const upTo = (count: number) => Array.from({ length: count }, (_, i) => i);

test('G128 a flood is handled a few milliseconds at a time, in its order; others come in between', () => {
  inbox.receive(batch(0, 50));
  expect(turns).toEqual([8]);
  inbox.receive(batch(50, 3));
  expect(handled).toHaveLength(8);
  while (waiting.length > 0) round();
  expect(handled).toEqual(upTo(53));
  expect(turns).toEqual([8, 16, 24, 32, 40, 48, 53]);
  // The time of a batch that waited counts from when it was sent.
  expect(waits).toEqual([0, 42]);
});

test('G128 what costs little is handled as it comes, batch by batch', () => {
  cost = 0.001;
  inbox.receive(batch(0, 1000));
  inbox.receive(batch(1000, 1));
  expect(handled).toEqual(upTo(1001));
  expect(turns).toEqual([1000, 1001]);
  expect(waiting).toEqual([]);
});

test('G128 a shard that ends handles what has come before it ends', () => {
  inbox.receive(batch(0, 50));
  inbox.receive(batch(50, 50));
  inbox.finish();
  expect(handled).toEqual(upTo(100));
  round();
  expect(turns).toEqual([8, 100]);
});
