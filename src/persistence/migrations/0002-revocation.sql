-- Revocation: a grant can be lowered to a role as well as taken away, and a revocation can be lifted. Nodes follow the
-- rows by their version.

-- The version that the newest row has. Whoever writes a row first raises this one, in the same transaction: its row lock
-- makes writers queue until the one before has committed, so versions become visible in their order, without gaps. A
-- sequence would not: its numbers are taken before the commit, and a reader could pass one that is not there yet.
create table grants_revoked_head (
  only_row boolean primary key default true check (only_row),
  version  bigint not null
);
insert into grants_revoked_head (version) values (0);

-- A token issued up to `at` gives its user at most `role` there; without a role, nothing. One row for each role that was
-- ever a ceiling, since each has its own `at`. A row without `at` was lifted: it stays, so that nodes hear of that too.
alter table grants_revoked
  add column role    text check (role in ('viewer', 'commenter', 'editor')),
  add column version bigint not null default 0,
  alter column at drop not null,
  drop constraint grants_revoked_workspace_id_user_id_page_id_key,
  add unique nulls not distinct (workspace_id, user_id, page_id, role);
drop index grants_revoked_at;
create index grants_revoked_version on grants_revoked (version);
