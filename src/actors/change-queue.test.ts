/**
 * The queue of a page: its counts hold, a batch is bounded, and what is in flight stays first.
 */
import { describe, expect, test } from 'vitest';
import { replicaId, userId } from '../../test/support/pages.ts';
import { ChangeQueue, type QueuedChange } from './change-queue.ts';

const queued = (replica: number, n: number, bytes = 10): QueuedChange => ({
  change: {
    replica: replicaId(replica),
    n,
    hlcMs: 1,
    hlcCounter: 0,
    author: userId(`user${replica}`),
    at: 1,
    body: new Uint8Array(bytes),
  },
  decoded: [],
  connection: replica,
  since: 0,
  foreign: false,
  absentSince: null,
  handed: false,
});

function queueOf(...changes: QueuedChange[]): ChangeQueue {
  const queue = new ChangeQueue({ bytes: 0 });
  for (const change of changes) queue.push(change);
  return queue;
}

const names = (changes: readonly { replica: string; n: number }[]) =>
  changes.map(({ replica, n }) => `${Number(replica.slice(-2))}.${n}`);
const rest = (queue: ChangeQueue) => names(queue.all.map(({ change }) => change));

describe('ChangeQueue', () => {
  test('counts changes, bytes and the last n of each replica', () => {
    const queue = queueOf(queued(1, 1), queued(2, 5, 20), queued(1, 2));
    expect([queue.length, queue.bytes]).toEqual([3, 40]);
    expect(queue.lastOf(replicaId(1))).toEqual({ n: 2, owner: 'user1' });
    expect(queue.lastOf(replicaId(2))).toEqual({ n: 5, owner: 'user2' });
    expect(queue.lastOf(replicaId(3))).toBeUndefined();
  });

  test('C2 a commit takes out what was in flight, not what came meanwhile', () => {
    const queue = queueOf(queued(1, 1), queued(2, 1));
    expect(names(queue.takeBatch().changes)).toEqual(['1.1', '2.1']);
    queue.push(queued(1, 2));
    expect(names(queue.commit().committed.map(({ change }) => change))).toEqual(['1.1', '2.1']);
    expect(rest(queue)).toEqual(['1.2']);
    expect(queue.bytes).toBe(10);
    expect(queue.lastOf(replicaId(1))?.n).toBe(2);
    expect(queue.lastOf(replicaId(2))).toBeUndefined();
    expect(queue.commit().committed).toEqual([]);
  });

  test('C21 a batch is bounded in changes and in bytes; one change always fits', () => {
    const many = queueOf(...Array.from({ length: 1500 }, (_, i) => queued(1, i + 1, 1)));
    expect(many.takeBatch().changes.length).toBe(1000);
    many.commit();
    expect(many.takeBatch().changes.length).toBe(500);
    const large = queueOf(
      queued(1, 1, 5 << 20),
      queued(1, 2, 3 << 20),
      queued(1, 3, 1 << 20),
      queued(1, 4, 1),
    );
    const sizes: number[] = [];
    while (large.length > 0) {
      sizes.push(large.takeBatch().changes.length);
      large.commit();
    }
    expect(sizes).toEqual([1, 2, 1]);
  });

  test('retain keeps the order and counts anew; nothing is in flight afterwards', () => {
    const queue = queueOf(queued(1, 1), queued(2, 1, 20), queued(1, 2), queued(2, 2, 30));
    queue.takeBatch();
    queue.retain(({ change }) => change.replica === replicaId(2));
    expect(rest(queue)).toEqual(['2.1', '2.2']);
    expect([queue.length, queue.bytes]).toEqual([2, 50]);
    expect(queue.lastOf(replicaId(1))).toBeUndefined();
    expect(queue.commit().committed).toEqual([]);
    expect(names(queue.takeBatch().changes)).toEqual(['2.1', '2.2']);
  });
});
