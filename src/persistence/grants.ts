/**
 * Revoked grants in the database, as the commands write and read them. What the rows mean is `src/gateway/revocations.ts`;
 * how nodes hear of them is `revocation-feed.ts`.
 */
import type { ClientBase } from 'pg';
import type { Millis } from '../base/time.ts';
import type { PageId, UserId } from '../protocol/ids.ts';
import type { Role } from '../protocol/messages.ts';
import { LIFT_REVOCATIONS, LIST_REVOCATIONS, REVOKE_GRANT } from './sql/grants.ts';

/** A grant, or all grants of a workspace where `page` is null. */
export interface GrantScope {
  readonly workspace: string;
  readonly user: UserId;
  readonly page: PageId | null;
}

export interface RevokedGrant extends GrantScope {
  /** The most that tokens issued until then still give; null: nothing. */
  readonly role: Role | null;
  /** By the database's clock. null: lifted again. */
  readonly atMs: Millis | null;
}

/** A row as both readers select it. */
export interface GrantRow {
  readonly workspace: string;
  readonly user: UserId;
  readonly page: PageId | null;
  readonly role: Role | null;
  readonly at_ms: number | null;
}

export function toRevokedGrant({ workspace, user, page, role, at_ms: atMs }: GrantRow): RevokedGrant {
  return { workspace, user, page, role, atMs };
}

/** Takes the grant away, or lowers it to `role`; returns the moment up to which issued tokens are concerned. */
export async function revokeGrant(client: ClientBase, { workspace, user, page }: GrantScope, role: Role | null): Promise<Millis> {
  const { rows } = await client.query<{ at_ms: number }>(REVOKE_GRANT, [workspace, user, page, role]);
  return rows[0]!.at_ms;
} // prettier-ignore

/** Lifts the revocations of exactly this scope; returns how many there were. */
export async function liftRevocations(client: ClientBase, { workspace, user, page }: GrantScope): Promise<number> {
  const { rows } = await client.query<{ lifted: number }>(LIFT_REVOCATIONS, [workspace, user, page]);
  return rows[0]!.lifted;
} // prettier-ignore

/** The revocations in force, newest first. */
export async function listRevocations(client: ClientBase, user: UserId | null, limit: number): Promise<RevokedGrant[]> {
  const { rows } = await client.query<GrantRow>(LIST_REVOCATIONS, [user, limit]);
  return rows.map(toRevokedGrant);
} // prettier-ignore
