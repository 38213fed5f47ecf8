/**
 * The order of admission: each check is met with everything after it wrong as well, so that a swapped pair shows.
 */
import { describe, expect, test } from 'vitest';
import { replicaId, userId } from '../../test/support/pages.ts';
import { SERVER_REPLICA } from '../protocol/ids.ts';
import { defaultLimits } from '../protocol/limits.ts';
import { type Admission, type AdmissionFacts, admitChange } from './admission.ts';

const [ANN, BOB] = [userId('ann'), userId('bob')];
const limits = { ...defaultLimits, pageQueueMax: 10, pageQueueBytesMax: 1000, clockDriftMaxMs: 60_000 };

const good: AdmissionFacts = {
  user: ANN,
  role: 'editor',
  replica: replicaId(1),
  n: 4,
  hlc: { ms: 100, counter: 0 },
  bytes: 100,
  logged: { owner: ANN, lastN: 2 },
  queued: { owner: ANN, n: 3 },
  isBehindRefusal: false,
  queueLength: 5,
  backlogBytes: 0,
  queueBytes: 500,
  closed: false,
  latestMs: 100,
  now: 100,
  userWaitMs: 0,
  takePageRate: () => 0,
};

/** What is wrong with each check, in the order of the checks. */
const wrongs: [code: string, Partial<AdmissionFacts>][] = [
  ['not_yours', { logged: { owner: BOB, lastN: 2 }, queued: { owner: BOB, n: 3 } }],
  ['out_of_order', { isBehindRefusal: true }],
  ['out_of_order', { n: 5 }],
  ['forbidden', { role: 'commenter' }],
  ['page_closed', { closed: true }],
  ['clock_skew', { hlc: { ms: 60_101, counter: 0 } }],
  ['rate', { userWaitMs: 7 }],
  ['busy', { queueLength: 10 }],
  ['rate', { takePageRate: () => 8 }],
];

const told = (admission: Admission) => (admission.verdict === 'refuse' ? admission.code : admission.verdict);
const admit = (facts: Partial<AdmissionFacts>) => told(admitChange({ ...good, ...facts }, limits));

describe('admitChange', () => {
  test('C9 lets a good change in', () => {
    expect(admit({})).toBe('accept');
    expect(admit({ logged: undefined, queued: undefined, n: 1 })).toBe('accept');
    expect(admit({ role: 'owner' })).toBe('accept');
  });

  test.each(wrongs.map(([code], i) => [code, i] as const))('C9 %s comes before all that follows', (code, i) => {
    expect(admit(wrongs[i]![1])).toBe(code);
    expect(admit(Object.assign({}, ...wrongs.slice(i).map(([, wrong]) => wrong)) as Partial<AdmissionFacts>)).toBe(code);
  }); // prettier-ignore

  test('C10 a duplicate is answered before role, clock, limits and the trash are looked at', () => {
    const wrong = Object.assign({}, ...wrongs.slice(2).map(([, facts]) => facts)) as Partial<AdmissionFacts>;
    expect([1, 2].map((n) => admit({ ...wrong, n }))).toEqual(['acknowledge', 'acknowledge']);
    expect(admit({ ...wrong, n: 3 })).toBe('ignore');
  });

  test('C10 C11 but not before its owner', () => {
    for (const n of [1, 2, 3, 4]) expect(admit({ n, user: BOB })).toBe('not_yours');
    expect(admit({ n: 1, logged: undefined, queued: { owner: BOB, n: 3 } })).toBe('not_yours');
  });

  test('C11 nobody writes under the server’s own replica id', () => {
    expect(admit({ replica: SERVER_REPLICA, n: 1 })).toBe('not_yours');
  });

  test('C14 only what is let in takes from the page’s rate', () => {
    for (const [code, wrong] of wrongs.slice(0, -1)) {
      const takePageRate = () => expect.fail(`taken by ${code}`);
      admit({ ...wrong, takePageRate });
    }
    for (const n of [1, 3]) admit({ n, takePageRate: () => expect.fail('taken by a duplicate') });
  });

  test('C7 n has no holes and begins at 1', () => {
    expect([0, -1, 5, 100].map((n) => admit({ n }))).toEqual(Array.from({ length: 4 }, () => 'out_of_order'));
    expect([0, 1, 2].map((n) => admit({ n, logged: undefined, queued: undefined }))).toEqual([
      'out_of_order',
      'accept',
      'out_of_order',
    ]);
    expect([4, 5].map((n) => admit({ n, queued: undefined }))).toEqual(['out_of_order', 'out_of_order']);
    expect(admit({ n: 3, queued: undefined })).toBe('accept');
  });

  test('H8 a stamp may be ahead of the server or of the page, not of both', () => {
    const ms = 200_000;
    const hlc = { ms, counter: 0 };
    expect(admit({ hlc })).toBe('clock_skew');
    expect(admit({ hlc, now: ms - 60_000 })).toBe('accept');
    expect(admit({ hlc, now: ms - 60_001 })).toBe('clock_skew');
    expect(admit({ hlc, latestMs: ms - 60_000 })).toBe('accept');
    expect(admit({ hlc: { ms: 0, counter: 0 } })).toBe('accept');
  });

  test('C13 the queue is bounded in changes and in bytes, at the bound', () => {
    expect(admit({ queueLength: 9 })).toBe('accept');
    expect(admit({ queueBytes: 900 })).toBe('accept');
    expect(admit({ queueBytes: 901 })).toBe('busy');
  });

  test('C13 C14 what should wait is told for how long', () => {
    expect(admitChange({ ...good, userWaitMs: 7 }, limits)).toMatchObject({ retryAfterMs: 7 });
    expect(admitChange({ ...good, takePageRate: () => 8 }, limits)).toMatchObject({ retryAfterMs: 8 });
    expect(admitChange({ ...good, queueLength: 10 }, limits)).toMatchObject({ retryAfterMs: 500 });
    expect(admitChange({ ...good, role: 'viewer' }, limits)).toMatchObject({ retryAfterMs: null });
  });
});
