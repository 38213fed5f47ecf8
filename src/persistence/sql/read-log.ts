/**
 * Reading a page's log in portions. The inner limit bounds the rows, the running sum the bytes; the first row always
 * comes, or a change larger than a portion could never be read. octet_length knows the size without fetching the body.
 * Parameters: page, after, limit, bytes.
 */
export const READ_LOG = {
  name: 'octavo_read_log',
  text: `
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
where bytes <= $4::int8 or place = 1
order by seq`,
} as const;
