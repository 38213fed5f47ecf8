/**
 * `postmaster.pid`, PostgreSQL's own lock and notice board: line 1 its process id, line 8 its state. The file is
 * PostgreSQL's, read here and never removed: its line 7 names the shared memory that orphaned backends of a killed
 * postmaster may still write through, and only PostgreSQL checks that. What it cannot judge is the process id:
 *
 *     nobody           PostgreSQL finds out by itself and replaces the file
 *     zombie, other    PostgreSQL would refuse to start. `leftover` is the id it shall take for a false match; it has
 *                      a variable for that, made for the id of pg_ctl, and then checks the shared memory as ever
 *     our postmaster   an orphan: its server is dead, or we would not hold the owner lock. It is stopped, not
 *                      adopted: that takes 50 ms, and whatever state or settings it had are gone
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Log } from '../../base/log.ts';
import { EmbeddedPostgresError } from './errors.ts';
import { inspectProcess, signalProcess } from './processes.ts';
import { clusterMark } from './settings.ts';
import { waitUntil } from './wait-until.ts';

export interface PostmasterFile {
  readonly pid: number;
  readonly ready: boolean;
}

export const fastShutdownMs = 30_000;
export const immediateShutdownMs = 10_000;

export async function readPostmasterFile(clusterDir: string): Promise<PostmasterFile | undefined> {
  const text = await readFile(join(clusterDir, 'postmaster.pid'), 'utf8').catch(() => '');
  const lines = text.split('\n');
  const pid = Number.parseInt(lines[0] ?? '', 10);
  return Number.isNaN(pid) ? undefined : { pid: Math.abs(pid), ready: lines[7]?.trim() === 'ready' };
}

/** Stops an orphan; returns the id, if any, that a new postmaster must not mistake for a living one. */
export async function clearPostmasterLock(clusterDir: string, log: Log): Promise<number | undefined> {
  const file = await readPostmasterFile(clusterDir);
  if (file === undefined) return undefined;
  const state = await inspectProcess(file.pid);
  if (state.kind === 'gone') return undefined;
  if (state.kind === 'alive' && isPostmasterOf(state.command, clusterDir)) {
    log.warn({ postgresPid: file.pid }, 'stopping the PostgreSQL that a killed server left behind');
    await stopOrphan(file.pid, clusterDir);
  } else {
    log.info(
      { postgresPid: file.pid, process: state.kind },
      'postmaster.pid is a leftover: its process is not PostgreSQL',
    );
  }
  return file.pid;
}

export function isPostmasterOf(command: string, clusterDir: string): boolean {
  return `${command} `.includes(` ${clusterMark(clusterDir)} `);
}

/** Fast shutdown, then immediate shutdown. Never SIGKILL, which would orphan the backends. */
async function stopOrphan(pid: number, clusterDir: string): Promise<void> {
  const ended = async () => {
    const state = await inspectProcess(pid);
    return state.kind !== 'alive' || !isPostmasterOf(state.command, clusterDir);
  };
  signalProcess(pid, 'SIGINT');
  if (await waitUntil(ended, fastShutdownMs)) return;
  signalProcess(pid, 'SIGQUIT');
  if (await waitUntil(ended, immediateShutdownMs)) return;
  throw new EmbeddedPostgresError(
    'stop-timeout',
    `PostgreSQL (pid ${pid}), left behind by a killed server on ${clusterDir}, does not stop. ` +
      'Look for a hanging disk, and end that process yourself',
  );
}
