/**
 * Statements about snapshots. A page keeps its newest two; the older one is for the day when the newest turns out bad.
 */

/** Newest first, below a seq. Parameters: page, below, limit. */
export const READ_SNAPSHOTS = {
  name: 'octavo_read_snapshots',
  text: `
select seq, model_version, checksum, body, private
from snapshots where page_id = $1 and seq < $2::int8
order by seq desc limit $3::int4`,
} as const;

/**
 * Saves and prunes at once. The delete cannot see the insert of its own statement, so both work from `newest`, which
 * counts the new seq in. One older than two others is not stored at all. A row of the same seq is replaced, which also
 * heals a bad one. In another epoch nothing happens: the log may have gone on otherwise from an earlier seq.
 * Parameters: page, seq, model version, checksum, body, private, epoch.
 */
export const SAVE_SNAPSHOT = {
  name: 'octavo_save_snapshot',
  text: `
with newest as materialized (
  select seq from (select seq from snapshots where page_id = $1 union select $2::int8) s
  where $7::uuid = (select id from epoch) order by seq desc limit 2
),
saved as (
  insert into snapshots (page_id, seq, model_version, checksum, body, private)
  select $1, $2::int8, $3::int4, $4::bytea, $5::bytea, $6::bytea where $2::int8 in (select seq from newest)
  on conflict (page_id, seq) do update
  set model_version = excluded.model_version, checksum = excluded.checksum, body = excluded.body,
      private = excluded.private, created_at = excluded.created_at
)
delete from snapshots where page_id = $1 and seq < (select min(seq) from newest)`,
} as const;
