/**
 * Statements run at start: what the settings check asks, and the migrator's own table.
 */

/** One row; what each column must hold is in check-settings.ts. */
export const READ_SETTINGS = `
select current_setting('server_version_num')::int4        as version,
       current_setting('server_version')                  as version_text,
       current_setting('fsync')                           as fsync,
       current_setting('full_page_writes')                as full_page_writes,
       current_setting('synchronous_commit')              as synchronous_commit,
       current_setting('server_encoding')                 as encoding,
       current_setting('default_transaction_isolation')   as isolation,
       current_setting('transaction_read_only')           as read_only`;

/** Held to the end of the transaction; the number means nothing but "Octavo's migrations". */
export const LOCK_MIGRATIONS = 'select pg_advisory_xact_lock(7234019846511)';

/** Asked for by name first: "create table if not exists" needs the right to create even when nothing is created. */
export const FIND_MIGRATIONS = `select to_regclass('octavo_migrations') is not null as present`;

export const CREATE_MIGRATIONS = `
create table octavo_migrations (
  number     integer primary key,
  name       text not null,
  applied_at timestamptz not null default now()
)`;

export const NEWEST_MIGRATION = 'select coalesce(max(number), 0)::int4 as number from octavo_migrations';

/** Parameters: number, name. */
export const RECORD_MIGRATION = 'insert into octavo_migrations (number, name) values ($1, $2)';
