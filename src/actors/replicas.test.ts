/**
 * The private part of a snapshot: it comes back whole, or is refused.
 */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { replicaId, userId } from '../../test/support/pages.ts';
import { randomBelow, seededRandom } from '../base/random.ts';
import { seq } from '../protocol/ids.ts';
import { MsgpackError } from '../protocol/msgpack-reader.ts';
import { MsgpackWriter } from '../protocol/msgpack-writer.ts';
import { WIRE } from '../protocol/limits.ts';
import { decodePrivateState, encodePrivateState, type PrivateState } from './replicas.ts';

const record = fc.record({
  owner: fc.string({ maxLength: 40, unit: 'grapheme' }).map(userId),
  lastN: fc.maxSafeNat(),
  lastSeq: fc.maxSafeNat().map(seq),
  lastHlc: fc.option(
    fc.record({ ms: fc.nat({ max: WIRE.hlcMsMax }), counter: fc.nat({ max: WIRE.hlcCounterMax }) }),
  ),
});
const state: fc.Arbitrary<PrivateState> = fc.record({
  replicas: fc.uniqueArray(fc.tuple(fc.nat(50).map(replicaId), record), { selector: ([id]) => id }).map((list) => new Map(list)),
  latestMs: fc.integer({ min: 0, max: 2 ** 48 - 1 }),
  model: fc.uint8Array({ maxLength: 300 }),
}); // prettier-ignore

test('A15 decode gives what was encoded', () => {
  fc.assert(
    fc.property(state, (one) => {
      expect(decodePrivateState(encodePrivateState(one))).toEqual(one);
    }),
  );
});

test('A15 a state that was stored without stamps is read', () => {
  const { latestMs, model, ...rest } = fc.sample(state, { numRuns: 10, seed: 2 }).at(-1)!;
  const replicas = new Map([...rest.replicas].map(([id, one]) => [id, { ...one, lastHlc: null }]));
  expect(replicas.size).toBeGreaterThan(0);
  const w = new MsgpackWriter(1000).array(3).int(latestMs).array(replicas.size);
  for (const [id, { owner, lastN, lastSeq }] of replicas)
    w.array(4).id(id).str(owner).int(lastN).int(lastSeq);
  expect(decodePrivateState(w.bin(model).take())).toEqual({ latestMs, replicas, model });
});

test('W2 cut and mutated bytes throw MsgpackError or nothing', () => {
  const random = seededRandom(1);
  const bytes = encodePrivateState(fc.sample(state, { numRuns: 10, seed: 1 }).at(-1)!);
  for (let i = 0; i < 3000; i++) {
    const mutated = bytes.slice(0, randomBelow(random, 4) === 0 ? randomBelow(random, bytes.length) : undefined);
    if (mutated.length > 0) mutated[randomBelow(random, mutated.length)] = randomBelow(random, 256);
    try {
      decodePrivateState(mutated);
    } catch (error) {
      expect(error).toBeInstanceOf(MsgpackError);
    }
  }
}); // prettier-ignore
