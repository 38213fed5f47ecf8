/**
 * The embedded PostgreSQL: a real server, made, started and stopped by us, for those who set no DATABASE_URL.
 *
 *     <dataDir>/octavo.lock         one live server per data directory            owner-lock.ts
 *               postgres/           the cluster                                   cluster.ts, programs.ts
 *               postgres-password   of the database user, 0600                    init-cluster.ts
 *               postgres.log        what PostgreSQL says, bounded                 postgres-log.ts
 *
 * Invariants: under one data directory at most one server and one postmaster live; no PostgreSQL outlives its server
 * for longer than a shutdown takes, `kill -9` included; nothing a killed server leaves behind prevents a start.
 * The order is: lock, binaries, orphan, cluster, watchdog, postmaster; `stop` undoes it backwards.
 * Called by `main`, which stops it after everything that uses the database.
 */
import { mkdir, realpath } from 'node:fs/promises';
import type { Log } from '../../base/log.ts';
import { locatePackage, prepareBinaries } from './binaries.ts';
import { clusterDirectory, databaseName, databaseUser } from './cluster.ts';
import type { Cluster } from './cluster.ts';
import { EmbeddedPostgresError, causeText } from './errors.ts';
import { ensureCluster } from './init-cluster.ts';
import { acquireOwnerLock } from './owner-lock.ts';
import type { OwnerLock } from './owner-lock.ts';
import { clearPostmasterLock } from './postmaster-lock.ts';
import { boundPostgresLog, logBytesMax } from './postgres-log.ts';
import { startPostmaster } from './postmaster.ts';
import type { Postmaster } from './postmaster.ts';
import { chooseServiceUser } from './service-user.ts';
import { startWatchdog } from './watchdog.ts';
import type { Watchdog } from './watchdog.ts';

export interface EmbeddedPostgresOptions {
  /** DATA_DIR; made if it is missing. */
  readonly dataDir: string;
  readonly log: Log;
  readonly maxConnections?: number;
}

export interface EmbeddedPostgres {
  /** postgres://octavo:<password>@127.0.0.1:<port>/octavo; holds a secret. */
  readonly url: string;
  /** Resolves when PostgreSQL has ended, whether `stop` was called or not. */
  readonly exited: Promise<void>;
  /** Fast shutdown; open connections are closed. May be called again. */
  stop(): Promise<void>;
}

const defaultMaxConnections = 50;

export async function startEmbeddedPostgres(options: EmbeddedPostgresOptions): Promise<EmbeddedPostgres> {
  const { log } = options;
  const packageDir = locatePackage();
  const dataDir = await openDataDir(options.dataDir);
  const lock = await takeLock(dataDir, log);
  let watchdog: Watchdog | undefined;
  try {
    const dir = clusterDirectory(dataDir);
    const user = await chooseServiceUser(dir);
    const binaries = await prepareBinaries(packageDir, dataDir, user, log);
    const cluster: Cluster = { dataDir, dir, user, binaries };
    const leftoverPid = await clearPostmasterLock(dir, log);
    const password = await ensureCluster(cluster);
    await boundPostgresLog(dataDir, logBytesMax / 4);
    watchdog = startWatchdog(dir, log);
    const maxConnections = options.maxConnections ?? defaultMaxConnections;
    const postmaster = await startPostmaster(cluster, maxConnections, leftoverPid, watchdog);
    const { port, pid: postgresPid } = postmaster;
    log.info({ port, postgresPid, watchdogPid: watchdog.pid, account: user?.name }, 'PostgreSQL is ready');
    return running(postmaster, password, watchdog, lock, log);
  } catch (error) {
    watchdog?.end();
    await lock.release();
    throw explained(error, dataDir);
  }
}

async function openDataDir(dataDir: string): Promise<string> {
  try {
    await mkdir(dataDir, { recursive: true, mode: 0o700 });
    return await realpath(dataDir);
  } catch (error) {
    throw explained(error, dataDir);
  }
}

async function takeLock(dataDir: string, log: Log): Promise<OwnerLock> {
  const housekeeping = () => {
    boundPostgresLog(dataDir).catch((error: unknown) => {
      log.warn({ error: causeText(error) }, 'the PostgreSQL log cannot be shortened');
    });
  };
  try {
    return await acquireOwnerLock(dataDir, log, housekeeping);
  } catch (error) {
    throw explained(error, dataDir);
  }
}

/** Whatever is not ours yet comes from the file system: no space, no rights, no directory. */
function explained(error: unknown, dataDir: string): EmbeddedPostgresError {
  if (error instanceof EmbeddedPostgresError) return error;
  return new EmbeddedPostgresError(
    'data-dir-unusable',
    `DATA_DIR ${dataDir} cannot be used: ${causeText(error)}. ` +
      'It must be a writable directory on a local disk, with everything in it owned by the user octavo runs as',
    error,
  );
}

function running(
  postmaster: Postmaster,
  password: string,
  watchdog: Watchdog,
  lock: OwnerLock,
  log: Log,
): EmbeddedPostgres {
  let stopping: Promise<void> | undefined;
  const stop = async () => {
    await postmaster.stop();
    watchdog.end();
    await lock.release();
  };
  void postmaster.exited.then(() => {
    if (stopping === undefined)
      log.error({ postgresPid: postmaster.pid }, 'PostgreSQL ended unexpectedly; see postgres.log');
    // Its process id is free again: the watchdog must not keep it in mind.
    watchdog.end();
  });
  return {
    url: `postgres://${databaseUser}:${password}@127.0.0.1:${postmaster.port}/${databaseName}`,
    exited: postmaster.exited,
    stop: () => (stopping ??= stop()),
  };
}
