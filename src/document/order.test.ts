/**
 * Order keys: valid, strictly between their neighbours, short after long runs, and never mixing two people's runs.
 */
import fc from 'fast-check';
import { generateKeyBetween } from 'fractional-indexing';
import { describe, expect, test } from 'vitest';
import '../../test/support/pages.ts';
import { randomBelow, seededRandom } from '../base/random.ts';
import { WIRE } from '../protocol/limits.ts';
import { compareOrder, isOrderKey, OrderKeys, spreadKeys } from './order.ts';

const DIGITS = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';
const SMALLEST = 'A' + '0'.repeat(26);
const LARGEST = 'z'.repeat(27);

/** What the package itself thinks of a key: it checks its arguments. */
function packageTakes(key: string): boolean {
  try {
    generateKeyBetween(key, null);
    return true;
  } catch {
    return false;
  }
}

/** Inserts at the index and checks the key against its neighbours; spreads the right side anew where there is no key. */
function insertAt(keys: string[], index: number, maker: OrderKeys): 'between' | 'spread' {
  const left = keys[index - 1] ?? null;
  const right = keys[index] ?? null;
  const key = maker.between(left, right);
  if (key === undefined) {
    const moved = spreadKeys(left, null, keys.length - index + 1);
    keys.splice(index, keys.length, ...moved);
    return 'spread';
  }
  if (!isOrderKey(key) || (left !== null && key <= left) || (right !== null && key >= right))
    expect.fail(`"${key}" between "${left}" and "${right}"`);
  keys.splice(index, 0, key);
  return 'between';
}

const longest = (keys: readonly string[]) => Math.max(...keys.map((key) => key.length));
const isRising = (keys: readonly string[]) => keys.every((key, i) => i === 0 || keys[i - 1]! < key);

describe('isOrderKey', () => {
  test.each(['a0', 'Zz', 'a1V', 'b00', 'a0V', 'zzzzzzzzzzzzzzzzzzzzzzzzzzz', SMALLEST + 'V'])(
    'D14 takes %s',
    (key) => {
      expect(isOrderKey(key)).toBe(true);
      expect(packageTakes(key)).toBe(true);
    },
  );

  test.each(['', 'a', '0', '9a', 'b0', 'a0-', 'a00', 'a0V0', 'a0\n', 'aé', 'Z', SMALLEST, 'a0' + 'V'.repeat(WIRE.keyBytesMax)])(
    'D14 refuses %j',
    (key) => expect(isOrderKey(key)).toBe(false),
  ); // prettier-ignore

  test('D14 agrees with the package over its alphabet', () => {
    const digits = fc.array(fc.constantFrom(...DIGITS, '0', '0', 'V', 'a', 'Z'), {
      minLength: 1,
      maxLength: 30,
    });
    const key = fc.oneof(digits.map((d) => d.join('')), digits.map((d) => 'a' + d.join(''))); // prettier-ignore
    fc.assert(
      fc.property(key, (text) => {
        expect(isOrderKey(text)).toBe(packageTakes(text));
      }),
      { numRuns: 3000 },
    );
  });

  test('D13 compareOrder sorts by code unit, then by id', () => {
    expect(compareOrder('Zz', 'b', 'a0', 'a')).toBe(-1);
    expect(compareOrder('a0', 'b', 'a0', 'a')).toBe(1);
    expect(compareOrder('a0', 'a', 'a0', 'a')).toBe(0);
  });
});

