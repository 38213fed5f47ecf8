/**
 * The append: the one statement on the hot path. One round trip locks the heads, compares (epoch and head) and swaps them,
 * inserts the changes and returns the pages that were appended.
 *
 * Why it is shaped so:
 * - `locked` takes the row locks in page order, as a materialized part of the same statement: its sort lies below the
 *   locking, and `moved` touches only rows that it has handed over. Sorting the arrays alone leaves the order to the
 *   plan, and two nodes deadlock.
 * - It filters before it locks, so a page that has moved on is neither waited for nor locked. After waiting for a lock
 *   PostgreSQL checks the filter again on the newest version of the row; that check is the compare-and-swap.
 * - Everything after `locked` is joined to that small result only. (Joining the heads to the arrays a second time made
 *   a nested loop of 100 x 100 rows: 36,000 changes/s instead of 64,000, at 100 pages x 1 change.)
 * - `wanted` tells that another node came too late: it has locked the row's last version and not made the next one. Whoever
 *   appends locks the row before it makes the next version, which keeps that mark (xmax = xmin); another xmax is
 *   somebody else's: of an append that waited for the row, or of READ_TAIL_WANTED.
 * - Each change carries its batch's number, not its page's id: 8 bytes instead of 20, and an integer join.
 *
 * Parameters, all in binary array format: page uuid[], epoch uuid[], known int8[], count int4[]; then per change batch int4[],
 * ordinal in its batch int4[], replica uuid[], n int8[], hlc_ms int8[], hlc_ctr int4[], author text[], at int8[],
 * body bytea[].
 */

export const APPEND = {
  name: 'octavo_append',
  text: `
with locked as materialized (
  select p.page_id, w.known, w.cnt, w.batch, (p.xmax <> p.xmin and p.xmax <> 0) as wanted
  from unnest($1::uuid[], $2::uuid[], $3::int8[], $4::int4[]) with ordinality as w(page_id, epoch, known, cnt, batch)
  join page_heads p on p.page_id = w.page_id
  where p.seq = w.known and not p.closed and w.epoch = (select id from epoch where only_row)
  order by p.page_id
  for update of p
),
moved as (
  update page_heads p set seq = l.known + l.cnt
  from locked l
  where p.page_id = l.page_id and p.seq = l.known and not p.closed
  returning p.page_id, l.known, l.batch, l.wanted
),
inserted as (
  insert into changes (page_id, seq, replica, n, hlc_ms, hlc_ctr, author, at, body)
  select m.page_id, m.known + c.ord, c.replica, c.n, c.hlc_ms, c.hlc_ctr, c.author, c.at, c.body
  from unnest($5::int4[], $6::int4[], $7::uuid[], $8::int8[], $9::int8[], $10::int4[], $11::text[], $12::int8[],
              $13::bytea[]) as c(batch, ord, replica, n, hlc_ms, hlc_ctr, author, at, body)
  join moved m on m.batch = c.batch
)
select page_id, wanted from moved`,
} as const;

/**
 * Run once on each append connection. The statement's plan is made when the tables may still be nearly empty, and kept:
 * without this it can hold a sequential scan of the heads until the next analyze. Compiling it never pays.
 */
export const APPEND_SESSION = 'set enable_seqscan = off; set jit = off';
