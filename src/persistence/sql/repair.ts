/**
 * Statements of `octavo verify` and `octavo rebuild`: what is stored as it is, and taking a bad snapshot away.
 */

/** Parameters: after (a page id, or null), limit. */
export const PAGES_AFTER = {
  name: 'octavo_pages_after',
  text: `
select id from (select id from pages union select page_id from page_heads) p
where $1::uuid is null or id > $1::uuid
order by id limit $2::int4`,
} as const;

/** Parameters: page. */
export const SNAPSHOT_SEQS = {
  name: 'octavo_snapshot_seqs',
  text: 'select seq from snapshots where page_id = $1 order by seq',
} as const;

/** Parameters: page, seq. */
export const FIND_SNAPSHOT = {
  name: 'octavo_find_snapshot',
  text: 'select seq, model_version, checksum, body, private from snapshots where page_id = $1 and seq = $2::int8',
} as const;

/** Parameters: page, seq, and what must still be there: checksum, body, private. */
export const REMOVE_SNAPSHOT = {
  name: 'octavo_remove_snapshot',
  text: `
delete from snapshots
where page_id = $1 and seq = $2::int8 and checksum = $3::bytea and body = $4::bytea and private = $5::bytea
returning seq`,
} as const;