describe('between', () => {
  test('D15 thousands of insertions anywhere: valid, strictly between', () => {
    for (let seed = 0; seed < 30; seed++) {
      const random = seededRandom(seed);
      // Several makers at once: runs of one lie between and inside those of the others.
      const makers = Array.from({ length: 3 }, () => new OrderKeys(random));
      const keys: string[] = [];
      for (let i = 0, at = 0; i < 400; i++) {
        const where = randomBelow(random, 10);
        if (where < 2) at = 0;
        else if (where < 4) at = keys.length;
        else if (where < 6) at = randomBelow(random, keys.length + 1);
        else if (where < 8) at = Math.min(at + 1, keys.length);
        insertAt(keys, at, makers[randomBelow(random, 3)]!);
      }
      expect(isRising(keys)).toBe(true);
    }
  });

  test('D17 10,000 blocks in a row take at most 16 bytes a key, at either end and in a gap', () => {
    for (const [from, to] of [[null, null], ['a0', 'a1'], ['a0V', 'a0W']] as const) {
      const random = seededRandom(1);
      const append = new OrderKeys(random);
      const prepend = new OrderKeys(random);
      const appended: string[] = [];
      const prepended: string[] = [];
      for (let i = 0; i < 10_000; i++) {
        appended.push(append.between(appended.at(-1) ?? from, to)!);
        prepended.push(prepend.between(from, prepended.at(-1) ?? to)!);
      }
      expect(isRising(appended)).toBe(true);
      expect(isRising(prepended.reverse())).toBe(true);
      expect([...appended, ...prepended].every(isOrderKey)).toBe(true);
      expect(longest(appended)).toBeLessThanOrEqual(16);
      expect(longest(prepended)).toBeLessThanOrEqual(16);
    }
  }); // prettier-ignore

  test('D17 10,000 blocks made alternately before and after one place stay short', () => {
    const maker = new OrderKeys(seededRandom(2));
    const keys = [maker.between(null, null)!];
    for (let i = 0; i < 10_000; i++) insertAt(keys, i % 2 === 0 ? 0 : keys.length, maker);
    expect(longest(keys)).toBeLessThanOrEqual(16);
  });

  test('D15 D17 the same gap 5,000 times: after a fixed left neighbour, before a fixed right one, and always in the middle', () => {
    for (const place of ['left', 'right', 'middle'] as const) {
      const keys = ['a0', 'a1'];
      const maker = new OrderKeys(seededRandom(3));
      let spreads = 0;
      for (let i = 0; i < 5000; i++) {
        const at = place === 'left' ? 1 : place === 'right' ? keys.length - 1 : keys.length >> 1;
        if (insertAt(keys, at, maker) === 'spread') spreads++;
      }
      expect(isRising(keys)).toBe(true);
      expect(keys.every(isOrderKey)).toBe(true);
      expect(spreads).toBeLessThan(5000 / 20);
    }
  });

  test('D15 a fixed left neighbour and forgetful clients: keys grow to their bound, then a spread makes room', () => {
    const keys = ['a0', 'a1'];
    let spreads = 0;
    for (let i = 0; i < 5000; i++)
      if (insertAt(keys, 1, new OrderKeys(seededRandom(i))) === 'spread') spreads++;
    expect(isRising(keys)).toBe(true);
    expect(longest(keys)).toBeLessThanOrEqual(WIRE.keyBytesMax);
    expect(spreads).toBeGreaterThan(0);
  });

  test('D16 two people who each add 10 blocks into one gap never mix', () => {
    const random = seededRandom(4);
    const gaps = [[null, null], ['a0', null], [null, 'a0'], ['a0', 'a1'], ['a0', 'a0V'], ['a0V', 'a0W']] as const;
    let mixed = 0;
    for (let trial = 0; trial < 2000; trial++) {
      const [left, right] = gaps[trial % gaps.length]!;
      const backwards = trial % 2 === 1;
      const made = ['A', 'B'].flatMap((who) => {
        const maker = new OrderKeys(random);
        let last: string | null = null;
        return Array.from({ length: 10 }, () => {
          last = backwards ? maker.between(left, last ?? right)! : maker.between(last ?? left, right)!;
          return { who, key: last };
        });
      });
      made.sort((a, b) => compareOrder(a.key, a.who, b.key, b.who));
      const order = made.map(({ who }) => who).join('');
      if (order !== 'A'.repeat(10) + 'B'.repeat(10) && order !== 'B'.repeat(10) + 'A'.repeat(10)) mixed++;
    }
    expect(mixed).toBe(0);
  }); // prettier-ignore

  test('D15 there is no key between equal or swapped neighbours', () => {
    const maker = new OrderKeys(seededRandom(5));
    expect(maker.between('a0', 'a0')).toBeUndefined();
    expect(maker.between('a1', 'a0')).toBeUndefined();
  });

  test('D15 neighbours that leave no room for a key of allowed length give undefined, never a longer key', () => {
    const maker = new OrderKeys(seededRandom(6));
    const deep = 'a0' + 'V'.repeat(WIRE.keyBytesMax - 3);
    expect(maker.between(deep + '1', deep + '2')).toBeUndefined();
  });

  test('D15 keys at the ends of the alphabet, as a stranger may send them, do not throw', () => {
    const second = 'A' + '0'.repeat(25) + '1';
    for (const [left, right] of [
      [null, second],
      [null, SMALLEST + 'V'],
      [LARGEST, null],
      [LARGEST + 'z', null],
      [SMALLEST + '1', second],
    ] as const) {
      const maker = new OrderKeys(seededRandom(7));
      const keys = [left, right].filter((key) => key !== null);
      for (let i = 0; i < 50; i++) insertAt(keys, left === null ? 0 : 1, maker);
      expect(keys.every(isOrderKey)).toBe(true);
      expect(isRising(keys)).toBe(true);
    }
    const dense = new OrderKeys(seededRandom(7)).between(null, SMALLEST + '1');
    expect(dense! < SMALLEST + '1' && isOrderKey(dense!)).toBe(true);
  });

  test('D16 a run goes on only while its keys stay before the right neighbour', () => {
    const random = seededRandom(8);
    for (let trial = 0; trial < 500; trial++) {
      const maker = new OrderKeys(random);
      const first = maker.between(null, null)!;
      // A neighbour that lies inside the run's own prefix: close behind, so the run soon meets it.
      const right = first.slice(0, -2) + DIGITS[2 + randomBelow(random, 60)]! + 'V';
      if (right <= first) continue;
      const keys = [first, right];
      for (let i = 0; i < 100; i++) insertAt(keys, keys.length - 1, maker);
      expect(isRising(keys)).toBe(true);
    }
  });
});

