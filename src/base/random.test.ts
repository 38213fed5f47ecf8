/**
 * The seeded generator replays and spreads; the helpers keep their bounds.
 */
import { describe, expect, test } from 'vitest';
import { backoffMs, type Random, randomBelow, randomFloat, seededRandom, systemRandom } from './random.ts';

const fixed = (value: number): Random => ({ uint32: () => value, bytes: (length) => new Uint8Array(length) });

describe('seededRandom', () => {
  test('replays from its seed, and another seed gives another run', () => {
    const run = (seed: number) => {
      const random = seededRandom(seed);
      return [...Array.from({ length: 20 }, () => random.uint32()), ...random.bytes(20)];
    };
    expect(run(1)).toEqual(run(1));
    expect(run(1)).not.toEqual(run(2));
    expect(run(0).some((value) => value !== 0)).toBe(true);
    // Pinned: a run noted in a bug report must replay on any machine and in any later version.
    expect(run(1).slice(0, 3)).toEqual([2442144158, 3238099751, 3819917871]);
  });

  test('gives unsigned 32-bit integers, evenly over 16 classes, for neighbouring seeds too', () => {
    const counts = Array.from({ length: 16 }, () => 0);
    for (let seed = 0; seed < 200; seed++) {
      const random = seededRandom(seed);
      for (let i = 0; i < 400; i++) {
        const value = random.uint32();
        if (!Number.isInteger(value) || value < 0 || value > 0xffff_ffff) expect.fail(`${value}`);
        counts[randomBelow(seededRandom(value), 16)]!++;
        counts[value >>> 28]!++;
      }
    }
    for (const count of counts) expect(Math.abs(count - 10_000)).toBeLessThan(500);
  });
});

describe('helpers', () => {
  test('randomFloat and randomBelow stay below their bound at both ends', () => {
    expect([randomFloat(fixed(0)), randomBelow(fixed(0), 10)]).toEqual([0, 0]);
    expect(randomFloat(fixed(0xffff_ffff))).toBeLessThan(1);
    expect(randomBelow(fixed(0xffff_ffff), 10)).toBe(9);
    expect(randomBelow(fixed(0xffff_ffff), 2 ** 32)).toBe(0xffff_ffff);
    expect(randomBelow(fixed(0xffff_ffff), 1)).toBe(0);
  });

  test('backoffMs doubles up to its maximum, drawn from the upper half', () => {
    const [low, high] = [fixed(0), fixed(0xffff_ffff)];
    expect([0, 1, 2, 3, 10, 1e6].map((attempt) => backoffMs(low, attempt, 50, 300))).toEqual([25, 50, 100, 150, 150, 150]);
    for (const attempt of [0, 1, 5, 1e6]) {
      const ceiling = Math.min(300, 50 * 2 ** attempt);
      expect(backoffMs(high, attempt, 50, 300)).toBeGreaterThan(0.99 * ceiling);
      expect(backoffMs(high, attempt, 50, 300)).toBeLessThan(ceiling);
    }
  }); // prettier-ignore

  test('systemRandom gives bytes of the length asked for', () => {
    expect(systemRandom.bytes(16).length).toBe(16);
    expect(systemRandom.uint32()).toBeLessThanOrEqual(0xffff_ffff);
  });
});
