/**
 * The rate limit: its burst, its rate, and the wait that it names.
 */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import '../../test/support/pages.ts';
import { TokenBucket } from './token-bucket.ts';

/** How many of `tries` acts at `now` are let through. */
const granted = (bucket: TokenBucket, now: number, tries: number) =>
  Array.from({ length: tries }, () => bucket.take(now)).filter((wait) => wait === 0).length;

test('lets a burst through, then the rate', () => {
  const bucket = new TokenBucket(10, 5, 1000);
  expect(granted(bucket, 1000, 100)).toBe(5);
  expect(bucket.take(1000)).toBe(100);
  expect(bucket.take(1050)).toBe(50);
  expect(bucket.take(1100)).toBe(0);
  expect(granted(bucket, 2100, 100)).toBe(5);
});

test('a burst below one is one, so that something gets through', () => {
  const bucket = new TokenBucket(10, 0, 0);
  expect([bucket.take(0), bucket.take(0), bucket.take(100)]).toEqual([0, 100, 0]);
});

test('is full again after its burst has flowed in', () => {
  const bucket = new TokenBucket(10, 5, 0);
  expect(bucket.isFull(0)).toBe(true);
  bucket.take(0);
  expect([bucket.isFull(99), bucket.isFull(100)]).toEqual([false, true]);
});

test('never grants more than burst + rate × time, and the wait it names is enough', () => {
  const bucketOf = fc.record({ perSecond: fc.constantFrom(1, 3, 7, 10, 33, 1000), burst: fc.integer({ min: 1, max: 20 }) });
  const steps = fc.array(fc.nat(400), { maxLength: 60 });
  fc.assert(
    fc.property(bucketOf, steps, ({ perSecond, burst }, pauses) => {
      const bucket = new TokenBucket(perSecond, burst, 0);
      let now = 0;
      let count = 0;
      for (const pause of pauses) {
        now += pause;
        const wait = bucket.take(now);
        if (wait === 0) count++;
        else {
          now += wait;
          expect(bucket.take(now)).toBe(0);
          count++;
        }
        expect(count).toBeLessThanOrEqual(burst + (now * perSecond) / 1000 + 1e-6);
      }
    }),
    { numRuns: 500 },
  );
}); // prettier-ignore
