/**
 * How busy pages are, and which are the busiest.
 */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { uuid } from '../../test/support/pages.ts';
import type { PageId } from '../protocol/ids.ts';
import { busiest, PAGE_SORTS, PagePulse, type PageFigures } from './page-figures.ts';

test('G133 the busiest are those that sorting all of them would put first', () => {
  const small = fc.integer({ min: 0, max: 3 });
  const figures = fc.record({ subscribers: small, changesPerSecond: small, bytes: small, queued: small, ageSeconds: small });
  fc.assert(
    fc.property(fc.array(figures, { maxLength: 30 }), fc.constantFrom(...PAGE_SORTS), fc.integer({ min: 1, max: 10 }), (all, sort, limit) => {
      const pages: PageFigures[] = all.map((one, i) => ({ ...one, page: uuid<PageId>(i) }));
      const key = ({ changes: 'changesPerSecond', age: 'ageSeconds', subscribers: 'subscribers', bytes: 'bytes', queued: 'queued' } as const)[sort];
      const sorted = [...pages].sort((a, b) => b[key] - a[key] || (a.page < b.page ? -1 : 1));
      expect(busiest(pages, sort, limit)).toEqual(sorted.slice(0, limit));
    }),
  );
}); // prettier-ignore

test('G133 a page’s rate is that of the last seconds: what its log held before does not count, and it fades', () => {
  const pulse = new PagePulse(0);
  pulse.beat(1000, 1_000_000);
  expect(pulse.figures(1000)).toEqual({ changesPerSecond: 0, ageSeconds: 1 });
  for (let second = 2; second <= 60; second++) pulse.beat(second * 1000, 1_000_000 + 50 * (second - 1));
  expect(pulse.figures(60_000).changesPerSecond).toBeGreaterThan(49);
  expect(pulse.figures(60_000).changesPerSecond).toBeLessThan(50.01);
  for (let second = 61; second <= 120; second++) pulse.beat(second * 1000, 1_002_950);
  expect(pulse.figures(120_000)).toMatchObject({ ageSeconds: 120 });
  expect(pulse.figures(120_000).changesPerSecond).toBeLessThan(0.2);
});
