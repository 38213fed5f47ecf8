/**
 * The cluster: PostgreSQL's own directory `<dataDir>/postgres`, and to whom it belongs. All in it is PostgreSQL's;
 * we make the directory, hand it over, and read which version made it.
 * Called by `init-cluster.ts`; how programs run on it is in `programs.ts`.
 */
import { chmod, chown, lchown, mkdir, readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Binaries } from './binaries.ts';
import { EmbeddedPostgresError } from './errors.ts';
import type { ServiceUser } from './service-user.ts';
import { readIfPresent } from './small-files.ts';

export interface Cluster {
  readonly dataDir: string;
  /** Where PostgreSQL's files are, or will be once they are complete. */
  readonly dir: string;
  /** Undefined: PostgreSQL runs as the server does. */
  readonly user: ServiceUser | undefined;
  readonly binaries: Binaries;
}

export const databaseUser = 'octavo';
export const databaseName = 'octavo';

export function clusterDirectory(dataDir: string): string {
  return join(dataDir, 'postgres');
}

/** Makes a directory that only PostgreSQL's user may enter. */
export async function makeClusterDirectory(cluster: Cluster, dir: string): Promise<void> {
  await mkdir(dir, { mode: 0o700 });
  if (cluster.user) await chown(dir, cluster.user.uid, cluster.user.gid);
}

/**
 * A cluster that root copied here, say from a backup, is root's: gives it to the service user. The directory itself
 * comes last, for it is what tells whether this was done.
 */
export async function giveToServiceUser(cluster: Cluster): Promise<void> {
  const { dir, user } = cluster;
  if (user === undefined || (await stat(dir)).uid === user.uid) return;
  for (const name of await readdir(dir, { recursive: true }))
    await lchown(join(dir, name), user.uid, user.gid);
  await chmod(dir, 0o700);
  await chown(dir, user.uid, user.gid);
}

/** True when there is a complete cluster; throws when it is of another major version. */
export async function clusterExists(cluster: Cluster): Promise<boolean> {
  const found = await readIfPresent(join(cluster.dir, 'PG_VERSION'));
  if (found === undefined) return false;
  if (found.trim() === cluster.binaries.major) return true;
  throw new EmbeddedPostgresError(
    'version-mismatch',
    `${cluster.dir} was made by PostgreSQL ${found.trim()}, the installed one is ${cluster.binaries.major}. ` +
      'Export with the octavo version that made it and import with this one, or upgrade it with pg_upgrade',
  );
}
