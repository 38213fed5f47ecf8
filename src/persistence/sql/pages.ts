/**
 * Statements about a page as a whole: find it, make it; and the database's readiness.
 * Rows of FIND_PAGE and CREATE_PAGE are (kind, seq, closed, epoch); a seq of null is a page that has lost its head.
 */

/** Parameters: page. */
export const FIND_PAGE = {
  name: 'octavo_find_page',
  text: `
select p.kind, h.seq, h.closed, (select id from epoch)
from pages p left join page_heads h on h.page_id = p.id
where p.id = $1`,
} as const;

/**
 * Makes the page unless there is one, and answers with what is stored. No row at all means that another transaction
 * made it after this statement's snapshot was taken: its row stopped the insert, and the select cannot see it yet.
 * The caller runs the statement again. Parameters: page, kind.
 */
export const CREATE_PAGE = {
  name: 'octavo_create_page',
  text: `
with born as (
  insert into pages (id, kind) values ($1, $2) on conflict (id) do nothing returning id, kind
),
head as (
  insert into page_heads (page_id, seq, closed) select id, 0, false from born returning page_id, seq, closed
)
select born.kind, head.seq, head.closed, (select id from epoch) from born join head on head.page_id = born.id
union all
select p.kind, h.seq, h.closed, (select id from epoch)
from pages p left join page_heads h on h.page_id = p.id where p.id = $1`,
} as const;

/** Parameters: pages (uuid[]). Rows are (page, seq, closed, epoch). */
export const READ_HEADS = {
  name: 'octavo_read_heads',
  text: `select page_id, seq, closed, (select id from epoch) from page_heads where page_id = any($1::uuid[])`,
} as const;

/** A real commit that flushes the write-ahead log and leaves nothing behind; it fails on a standby or a full disk. */
export const COMMIT_NOTHING = {
  name: 'octavo_ping',
  text: `select 1 from pg_logical_emit_message(true, 'octavo'::text, 'ping'::text)`,
} as const;
