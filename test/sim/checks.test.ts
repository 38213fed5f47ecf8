/**
 * What the check of causality takes a value for: the write of it that others can have seen.
 */
import { expect, test } from 'vitest';
import { encodeOps } from '../../src/document/ops.ts';
import type { LogEntry } from '../../src/persistence/log-store.ts';
import { type ReplicaId, seq } from '../../src/protocol/ids.ts';
import { blockId, PAGE, replicaId, userId } from '../support/pages.ts';
import { checkCausality } from './checks.ts';
import { Journal } from './journal.ts';

const [ANN, BOB] = [replicaId(1), replicaId(2)];
const block = blockId(1);

type Write = readonly [writer: ReplicaId, value: string, ms: number];

function log(writes: readonly Write[]): LogEntry[] {
  return writes.map(([replica, value, hlcMs], i) => {
    const body = encodeOps([{ op: 'update', block, props: { a: value }, type: null }]);
    return { seq: seq(i + 1), replica, n: i + 1, hlcMs, hlcCounter: 0, author: userId('one'), at: 0, body };
  });
}

/** Ann has written a value, and Bob another upon seeing it. */
function seenByBob() {
  const journal = new Journal();
  const [first, second] = [journal.token(ANN), journal.token(BOB)];
  journal.wrote({ page: PAGE, block, key: 'a', token: second, seen: first });
  const check =
    (...writes: Write[]) =>
    () =>
      checkCausality(PAGE, log(writes), journal);
  return { journal, first, second, check };
}

test('H5 the check finds who saw a value and does not win over it', () => {
  const { first, second, check } = seenByBob();
  expect(check([ANN, first, 10], [BOB, second, 20])).not.toThrow();
  expect(check([ANN, first, 10], [BOB, second, 9])).toThrow('t2 over t1');
  // An undo came later; before or after, it changes nothing.
  expect(check([ANN, first, 30], [ANN, first, 10], [BOB, second, 20])).not.toThrow();
  expect(check([BOB, first, 5], [ANN, first, 10], [BOB, second, 9])).toThrow('t2 over t1');
});

test('H5 the check does not take an undo for a write that was given up with its page, or refused', () => {
  const { journal, first, second, check } = seenByBob();
  expect(check([BOB, second, 20], [BOB, first, 30])).not.toThrow();
  expect(check([BOB, second, 20], [ANN, first, 30])).toThrow('t2 over t1');
  journal.handedBack(BOB, [{ key: 'a', value: first, bytes: 0, hash: 0 }]);
  expect(check([BOB, second, 20], [ANN, first, 30])).toThrow('t2 over t1');
  journal.handedBack(ANN, [{ key: 'a', value: first, bytes: 0, hash: 0 }]);
  expect(check([BOB, second, 20], [ANN, first, 30])).not.toThrow();
});
