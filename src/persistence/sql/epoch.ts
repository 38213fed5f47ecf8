/**
 * The epoch: one random id, another one whenever the log may have gone back. Positions in a log, and whatever was folded
 * from it, count in their epoch only; statements that write or read on from a position name it.
 */

export const READ_EPOCH = { name: 'octavo_epoch', text: 'select id from epoch' } as const;

/** Makes a new epoch unless there is another than this already. Parameters: epoch. */
export const RENEW_EPOCH = {
  name: 'octavo_renew_epoch',
  text: 'update epoch set id = gen_random_uuid() where id = $1::uuid',
} as const;

/** By command, whatever the epoch is. One row: the new one. */
export const NEW_EPOCH = 'update epoch set id = gen_random_uuid() returning id';

/** One row: the epoch, and whether the database can say which incarnation it is. */
export const DESCRIBE_EPOCH = 'select id, incarnation is not null as noticed from epoch';

/**
 * Run once on each new connection, before anything else: the database says which incarnation it is, and if that is not
 * the one that the epoch was made for, a new epoch is made. The three parts change when
 * - another cluster answers (system identifier),
 * - a standby was promoted, or a backup was rolled forward (timeline),
 * - a dump was restored (the table's oid).
 * Not noticed is a copy of the data directory or of its disk put back as it was: nothing tells it from a crash. After that
 * the operator says so (`octavo epoch --new`), or the first node that finds a log shorter than it knew it.
 *
 * A standby is refused: it may lag behind, and a log that seems to have gone back would be taken for one that has. Where
 * the functions are not granted (by default they are, to everyone) nothing is noticed, and DESCRIBE_EPOCH says so.
 */
export const EPOCH_SESSION = `
do $$
declare
  here text;
begin
  if pg_is_in_recovery() then
    raise exception 'this server is a standby; pages are served from the primary only' using errcode = '25006';
  end if;
  begin
    select format('%s/%s/%s', system_identifier, left(pg_walfile_name(pg_current_wal_lsn()), 8), 'epoch'::regclass::oid)
    into here from pg_control_system();
  exception when insufficient_privilege or undefined_function or feature_not_supported then
    return;
  end;
  if exists (select from epoch where incarnation is distinct from here) then
    update epoch
    set id = case when incarnation is null then id else gen_random_uuid() end, incarnation = here
    where incarnation is distinct from here;
  end if;
end
$$`;
