/**
 * What is held until the log was read: in order, by replica, and within bounds.
 */
import { describe, expect, test } from 'vitest';
import { replicaId } from '../../test/support/pages.ts';
import { type HeldChange, HeldBack } from './held-back.ts';

const subscriber = { connection: 1 } as HeldChange['subscriber'];

const change = (replica: number, n: number, read: number, bytes = 10): HeldChange => ({
  subscriber,
  replica: replicaId(replica),
  message: { type: 'change', connection: 1, n, hlc: { ms: 1, counter: 0 }, ops: new Uint8Array(bytes), replica: null, userWaitMs: 0 },
  read,
}); // prettier-ignore

describe('HeldBack', () => {
  test('C82 is given back by the read that it waits for, in order; what follows of a replica waits for the same', () => {
    const held = new HeldBack();
    expect(held.readOf(replicaId(1))).toBeUndefined();
    for (const one of [change(1, 1, 3), change(2, 1, 4), change(1, 2, 3)]) expect(held.hold(one)).toBeUndefined();
    expect([held.readOf(replicaId(1)), held.readOf(replicaId(2)), held.readOf(replicaId(3))]).toEqual([3, 4, undefined]);
    expect(held.take(2)).toEqual([]);
    expect(held.take(3).map(({ message }) => message.n)).toEqual([1, 2]);
    expect(held.readOf(replicaId(1))).toBeUndefined();
    expect(held.take(4)).toHaveLength(1);
  }); // prettier-ignore

  test('C82 is bounded in changes and in bytes: past them busy, with a time to come back', () => {
    const many = new HeldBack();
    for (let n = 1; n <= 256; n++) expect(many.hold(change(1, n, 1))).toBeUndefined();
    expect(many.hold(change(1, 257, 1))).toMatchObject({ code: 'busy', retryAfterMs: 500 });
    const large = new HeldBack();
    for (let n = 1; n <= 4; n++) expect(large.hold(change(1, n, 1, 1 << 20))).toBeUndefined();
    expect(large.hold(change(1, 5, 1, 1))).toMatchObject({ code: 'busy' });
    large.take(1);
    expect(large.hold(change(1, 5, 1, 1))).toBeUndefined();
  });

  test('C82 the bytes are taken before the batch that they came with is used again', () => {
    const held = new HeldBack();
    const one = change(1, 1, 1, 2);
    held.hold(one);
    one.message.ops.fill(9);
    expect([...held.take(1)[0]!.message.ops]).toEqual([0, 0]);
  });
});
