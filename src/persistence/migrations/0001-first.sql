-- The first set of tables: pages, their heads, the log, snapshots, revoked grants, and the epoch.
-- Run by migrate.ts inside one transaction. Works on PostgreSQL 15 and later.
-- Never edit a migration that was released: databases out there have run it. Add the next number.

create table pages (
  id           uuid primary key,
  -- Until accounts exist there is one workspace.
  workspace_id text not null default 'default',
  kind         text not null check (kind in ('blocks', 'ydoc')),
  created_at   timestamptz not null default now(),
  deleted_at   timestamptz
);
create index pages_workspace on pages (workspace_id, created_at);

-- One row per page, updated by every append. Half of each block stays free so that the new version finds room beside
-- the old one (a "hot" update: no index is touched), and dead versions are cleared early: the rows are few and small,
-- but all writing goes through them. No index but the primary key, or updates would stop being hot.
create table page_heads (
  page_id uuid primary key,
  seq     bigint not null,
  closed  boolean not null default false
) with (
  fillfactor = 50,
  autovacuum_vacuum_scale_factor = 0.02,
  autovacuum_vacuum_threshold = 1000,
  autovacuum_vacuum_cost_delay = 0
);

-- The log. hlc_ms and at are milliseconds since 1970; body is what the client sent, byte for byte.
create table changes (
  page_id uuid not null,
  seq     bigint not null,
  replica uuid not null,
  n       bigint not null,
  hlc_ms  bigint not null,
  hlc_ctr integer not null,
  author  text not null,
  at      bigint not null,
  body    bytea not null,
  primary key (page_id, seq)
) partition by hash (page_id);

create table changes_p0 partition of changes for values with (modulus 8, remainder 0);
create table changes_p1 partition of changes for values with (modulus 8, remainder 1);
create table changes_p2 partition of changes for values with (modulus 8, remainder 2);
create table changes_p3 partition of changes for values with (modulus 8, remainder 3);
create table changes_p4 partition of changes for values with (modulus 8, remainder 4);
create table changes_p5 partition of changes for values with (modulus 8, remainder 5);
create table changes_p6 partition of changes for values with (modulus 8, remainder 6);
create table changes_p7 partition of changes for values with (modulus 8, remainder 7);

create table snapshots (
  page_id       uuid not null,
  seq           bigint not null,
  model_version integer not null,
  checksum      bytea not null,
  body          bytea not null,
  private       bytea not null,
  created_at    timestamptz not null default now(),
  primary key (page_id, seq)
);
-- The body is compressed already: compressing it again costs time and saves nothing.
alter table snapshots alter column body set storage external;

-- A token issued before `at` gives its user nothing on that page any more; without a page, on the whole workspace.
create table grants_revoked (
  workspace_id text not null default 'default',
  user_id      text not null,
  page_id      uuid,
  at           timestamptz not null default now(),
  unique nulls not distinct (workspace_id, user_id, page_id)
);
create index grants_revoked_at on grants_revoked (at);

-- This incarnation of the database: one row. Restoring a backup writes another id.
create table epoch (
  only_row boolean primary key default true check (only_row),
  id       uuid not null default gen_random_uuid()
);
insert into epoch default values;