describe('spreadKeys', () => {
  test('D15 gives that many rising keys strictly inside the gap', () => {
    const gap = fc.tuple(
      fc.integer({ min: 0, max: 0xffff_ffff }),
      fc.integer({ min: 0, max: 60 }),
      fc.nat(500),
    );
    fc.assert(
      fc.property(gap, ([seed, depth, count]) => {
        // Two neighbours reached by halving at random: dense ones, some of which are prefixes of others.
        const random = seededRandom(seed);
        let left = 'a0';
        let right = 'a1';
        for (let i = 0; i < depth; i++) {
          const middle = generateKeyBetween(left, right);
          if (randomBelow(random, 2) === 0) left = middle;
          else right = middle;
        }
        const keys = spreadKeys(left, right, count);
        expect(keys.length).toBe(count);
        expect(keys.every(isOrderKey)).toBe(true);
        expect(isRising([left, ...keys, right])).toBe(true);
      }),
      { numRuns: 500 },
    ); // prettier-ignore
  });

  test('D15 steps aside where the key between is a prefix of the right neighbour', () => {
    expect(isRising(['a0', ...spreadKeys('a0', 'a01V', 10), 'a01V'])).toBe(true);
    expect(isRising([...spreadKeys(null, SMALLEST + '1', 10), SMALLEST + '1'])).toBe(true);
    expect(
      isRising([...spreadKeys(null, SMALLEST.slice(0, -1) + '1', 10), SMALLEST.slice(0, -1) + '1']),
    ).toBe(true);
  });

  test('D15 works at the open ends', () => {
    expect(isRising(spreadKeys(null, null, 5000))).toBe(true);
    expect(isRising([...spreadKeys(null, 'a0', 10), 'a0', ...spreadKeys('a0', null, 10)])).toBe(true);
    expect(longest(spreadKeys(null, null, 5000))).toBeLessThanOrEqual(16);
  });
});
