/**
 * What is left of a token's grants after revocations. Pure: rows in, roles out; the gateway asks at SUBSCRIBE and at AUTH,
 * and for open pages whenever rows come in (`src/persistence/revocation-feed.ts` brings them).
 *
 * A revocation is a ceiling for all tokens of a user issued up to its moment: on one page, or on every page of the
 * workspace. Several that apply: the lowest counts. A token says by `iat`, in whole seconds as a rule, when it was issued;
 * one of the same second as the revocation, or without `iat`, may be the older one and so is taken for it.
 */
import type { Millis } from '../base/time.ts';
import type { PageId, UserId } from '../protocol/ids.ts';
import { type Role, ROLES } from '../protocol/messages.ts';
import { type Identity, roleOn, WORKSPACE } from './auth.ts';

export interface Revocation {
  readonly workspace: string;
  readonly user: UserId;
  /** null: every page of the workspace. */
  readonly page: PageId | null;
  /** The most that is left; null: nothing. */
  readonly role: Role | null;
  /** null: lifted again. */
  readonly atMs: Millis | null;
}

/** By ceiling, the moment up to which tokens are under it. */
type Ceilings = Map<Role | null, Millis>;

/** The role that is left of `granted` for a token issued at `issuedMs`. */
export function roleUnder(ceilings: ReadonlyMap<Role | null, Millis> | undefined, granted: Role | null, issuedMs: Millis): Role | null {
  let left = granted;
  for (const [ceiling, atMs] of ceilings ?? []) {
    if (issuedMs <= atMs) left = weaker(left, ceiling);
  }
  return left;
} // prettier-ignore

function weaker(a: Role | null, b: Role | null): Role | null {
  if (a === null || b === null) return null;
  return ROLES.indexOf(a) < ROLES.indexOf(b) ? a : b;
}

export class Revocations {
  readonly #byUser = new Map<UserId, Map<PageId | null, Ceilings>>();

  /** Takes rows in, known ones too; returns the users that they are about. */
  apply(rows: readonly Revocation[]): ReadonlySet<UserId> {
    const users = new Set<UserId>();
    for (const { workspace, user, page, role, atMs } of rows) {
      if (workspace !== WORKSPACE) continue;
      users.add(user);
      let pages = this.#byUser.get(user);
      if (!pages) this.#byUser.set(user, (pages = new Map()));
      let ceilings = pages.get(page);
      if (!ceilings) pages.set(page, (ceilings = new Map()));
      if (atMs === null) ceilings.delete(role);
      else ceilings.set(role, atMs);
    }
    return users;
  }

  /** The role that a token's holder has on a page now. */
  roleOn({ user, grants, issuedMs }: Identity, page: PageId): Role | null {
    const granted = roleOn(grants, page);
    const pages = this.#byUser.get(user);
    if (!pages) return granted;
    return roleUnder(pages.get(page), roleUnder(pages.get(null), granted, issuedMs), issuedMs);
  }
}
