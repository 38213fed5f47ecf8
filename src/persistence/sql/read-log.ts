/**
 * Reading a page's log in portions. The inner limit bounds the rows, the running sum the bytes; the first row always
 * comes, or a change larger than a portion could never be read. octet_length knows the size without fetching the body.
 */

const PORTION = `
select seq, replica, n, hlc_ms, hlc_ctr, author, at, body
from (
  select c.*,
         sum(octet_length(body)) over (order by seq rows unbounded preceding) as bytes,
         row_number() over (order by seq) as place
  from (
    select seq, replica, n, hlc_ms, hlc_ctr, author, at, body
    from changes where page_id = $1 and seq > $2::int8 order by seq limit $3::int4
  ) c
) portion
where bytes <= $4::int8 or place = 1`;

/** Parameters: page, after, limit, bytes. */
export const READ_LOG = { name: 'octavo_read_log', text: `${PORTION}\norder by seq` } as const;

/**
 * The same, with the page's head and the epoch as they were at that very moment: rows are (the entry's columns, head,
 * closed, epoch), the entry's all null where nothing follows. No row: no such page.
 */
export const READ_TAIL = {
  name: 'octavo_read_tail',
  text: `
select c.*, h.seq, h.closed, (select id from epoch)
from page_heads h left join lateral (${PORTION}) c on true
where h.page_id = $1
order by c.seq`,
} as const;

/**
 * The same for one who has lost a race: it locks the head for an instant, unless somebody else has it, and by that leaves
 * the mark that the next append tells as `wanted` (append.ts).
 */
export const READ_TAIL_WANTED = {
  name: 'octavo_read_tail_wanted',
  text: `
with mark as materialized (select 1 from page_heads where page_id = $1 for update skip locked)
select c.*, h.seq, h.closed, (select id from epoch), (select count(*) from mark)
from page_heads h left join lateral (${PORTION}) c on true
where h.page_id = $1
order by c.seq`,
} as const;

/** Of the connections that read: the mark needs no flush, it may be lost. */
export const READ_SESSION = 'set synchronous_commit = off';
