/**
 * Whom PostgreSQL runs as. It refuses to run as root, and root is what a server often is: in a container, or on a
 * first try. Then an unprivileged user that exists already does: the owner of the data once there is data (a volume
 * may come from an image with other ids), else `postgres`, else `nobody`.
 *
 * Data need not be reachable for that user by path (see `programs.ts`), binaries must be: `canReach` decides from the
 * mode bits whether a path is.
 */
import { readFile, realpath, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { EmbeddedPostgresError, useAnotherPostgres } from './errors.ts';

export interface ServiceUser {
  readonly uid: number;
  readonly gid: number;
  readonly name: string;
}

const preferredNames = ['postgres', 'nobody'];

/** The user to switch to, or undefined when the server is not root and PostgreSQL simply runs as the server does. */
export async function chooseServiceUser(clusterDir: string): Promise<ServiceUser | undefined> {
  if (process.getuid?.() !== 0) return undefined;
  const users = parsePasswd(await readFile('/etc/passwd', 'utf8').catch(() => ''));
  const data = await stat(clusterDir).catch(() => undefined);
  if (data !== undefined && data.uid !== 0) {
    const name = users.find((user) => user.uid === data.uid)?.name ?? String(data.uid);
    return { uid: data.uid, gid: data.gid, name };
  }
  for (const name of preferredNames) {
    const user = users.find((candidate) => candidate.name === name && candidate.uid > 0);
    if (user) return user;
  }
  throw new EmbeddedPostgresError(
    'no-service-user',
    'PostgreSQL refuses to run as root, and neither user "postgres" nor "nobody" exists here. ' +
      `Create one, run octavo as an unprivileged user, or ${useAnotherPostgres}`,
  );
}

/** Users from the text of /etc/passwd; lines that are no users are left out. */
export function parsePasswd(text: string): ServiceUser[] {
  return text.split('\n').flatMap((line) => {
    const [name, , uid, gid] = line.split(':');
    if (!name || !uid || !gid || !/^\d+$/.test(uid) || !/^\d+$/.test(gid)) return [];
    return [{ name, uid: Number(uid), gid: Number(gid) }];
  });
}

/**
 * Whether `user` may read `path` (and list it, if it is a directory) and pass all directories above it.
 * Access control lists are not looked at; they are rare, and a wrong answer costs a copy or a clear error.
 */
export async function canReach(path: string, user: ServiceUser): Promise<boolean> {
  let current: string;
  try {
    current = await realpath(path);
    for (let wanted = 0o4; ; wanted = 0o1) {
      const info = await stat(current);
      const needed = info.isDirectory() ? wanted | 0o1 : wanted;
      if ((permissions(info, user) & needed) !== needed) return false;
      const parent = dirname(current);
      if (parent === current) return true;
      current = parent;
    }
  } catch {
    // Expected: it does not exist.
    return false;
  }
}

/** The three bits of `mode` that apply to `user`. */
function permissions(info: { mode: number; uid: number; gid: number }, user: ServiceUser): number {
  if (info.uid === user.uid) return (info.mode >> 6) & 7;
  if (info.gid === user.gid) return (info.mode >> 3) & 7;
  return info.mode & 7;
}
