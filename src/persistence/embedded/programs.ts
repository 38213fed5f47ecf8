/**
 * Runs PostgreSQL's programs on a cluster: as its user, in its directory, with nothing of our environment.
 *
 * As root (on Linux) the cluster is handed to PostgreSQL as its current directory, `-D /proc/self/cwd`. Data stays in
 * DATA_DIR, where backups and volumes expect it, even if the service user can pass none of the directories above it
 * (root's home is 0700, and so is the DATA_DIR we make): the kernel follows that link without asking them, the server
 * enters the directory before it drops its rights, and PostgreSQL never leaves it. The alternatives were data outside
 * of DATA_DIR, which a container loses with its first restart, or opening directories that are not ours.
 * Called by `init-cluster.ts` and `postmaster.ts`.
 */
import { spawn } from 'node:child_process';
import type { ChildProcess, SpawnOptions } from 'node:child_process';
import { withTimeout } from '../../base/time.ts';
import type { Millis } from '../../base/time.ts';
import type { Cluster } from './cluster.ts';
import { EmbeddedPostgresError, causeText, useAnotherPostgres } from './errors.ts';

export interface ToolRun {
  readonly binary: string;
  readonly args: readonly string[];
  /** The cluster, or the directory where one is being made; also the tool's current directory. */
  readonly dir: string;
  readonly timeoutMs: Millis;
  readonly input?: string;
  /** Handed down as file descriptor 3. */
  readonly descriptor?: number;
}

/** The `-D` to name `dir` by, for a program whose current directory it is. */
export function directoryArgument(cluster: Cluster, dir: string): string {
  return cluster.user !== undefined && process.platform === 'linux' ? '/proc/self/cwd' : dir;
}

/**
 * Starts a program in `dir` as PostgreSQL's user. It inherits nothing from our environment: PGDATA and its like would
 * change what it does, and its messages must be in English to be recognized.
 */
export function spawnProgram(
  cluster: Cluster,
  binary: string,
  args: readonly string[],
  dir: string,
  options: SpawnOptions,
): ChildProcess {
  const { user } = cluster;
  try {
    return spawn(binary, args, {
      ...options,
      cwd: dir,
      env: { LC_ALL: 'C', PATH: '/usr/bin:/bin', ...options.env },
      ...(user === undefined ? {} : { uid: user.uid, gid: user.gid }),
    });
  } catch (error) {
    // Outside world: a refused change of user is thrown here, most else arrives as an 'error' event.
    throw cannotRun(binary, error);
  }
}

/** Runs initdb or a single-user postgres to its end; returns what it printed, throws `init-failed` if it failed. */
export async function runTool(cluster: Cluster, run: ToolRun): Promise<string> {
  const child = spawnProgram(cluster, run.binary, run.args, run.dir, {
    stdio: ['pipe', 'pipe', 'pipe', run.descriptor ?? 'ignore'],
  });
  let output = '';
  child.stdout?.on('data', (chunk: Buffer) => (output += chunk.toString()));
  child.stderr?.on('data', (chunk: Buffer) => (output += chunk.toString()));
  child.stdin?.on('error', () => undefined); // It ended without reading; its exit code says why.
  child.stdin?.end(run.input ?? '');
  const ended = new Promise<number | null>((resolve, reject) => {
    child.on('error', (error) => reject(cannotRun(run.binary, error)));
    child.on('close', resolve);
  });
  const code = await withTimeout(ended, run.timeoutMs, () => {
    child.kill('SIGKILL');
    return new EmbeddedPostgresError(
      'init-failed',
      `${run.binary} took longer than ${run.timeoutMs} ms: ${output}`,
    );
  });
  if (code === 0 && !/\b(ERROR|FATAL|PANIC):/.test(output)) return output;
  throw new EmbeddedPostgresError(
    'init-failed',
    `${run.binary} failed (${code}) in ${run.dir}: ${output.trim()}. ` +
      'Free disk space, write access to DATA_DIR and an entry for the user in /etc/passwd are what it needs; ' +
      `or ${useAnotherPostgres}`,
  );
}

/** ENOENT for a file that is there means that its loader is not: binaries for glibc on a system without it. */
export function cannotRun(binary: string, error: unknown): EmbeddedPostgresError {
  return new EmbeddedPostgresError(
    'binaries-unusable',
    `${binary} cannot be run: ${causeText(error)}. It needs glibc on Linux (Alpine has none), a file system without ` +
      `noexec and, if octavo runs as root, the right to change the user; otherwise ${useAnotherPostgres}`,
    error,
  );
}
