/**
 * Refuses a database that would break the promise "acknowledged means durable", or one that the statements are not made
 * for. Checked once at start, in a session like those that follow: settings may be given per role and per database.
 */
import type { ClientBase } from 'pg';
import { READ_SETTINGS } from './sql/settings.ts';

export interface DatabaseSettings {
  /** As PostgreSQL counts: 150004 is 15.4. */
  readonly version: number;
  readonly version_text: string;
  readonly fsync: string;
  readonly full_page_writes: string;
  readonly synchronous_commit: string;
  readonly encoding: string;
  readonly isolation: string;
  readonly read_only: string;
}

/** The message says what is wrong, why it matters, and what to do. */
export class DatabaseSettingsError extends Error {
  override readonly name = 'DatabaseSettingsError';
}

const VERSION_MIN = 150_000;

/** Everything that is wrong with these settings, with the remedy; empty if nothing is. */
export function settingsProblems(settings: DatabaseSettings): string[] {
  const problems: string[] = [];
  const refuse = (wrong: boolean, problem: string) => wrong && problems.push(problem);
  refuse(
    settings.version < VERSION_MIN,
    `PostgreSQL is ${settings.version_text}, but 15 or later is needed; upgrade the server, or unset DATABASE_URL to use the embedded one`,
  );
  refuse(
    settings.fsync !== 'on',
    'fsync is off: a power cut would destroy the database; set "fsync = on" in postgresql.conf and reload',
  );
  refuse(
    settings.full_page_writes !== 'on',
    'full_page_writes is off: a power cut could leave torn pages; set "full_page_writes = on" in postgresql.conf and reload',
  );
  refuse(
    settings.synchronous_commit === 'off',
    'synchronous_commit is off: acknowledged edits could be lost; set "synchronous_commit = on" in postgresql.conf and ' +
      'reload, or run "alter role ... reset synchronous_commit" if it was set for this role or database',
  );
  refuse(
    settings.encoding !== 'UTF8',
    `the database is encoded as ${settings.encoding}, which cannot hold every text; make one with ` +
      `"create database octavo encoding 'UTF8' template template0"`,
  );
  refuse(
    settings.isolation !== 'read committed',
    `default_transaction_isolation is "${settings.isolation}", under which concurrent appends fail instead of taking ` +
      'turns; set "default_transaction_isolation = \'read committed\'" in postgresql.conf and reload, or reset it for this role',
  );
  refuse(
    settings.read_only !== 'off',
    'the server is a standby or read only: point DATABASE_URL at the primary, or reset default_transaction_read_only',
  );
  return problems;
}

/** Rejects with DatabaseSettingsError naming every problem at once. */
export async function checkDatabaseSettings(client: ClientBase): Promise<void> {
  const result = await client.query<DatabaseSettings>(READ_SETTINGS);
  const problems = settingsProblems(result.rows[0]!);
  if (problems.length > 0)
    throw new DatabaseSettingsError(`the database cannot be used: ${problems.join('. Also: ')}`);
}
