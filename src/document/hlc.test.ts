/**
 * The hybrid logical clock under wall clocks that run, stutter and step back, and the total order of its stamps.
 */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { replicaId, stampOf } from '../../test/support/pages.ts';
import { WIRE } from '../protocol/limits.ts';
import { compareStamps, HybridClock, type Stamp, wins, ZERO_STAMP } from './hlc.ts';

const one = replicaId(1);
const stamped = ({ ms, counter }: { ms: number; counter: number }): Stamp => ({ ms, counter, replica: one });

const stamps = fc.record({
  ms: fc.integer({ min: 0, max: 3 }),
  counter: fc.integer({ min: 0, max: 3 }),
  replica: fc.integer({ min: 1, max: 3 }).map((n) => replicaId(n)),
});

describe('HybridClock', () => {
  test('H2 a running clock gives its time, with counter 0', () => {
    const clock = new HybridClock();
    expect([clock.tick(10), clock.tick(11), clock.tick(500)]).toEqual([
      { ms: 10, counter: 0 },
      { ms: 11, counter: 0 },
      { ms: 500, counter: 0 },
    ]);
  });

  test('H3 a clock that stands still or steps back counts on', () => {
    const clock = new HybridClock();
    expect([clock.tick(10), clock.tick(10), clock.tick(3), clock.tick(0)]).toEqual([
      { ms: 10, counter: 0 },
      { ms: 10, counter: 1 },
      { ms: 10, counter: 2 },
      { ms: 10, counter: 3 },
    ]);
  });

  test('H4 a full counter carries into the ms', () => {
    const clock = new HybridClock();
    clock.observe({ ms: 10, counter: WIRE.hlcCounterMax });
    expect(clock.tick(10)).toEqual({ ms: 11, counter: 0 });
    expect(clock.tick(10)).toEqual({ ms: 11, counter: 1 });
  });

  test('H2 H4 100,000 ticks within one ms rise and stay within the counter', () => {
    const clock = new HybridClock();
    let last = stamped(clock.tick(10));
    for (let i = 1; i < 100_000; i++) {
      const next = stamped(clock.tick(10));
      if (compareStamps(next, last) <= 0 || next.counter > WIRE.hlcCounterMax) expect.fail(`at tick ${i}`);
      last = next;
    }
    expect(last).toEqual({ ms: 11, counter: 99_999 - (WIRE.hlcCounterMax + 1), replica: one });
  });

  test('H5 what is stamped after seeing a stamp is above it, whatever the wall clock says', () => {
    const step = fc.oneof(
      fc.record({ now: fc.integer({ min: 0, max: 5 }) }),
      fc.record({
        ms: fc.integer({ min: 0, max: 8 }),
        counter: fc.constantFrom(0, 1, WIRE.hlcCounterMax - 1, WIRE.hlcCounterMax),
      }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
        const clock = new HybridClock();
        let highest = stamped({ ms: 0, counter: 0 });
        for (const one of steps) {
          if ('now' in one) {
            const made = stamped(clock.tick(one.now));
            expect(compareStamps(made, highest)).toBeGreaterThan(0);
            expect(made.ms).toBeGreaterThanOrEqual(one.now);
            expect(made.counter).toBeLessThanOrEqual(WIRE.hlcCounterMax);
            highest = made;
          } else {
            clock.observe(one);
            if (compareStamps(stamped(one), highest) > 0) highest = stamped(one);
          }
          expect(stamped(clock.latest)).toEqual(highest);
        }
      }),
    );
  });

  test('H2 a wall clock with fractions of a ms still gives whole ms', () => {
    const clock = new HybridClock();
    expect(clock.tick(10.75)).toEqual({ ms: 10, counter: 0 });
    expect(clock.tick(10.9)).toEqual({ ms: 10, counter: 1 });
  });

  test('H10 resetTo goes back, which observe never does', () => {
    const clock = new HybridClock();
    clock.tick(1000);
    clock.observe({ ms: 5, counter: 2 });
    expect(clock.latest).toEqual({ ms: 1000, counter: 0 });
    clock.resetTo({ ms: 5, counter: 2 });
    expect(clock.tick(5)).toEqual({ ms: 5, counter: 3 });
  });
});

describe('the order of stamps', () => {
  test('H1 ms before counter before replica', () => {
    const rising = [ZERO_STAMP, stampOf(1, 0, 1), stampOf(1, 0, 2), stampOf(1, 1, 1), stampOf(2, 0, 1)];
    for (const [i, a] of rising.entries())
      for (const [j, b] of rising.entries()) expect(Math.sign(compareStamps(a, b))).toBe(Math.sign(i - j));
  });

  test('H1 is total: reflexive, antisymmetric, transitive', () => {
    fc.assert(
      fc.property(stamps, stamps, stamps, (a, b, c) => {
        expect(compareStamps(a, { ...a })).toBe(0);
        expect(Math.sign(compareStamps(a, b))).toBe(-Math.sign(compareStamps(b, a)) + 0);
        if (compareStamps(a, b) === 0) expect(a).toEqual(b);
        if (compareStamps(a, b) <= 0 && compareStamps(b, c) <= 0)
          expect(compareStamps(a, c)).toBeLessThanOrEqual(0);
      }),
    );
  });

  test('H7 the later stamp wins, and at an equal stamp the later op', () => {
    expect(wins(stampOf(2), stampOf(1))).toBe(true);
    expect(wins(stampOf(1), stampOf(2))).toBe(false);
    expect(wins(stampOf(1), stampOf(1))).toBe(true);
    expect(wins(stampOf(1), ZERO_STAMP)).toBe(true);
  });
});
