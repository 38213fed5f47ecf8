/**
 * Two changes of one replica under one number: a node took in what another refused, its sender gave the number to the next
 * change, and comes to the first node with that. Whatever it sends behind it may then have a number that is next here.
 */
import { beforeEach, expect, test } from 'vitest';
import { ActorBench, entry, paragraph, title } from '../../test/support/actor-world.ts';
import { EPOCH, PAGE, replicaId, userId } from '../../test/support/pages.ts';
import { seq } from '../protocol/ids.ts';

const user = userId('user1');
const replica = replicaId(1);
let bench: ActorBench;

/** Sends under replica 1, on a socket of the same user. */
const again = (connection: number, n: number, ...drafts: Parameters<ActorBench['change']>[2] & {}) =>
  bench.change(connection, n, drafts, { replica });

/** Changes 1 and 2 wait; their sender has lost the connection, and is here again on socket 2. */
beforeEach(() => {
  bench = new ActorBench();
  bench.load();
  bench.subscribe(1);
  for (const n of [1, 2]) bench.change(1, n);
  bench.tell({ type: 'unsubscribe', connection: 1 });
  bench.subscribe(2, { user });
  bench.take();
});

test('C111 under the number of a change that waits another is busy, until the log has one of them', () => {
  expect(again(2, 1, title('1.1'))).toEqual([]);
  expect(again(2, 2, title('rival'))).toEqual(['send 2 reject n=2 busy']);
  expect(again(2, 2, title('rival'))).toEqual(['send 2 reject n=2 busy']);
  expect(bench.batch()).toBe('after 0: 1.1 1.2');
  bench.tell({ type: 'appended' });
  expect(again(2, 2, title('rival'))).toEqual(['send 2 reject n=2 out_of_order']);
  expect(again(2, 2, title('1.2'))).toEqual(['send 2 ack n=2 seq=2']);
  expect(again(2, 3, title('rival'))).toEqual(['dirty']);
});

test('C112 what stands behind a refused number is not let in, though its own be the next: not until that comes again', () => {
  for (const [n, draft] of [[1, title('1.1')], [2, title('rival')], [3, title('behind')]] as const) again(2, n, draft);
  expect(bench.batch()).toBe('after 0: 1.1 1.2');
  // In the log just as in the queue.
  bench.tell({ type: 'appended' });
  expect(again(2, 3, title('behind'))).toEqual([]);
  expect([again(2, 1, title('1.1')), again(2, 3, title('behind'))]).toEqual([['send 2 ack n=2 seq=2'], []]);
  expect([again(2, 2, title('1.2')), again(2, 3, title('next'))]).toEqual([['send 2 ack n=2 seq=2'], ['dirty']]);
}); // prettier-ignore

test('C112 a new subscription knows nothing of what was refused on the one before', () => {
  again(2, 1, title('rival'));
  bench.tell({ type: 'unsubscribe', connection: 2 });
  bench.subscribe(2, { user });
  bench.take();
  expect(again(2, 3, title('behind'))).toEqual(['dirty']);
});

test('C112 of several that are refused at once the lowest counts', () => {
  bench.batch();
  for (const n of [1, 2]) again(2, n, title(`1.${n}`));
  bench.actor.appendUnsettled(false);
  bench.tell({ type: 'settled', entries: [], closed: true });
  bench.tell({ type: 'head', at: { page: PAGE, epoch: EPOCH, head: seq(0), closed: false } });
  bench.tell({ type: 'settled', entries: [], closed: false });
  expect([again(2, 2, title('1.2')), again(2, 1, title('1.1'))]).toEqual([[], ['dirty']]);
});

test('C113 the socket that sent a change last is the one that hears what became of it', () => {
  for (const n of [1, 2]) again(2, n, title(`1.${n}`));
  bench.batch();
  bench.actor.appendUnsettled(false);
  bench.take();
  expect(bench.tell({ type: 'settled', entries: [entry(1, 1, 1, [paragraph(9)])], closed: false })).toEqual([
    'publish changes 1: 1.1',
    'send 2 reject n=1 out_of_order',
  ]);
  // Its number is the next, and the one before it another than it stands on.
  expect([again(2, 2, title('1.2')), bench.batch()]).toEqual([[], undefined]);
});
