/**
 * Makes the cluster, once: initdb and the database `octavo`. All of it happens in `<dataDir>/postgres.init-<random>`,
 * which is renamed when complete, so a server killed in between leaves nothing half that a later one would believe.
 *
 *     initdb --no-sync  ->  postgres --single -F (create database)  ->  initdb --sync-only  ->  rename, sync DATA_DIR
 *
 * The first two steps write each file without a sync, then one pass syncs them all: as safe as syncing twice, in half
 * the time. The password reaches initdb as a file descriptor of a file that has no name any more.
 * Called by `embedded-postgres.ts` under the owner lock.
 */
import { chown, open, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { systemRandom } from '../../base/random.ts';
import {
  clusterExists,
  databaseName,
  databaseUser,
  giveToServiceUser,
  makeClusterDirectory,
} from './cluster.ts';
import type { Cluster } from './cluster.ts';
import { EmbeddedPostgresError } from './errors.ts';
import { directoryArgument, runTool } from './programs.ts';
import { readIfPresent, syncDirectory } from './small-files.ts';

const toolTimeoutMs = 120_000;
const passwordBytes = 24;
const asidePrefix = 'postgres.init-';

/** Creates the cluster if there is none, and returns the database user's password. */
export async function ensureCluster(cluster: Cluster): Promise<string> {
  await removeLeftovers(cluster);
  const passwordPath = join(cluster.dataDir, 'postgres-password');
  const known = (await readIfPresent(passwordPath))?.trim();
  const password = known || Buffer.from(systemRandom.bytes(passwordBytes)).toString('base64url');
  const exists = await clusterExists(cluster);
  if (exists) await giveToServiceUser(cluster);
  // Before the cluster: a password without a cluster is harmless, a cluster without its password is locked.
  if (!known) {
    if (exists) await runSql(cluster, cluster.dir, `ALTER ROLE ${databaseUser} PASSWORD '${password}'`, []);
    await writePassword(cluster, passwordPath, password);
  }
  if (!exists) await createCluster(cluster, password);
  return password;
}

/**
 * An initdb whose server was just killed may live for a moment more and still be writing. Nobody looks at what it
 * makes, so what resists is left for the next start.
 */
async function removeLeftovers(cluster: Cluster): Promise<void> {
  for (const name of await readdir(cluster.dataDir)) {
    if (!name.startsWith(asidePrefix)) continue;
    const options = { recursive: true, force: true, maxRetries: 4, retryDelay: 50 };
    await rm(join(cluster.dataDir, name), options).catch(() => undefined);
  }
}

async function writePassword(cluster: Cluster, path: string, password: string): Promise<void> {
  const aside = `${path}.new`;
  const file = await open(aside, 'w', 0o600);
  try {
    await file.writeFile(`${password}\n`);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(aside, path);
  await syncDirectory(cluster.dataDir);
}

async function createCluster(cluster: Cluster, password: string): Promise<void> {
  const aside = join(cluster.dataDir, `${asidePrefix}${systemRandom.uint32()}`);
  try {
    await initialize(cluster, aside, password, '--locale=C.UTF-8').catch(async (error: unknown) => {
      // Outside world: systems older than the name C.UTF-8. Sorting and case are PostgreSQL's own either way.
      if (!(error instanceof EmbeddedPostgresError) || !error.message.includes('invalid locale')) throw error;
      await rm(aside, { recursive: true, force: true });
      await initialize(cluster, aside, password, '--locale=C');
    });
    // No -j: a line is a statement.
    await runSql(cluster, aside, `CREATE DATABASE ${databaseName} OWNER ${databaseUser}`, ['-F']);
    const args = ['--sync-only', '-D', directoryArgument(cluster, aside)];
    await runTool(cluster, { binary: cluster.binaries.initdb, args, dir: aside, timeoutMs: toolTimeoutMs });
    await rename(aside, cluster.dir);
    await syncDirectory(cluster.dataDir);
  } catch (error) {
    await rm(aside, { recursive: true, force: true }).catch(() => undefined);
    throw error;
  }
}

async function initialize(cluster: Cluster, dir: string, password: string, locale: string): Promise<void> {
  await makeClusterDirectory(cluster, dir);
  const passwordFile = await openNamelessPassword(cluster, password);
  const options = ['--locale-provider=builtin', '--builtin-locale=C.UTF-8', locale, '--encoding=UTF8'];
  const access = ['-U', databaseUser, '-A', 'scram-sha-256', '--pwfile=/dev/fd/3'];
  try {
    await runTool(cluster, {
      binary: cluster.binaries.initdb,
      args: ['--no-sync', '--no-instructions', ...options, ...access, '-D', directoryArgument(cluster, dir)],
      dir,
      timeoutMs: toolTimeoutMs,
      descriptor: passwordFile.fd,
    });
  } finally {
    await passwordFile.close();
  }
}

/** Owned by the service user, for opening /dev/fd/3 asks the file's mode again. */
async function openNamelessPassword(cluster: Cluster, password: string) {
  const path = join(cluster.dataDir, `${asidePrefix}password-${systemRandom.uint32()}`);
  try {
    await writeFile(path, `${password}\n`, { mode: 0o600, flag: 'wx' });
    if (cluster.user) await chown(path, cluster.user.uid, cluster.user.gid);
    return await open(path, 'r');
  } finally {
    await rm(path, { force: true });
  }
}

/** One statement in a single-user postgres: no port, no password, nobody else. */
async function runSql(
  cluster: Cluster,
  dir: string,
  statement: string,
  flags: readonly string[],
): Promise<void> {
  const args = [
    '--single',
    ...flags,
    '-D',
    directoryArgument(cluster, dir),
    '-c',
    'log_checkpoints=off',
    'postgres',
  ];
  const input = `${statement}\n`;
  await runTool(cluster, { binary: cluster.binaries.postgres, args, dir, timeoutMs: toolTimeoutMs, input });
}
