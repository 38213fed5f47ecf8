/**
 * The settings check: each refusal names the setting and its remedy; what is sound passes, also on a real server.
 */
import pg from 'pg';
import { describe, expect, test } from 'vitest';
import { createTestDatabase } from '../../test/support/database.ts';
import { checkDatabaseSettings, DatabaseSettingsError, settingsProblems } from './check-settings.ts';
import type { DatabaseSettings } from './check-settings.ts';

const sound: DatabaseSettings = {
  version: 150_004,
  version_text: '15.4',
  fsync: 'on',
  full_page_writes: 'on',
  synchronous_commit: 'on',
  encoding: 'UTF8',
  isolation: 'read committed',
  read_only: 'off',
};

const refused: [Partial<DatabaseSettings>, string][] = [
  [{ version: 140_011, version_text: '14.11' }, 'upgrade the server'],
  [{ fsync: 'off' }, 'set "fsync = on" in postgresql.conf'],
  [{ full_page_writes: 'off' }, 'set "full_page_writes = on" in postgresql.conf'],
  [{ synchronous_commit: 'off' }, 'set "synchronous_commit = on" in postgresql.conf'],
  [{ encoding: 'SQL_ASCII' }, `encoding 'UTF8'`],
  [{ isolation: 'serializable' }, 'default_transaction_isolation'],
  [{ read_only: 'on' }, 'point DATABASE_URL at the primary'],
];

describe('settings', () => {
  test('S25 sound ones pass, on newer servers and with stricter commits too', () => {
    expect(settingsProblems(sound)).toEqual([]);
    for (const synchronous_commit of ['local', 'remote_write', 'remote_apply']) {
      expect(settingsProblems({ ...sound, version: 180_001, synchronous_commit })).toEqual([]);
    }
  });

  test.each(refused)('S25 %o is refused with a remedy', (change, remedy) => {
    const problems = settingsProblems({ ...sound, ...change });
    expect(problems).toHaveLength(1);
    expect(problems[0]).toContain(remedy);
  });

  test('S25 a real server is asked as the role and in the database that will be used', async () => {
    const database = await createTestDatabase();
    const client = new pg.Client(database.url);
    await client.connect();
    await checkDatabaseSettings(client);
    await client.query('set synchronous_commit = off; set default_transaction_read_only = on');
    const failed = checkDatabaseSettings(client);
    await expect(failed).rejects.toBeInstanceOf(DatabaseSettingsError);
    await expect(failed).rejects.toThrow(
      /synchronous_commit is off.*Also: the server is a standby or read only/s,
    );
    await client.end();
    await database.drop();
  });
});
