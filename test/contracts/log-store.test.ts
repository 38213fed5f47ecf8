/**
 * Runs the log store's contract on both twins: memory, and a real PostgreSQL with a database of its own.
 */
import pg from 'pg';
import { expect } from 'vitest';
import { silentLog } from '../../src/base/log.ts';
import { MemoryDatabase, MemoryLogStore } from '../../src/persistence/memory-log-store.ts';
import { openPostgresLogStore } from '../../src/persistence/postgres-log-store.ts';
import { prepareDatabase } from '../../src/persistence/prepare-database.ts';
import { createTestDatabase } from '../support/database.ts';
import { logStoreContract } from './log-store.ts';

logStoreContract('memory', async () => {
  const database = new MemoryDatabase();
  return {
    open: (log) => new MemoryLogStore(database, log),
    setClosed: async (page, closed) => database.setClosed(page, closed),
    damageSnapshot: async (page, at) => database.damageSnapshot(page, at),
    destroy: async () => {},
  };
});

logStoreContract('PostgreSQL', async () => {
  const { url, drop } = await createTestDatabase();
  await prepareDatabase({ url, log: silentLog });
  const pool = new pg.Pool({ connectionString: url, max: 1 });
  // The database is dropped by force, perhaps before a connection that was let go has ended.
  pool.on('connect', (client) => void client.on('error', () => {}));
  return {
    // Longer than deadlock_timeout (1 s), so that a deadlock shows as one; and a slow disk is no failure here.
    open: (log = silentLog) => openPostgresLogStore({ url, log, lockTimeoutMs: 4_000 }),
    async setClosed(page, closed) {
      await pool.query('update page_heads set closed = $2 where page_id = $1', [page, closed]);
    },
    async damageSnapshot(page, at) {
      const flip = 'set_byte(body, 0, get_byte(body, 0) # 1)';
      await pool.query(`update snapshots set body = ${flip} where page_id = $1 and seq = $2`, [page, at]);
    },
    async destroy() {
      // A deadlocked append is run again by its caller, so only the server can tell that there was none.
      const deadlocks = 'select deadlocks::int4 from pg_stat_database where datname = current_database()';
      const { rows } = await pool.query(deadlocks);
      await pool.end();
      await drop();
      expect(rows).toEqual([{ deadlocks: 0 }]);
    },
  };
});
