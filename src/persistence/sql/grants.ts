/**
 * Statements about revoked grants. Both writers raise the head's version first, under its row's lock, which they hold
 * until they commit: whoever sees version v sees all before it, so "version > the last that I read" misses nothing
 * (migration 0002). A notification is a hint that there is something to read, and may be lost.
 */

export const GRANTS_CHANNEL = 'octavo_grants';

/** Parameters: workspace, user, page or null, role or null. One row: at in ms. */
export const REVOKE_GRANT = `
with head as (
  update grants_revoked_head set version = version + 1 returning version
)
insert into grants_revoked (workspace_id, user_id, page_id, role, at, version)
select $1, $2, $3, $4, clock_timestamp(), head.version from head
on conflict (workspace_id, user_id, page_id, role) do update set at = excluded.at, version = excluded.version
returning (extract(epoch from at) * 1000)::float8 as at_ms, pg_notify('${GRANTS_CHANNEL}', '')`;

/** Parameters: workspace, user, page or null. One row: how many revocations were lifted. */
export const LIFT_REVOCATIONS = `
with head as (
  update grants_revoked_head set version = version + 1 returning version
),
lifted as (
  update grants_revoked r set at = null, version = head.version from head
  where r.workspace_id = $1 and r.user_id = $2 and r.page_id is not distinct from $3 and r.at is not null
  returning 1
)
select count(*)::int4 as lifted, pg_notify('${GRANTS_CHANNEL}', '') from lifted`;

/** Parameters: user or null for all, how many at most. Newest first. */
export const LIST_REVOCATIONS = `
select workspace_id as workspace, user_id as user, page_id as page, role, (extract(epoch from at) * 1000)::float8 as at_ms
from grants_revoked
where at is not null and ($1::text is null or user_id = $1)
order by at desc
limit $2`;

/** Parameters: the version up to which the reader knows all. */
export const READ_REVOCATIONS = `
select version, workspace_id as workspace, user_id as user, page_id as page, role, (extract(epoch from at) * 1000)::float8 as at_ms
from grants_revoked
where version > $1
order by version`;
