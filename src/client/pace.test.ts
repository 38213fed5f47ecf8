/**
 * The SDK's own brakes: below the limits of WELCOME, and slower still after it was told so.
 */
import { expect, test } from 'vitest';
import { seededRandom } from '../base/random.ts';
import { TokenBucket } from '../base/token-bucket.ts';
import { defaultLimits } from '../protocol/limits.ts';
import { Pace } from './pace.ts';
import { SendWindow } from './send-window.ts';

test('K41 whoever keeps its pace meets no limit of one user or one socket', () => {
  const random = seededRandom(5);
  const limits = { ...defaultLimits, userBytesPerSecond: 500_000, userBytesBurst: 4 << 20 };
  const pace = new Pace(limits, 0);
  const changes = new TokenBucket(limits.userChangesPerSecond, limits.userChangesBurst, 0);
  const frames = new TokenBucket(limits.userFramesPerSecond, limits.userFramesBurst, 0);
  const bytes = new TokenBucket(limits.userBytesPerSecond, limits.userBytesBurst, 0);
  let sent = 0;
  for (let now = 0; now < 60_000; now += random.uint32() % 20) {
    for (;;) {
      const size = random.uint32() % 20_000;
      if (pace.takeChange(now) > 0 || pace.takeFrame(size, now) > 0) break;
      sent++;
      expect([changes.take(now), frames.take(now), bytes.take(now, size)]).toEqual([0, 0, 0]);
    }
  }
  expect(sent).toBeGreaterThan(2000);
});

test('K40 after a refusal for its rate one change at a time is sent, later and later, until one is taken', () => {
  const window = new SendWindow();
  expect(window.size).toBe(16);
  const random = seededRandom(1);
  const waits = Array.from({ length: 12 }, () => window.shrink(1, random));
  expect(window.size).toBe(1);
  expect(Math.max(...waits.slice(0, 2))).toBeLessThan(100);
  expect(Math.max(...waits)).toBeGreaterThan(500);
  expect(window.shrink(60_000, random)).toBe(60_000);
  for (let i = 0; i < 40; i++) window.grow();
  expect(window.size).toBe(16);
  expect(window.shrink(null, random)).toBeLessThan(100);
});
