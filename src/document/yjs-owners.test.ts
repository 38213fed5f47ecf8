/**
 * Whom Yjs client ids belong to: as a Map would have it, through any number of stores.
 */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { UserId } from '../protocol/ids.ts';
import { MsgpackWriter } from '../protocol/msgpack-writer.ts';
import { YjsOwners } from './yjs-owners.ts';

const client = fc.oneof(fc.nat(20), fc.integer({ min: 0, max: 2 ** 32 - 1 }), fc.maxSafeNat());
const user = fc.constantFrom('ann', 'bob', 'cy').map((name) => name as UserId);

test('D36 owners that were stored in another order are read alike', () => {
  const w = new MsgpackWriter();
  const stored = [[7, 'ann'], [2, 'bob'], [5, 'ann']] as const; // prettier-ignore
  w.array(3);
  for (const [id, by] of stored) w.array(2).int(id).str(by);
  const owners = new YjsOwners(w.take());
  for (const [id, by] of stored) expect(owners.get(id)).toBe(by);
  expect(owners.get(6)).toBeUndefined();
});

test('D36 a Yjs client id stays its first owner’s, before and after it was stored', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(client, user, fc.boolean())), (writes) => {
      const known = new Map<number, UserId>();
      let owners = new YjsOwners();
      for (const [id, by, store] of writes) {
        expect(owners.get(id)).toBe(known.get(id));
        if (!known.has(id)) known.set(id, by);
        owners.add(id, by);
        if (store) owners = new YjsOwners(owners.encode());
        expect(owners.get(id)).toBe(known.get(id));
      }
      expect(owners.size).toBe(known.size);
      expect(new Map(owners)).toEqual(known);
    }),
  );
});
