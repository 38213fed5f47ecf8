/**
 * Brings the database's tables up to what this version needs. Migrations are numbered SQL files without gaps in
 * migrations/, each run once, in a transaction of its own, in order.
 *
 * Several nodes may start at the same moment, on an empty database too: each transaction begins by taking one advisory
 * lock and reads only then how far the database has come, so one node migrates and the others find it done. The lock
 * ends with the transaction; a node that dies in the middle leaves nothing behind.
 *
 * Called by prepare-database.ts.
 */
import { readdirSync, readFileSync } from 'node:fs';
import type { ClientBase } from 'pg';
import type { Log } from '../base/log.ts';
import { assert } from '../base/assert.ts';
import { StoreError } from './store-error.ts';
import {
  CREATE_MIGRATIONS,
  FIND_MIGRATIONS,
  LOCK_MIGRATIONS,
  NEWEST_MIGRATION,
  RECORD_MIGRATION,
} from './sql/settings.ts';

export interface Migration {
  readonly number: number;
  readonly name: string;
  readonly sql: string;
}

/** The database was migrated by a newer version of Octavo: writing to it could break what that one relies on. */
export class DatabaseTooNewError extends Error {
  override readonly name = 'DatabaseTooNewError';

  constructor(found: number, known: number) {
    super(
      `the database is at migration ${found}, this version of Octavo knows ${known}: ` +
        'start the newer version again, or restore a backup made before the upgrade into another database',
    );
  }
}

/** Beside this file both in src/ and in dist/, where the build copies them. */
export function readMigrations(directory = new URL('./migrations/', import.meta.url)): Migration[] {
  const files = readdirSync(directory)
    .filter((file) => file.endsWith('.sql'))
    .sort();
  return files.map((file, index) => {
    const number = Number(file.slice(0, 4));
    assert(number === index + 1, `migration ${file} should have the number ${index + 1}`);
    return { number, name: file.slice(5, -4), sql: readFileSync(new URL(file, directory), 'utf8') };
  });
}

/** Rejects unless every migration has run. `place` names the database. Changes nothing. */
export async function checkMigrated(client: ClientBase, place: string, migrations = readMigrations()): Promise<void> {
  const found = await client.query<{ present: boolean }>(FIND_MIGRATIONS);
  const { rows } = found.rows[0]!.present ? await client.query<{ number: number }>(NEWEST_MIGRATION) : { rows: [] };
  const done = rows[0]?.number ?? 0;
  if (done > migrations.length) throw new DatabaseTooNewError(done, migrations.length);
  if (done === migrations.length) return;
  const problem = done === 0 ? 'has no tables of Octavo' : `is at migration ${done}, this version needs ${migrations.length}`;
  throw new StoreError('42P01', false, `the database at ${place} ${problem}: start the server of this version on it once`);
} // prettier-ignore

/** Runs what is missing. `client` must not be in a transaction. */
export async function migrate(client: ClientBase, log: Log, migrations = readMigrations()): Promise<void> {
  while (await migrateOne(client, log, migrations)) {
    // Each call runs one migration, until none is left.
  }
}

/** One transaction: at most one migration. False when the database is up to date. */
async function migrateOne(client: ClientBase, log: Log, migrations: readonly Migration[]): Promise<boolean> {
  await client.query('begin');
  try {
    await client.query(LOCK_MIGRATIONS);
    const done = await newestMigration(client);
    if (done > migrations.length) throw new DatabaseTooNewError(done, migrations.length);
    const next = migrations[done];
    if (next !== undefined) {
      log.info({ migration: next.number, name: next.name }, 'migrating the database');
      await client.query(next.sql);
      await client.query(RECORD_MIGRATION, [next.number, next.name]);
    }
    await client.query('commit');
    return next !== undefined;
  } catch (error) {
    // Whatever failed, the transaction must end. A lost connection has ended it already; its error is the one to show.
    await client.query('rollback').catch(() => {});
    throw error;
  }
}

async function newestMigration(client: ClientBase): Promise<number> {
  const found = await client.query<{ present: boolean }>(FIND_MIGRATIONS);
  if (!found.rows[0]!.present) await client.query(CREATE_MIGRATIONS);
  const newest = await client.query<{ number: number }>(NEWEST_MIGRATION);
  return newest.rows[0]!.number;
}
