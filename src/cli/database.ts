/**
 * How a command reaches the database itself: DATABASE_URL; else the embedded one of DATA_DIR, by the address that the
 * running server left in server.json, or, while no server runs, started for as long as the command takes.
 * Commands never migrate: tables are the server's to make.
 */
import { existsSync } from 'node:fs';
import { silentLog } from '../base/log.ts';
import { readConfig } from '../config.ts';
import { findServer } from '../local-server.ts';
import { clusterDirectory } from '../persistence/embedded/cluster.ts';
import { startEmbeddedPostgres } from '../persistence/embedded/embedded-postgres.ts';
import { checkDatabase } from '../persistence/prepare-database.ts';
import { CommandError } from './fail.ts';

/** Runs `work` with the URL of a database whose tables are of this version. The URL holds a password: print it nowhere. */
export async function withDatabase<T>(work: (url: string) => Promise<T>): Promise<T> {
  const { databaseUrl, dataDir } = readConfig(process.env);
  const url = databaseUrl ?? (await runningDatabase(dataDir));
  if (url !== undefined) {
    await checkDatabase(url);
    return work(url);
  }
  if (!existsSync(clusterDirectory(dataDir))) {
    throw new CommandError(`there is no database in ${dataDir}: set DATA_DIR, or DATABASE_URL, as the server has it`);
  }
  const embedded = await startEmbeddedPostgres({ dataDir, log: silentLog });
  try {
    await checkDatabase(embedded.url);
    return await work(embedded.url);
  } finally {
    await embedded.stop();
  }
} // prettier-ignore

/** The embedded database of the server that runs on `dataDir`; undefined when none runs. */
async function runningDatabase(dataDir: string): Promise<string | undefined> {
  const server = await findServer(dataDir);
  if (server === 'stale' || server === undefined) return undefined;
  if (server.databaseUrl) return server.databaseUrl;
  throw new CommandError(`the server of ${dataDir} has a database of its own: set DATABASE_URL as it has it`);
}
