/**
 * What is left of a grant: case by case, and against a model that keeps all rows and looks at each.
 */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { userId, uuid } from '../../test/support/pages.ts';
import type { PageId } from '../protocol/ids.ts';
import { type Role, ROLES } from '../protocol/messages.ts';
import type { Identity } from './auth.ts';
import { type Revocation, Revocations } from './revocations.ts';

const ANN = userId('ann');
const [PAGE, OTHER] = [uuid<PageId>(1), uuid<PageId>(2)];
const T0 = 1_700_000_000_000;

const token = (issuedMs: number, role: Role = 'editor', user = ANN): Identity => ({
  user, name: user, expiresMs: Infinity, issuedMs, grants: { workspace: role, byPage: new Map() },
}); // prettier-ignore
const row = (more: Partial<Revocation>): Revocation => ({
  workspace: 'default', user: ANN, page: null, role: null, atMs: T0, ...more,
}); // prettier-ignore

function known(...rows: Partial<Revocation>[]): Revocations {
  const revocations = new Revocations();
  revocations.apply(rows.map(row));
  return revocations;
}

describe('the role that is left', () => {
  test('G60 a token issued before the revocation loses the grant, one issued after it does not', () => {
    const revocations = known({ atMs: T0 + 500 });
    expect(revocations.roleOn(token(T0 - 1000), PAGE)).toBe(null);
    expect(revocations.roleOn(token(T0 + 1000), PAGE)).toBe('editor');
    expect(revocations.roleOn(token(T0 - 1000, 'editor', userId('bob')), PAGE)).toBe('editor');
  });

  test('G60 iat is in whole seconds: the same second counts as before, and so does no iat at all', () => {
    expect(known({ atMs: T0 }).roleOn(token(T0), PAGE)).toBe(null);
    expect(known({ atMs: T0 + 999.9 }).roleOn(token(T0), PAGE)).toBe(null);
    expect(known({ atMs: T0 + 999.9 }).roleOn(token(T0 + 1000), PAGE)).toBe('editor');
    expect(known({ atMs: 0 }).roleOn(token(-Infinity), PAGE)).toBe(null);
  });

  test('G60 of a page: nothing else is touched; of the workspace: every page, whatever granted it', () => {
    const onPage = known({ page: PAGE });
    expect([PAGE, OTHER].map((page) => onPage.roleOn(token(T0), page))).toEqual([null, 'editor']);
    const byPage: Identity = {
      ...token(T0),
      grants: { workspace: null, byPage: new Map([[PAGE, 'owner']]) },
    };
    expect(known({}).roleOn(byPage, PAGE)).toBe(null);
    expect(known({ workspace: 'elsewhere' }).roleOn(byPage, PAGE)).toBe('owner');
  });

  test('G60 a lowered role is a ceiling: it never raises, and of several the lowest counts', () => {
    const lowered = known({ role: 'commenter' });
    expect(ROLES.map((role) => lowered.roleOn(token(T0, role), PAGE))).toEqual([
      'viewer', 'commenter', 'commenter', 'commenter',
    ]); // prettier-ignore
    const both = known({ role: 'editor', page: PAGE }, { role: 'viewer' });
    expect([PAGE, OTHER].map((page) => both.roleOn(token(T0, 'owner'), page))).toEqual(['viewer', 'viewer']);
    const later = known({ role: null }, { role: 'viewer', atMs: T0 + 5000 });
    expect([0, 3000, 6000].map((ms) => later.roleOn(token(T0 + ms), PAGE))).toEqual([
      null,
      'viewer',
      'editor',
    ]);
  });

  test('G60 what is lifted counts no more', () => {
    const revocations = known({}, { role: 'viewer' });
    expect([...revocations.apply([row({ atMs: null })])]).toEqual([ANN]);
    expect(revocations.roleOn(token(T0), PAGE)).toBe('viewer');
    revocations.apply([row({ role: 'viewer', atMs: null })]);
    expect(revocations.roleOn(token(T0), PAGE)).toBe('editor');
  });
});

const someRow = fc.record({
  workspace: fc.constantFrom('default', 'default', 'elsewhere'),
  user: fc.constantFrom(ANN, userId('bob')),
  page: fc.constantFrom(null, PAGE, OTHER),
  role: fc.constantFrom<Role | null>(null, 'viewer', 'commenter', 'editor'),
  atMs: fc.option(fc.integer({ min: -2000, max: 5000 }).map((ms) => T0 + ms)),
});

test('G60 rows told in any number of parts, and told again, give what all of them say', () => {
  const keyOf = ({ workspace, user, page, role }: Revocation) =>
    JSON.stringify([workspace, user, page, role]);
  const check = (rows: Revocation[], cut: number, granted: Role, issuedMs: number, page: PageId) => {
    const revocations = new Revocations();
    revocations.apply(rows.slice(0, cut));
    revocations.apply(rows.slice(cut));
    // The newest row of a key is the one in the table: a new connection reads them all again.
    const table = [...new Map(rows.map((one) => [keyOf(one), one])).values()];
    revocations.apply(table);
    const ceilings = table.filter((one) => one.workspace === 'default' && one.user === ANN &&
      (one.page === null || one.page === page) && one.atMs !== null && issuedMs <= one.atMs); // prettier-ignore
    const rank = Math.min(ROLES.indexOf(granted), ...ceilings.map(({ role }) => (role === null ? -1 : ROLES.indexOf(role)))); // prettier-ignore
    expect(revocations.roleOn(token(issuedMs, granted), page)).toBe(rank < 0 ? null : ROLES[rank]);
  };
  fc.assert(
    fc.property(
      fc.array(someRow, { maxLength: 12 }),
      fc.nat(12),
      fc.constantFrom(...ROLES),
      fc.integer({ min: -3, max: 6 }).map((s) => T0 + s * 1000),
      fc.constantFrom(PAGE, OTHER),
      check,
    ),
    { numRuns: 2000 },
  );
});
