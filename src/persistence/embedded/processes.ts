/**
 * What a process id stands for right now. A number in a lock file proves nothing: the process may be dead, or a zombie
 * that a parent which reaps nobody keeps in the table, or the number may belong to somebody else by now.
 *
 * - Linux: /proc/<pid>/stat (state and start time) and /proc/<pid>/cmdline; both are world-readable, unlike
 *   /proc/<pid>/cwd, which root in a container without CAP_SYS_PTRACE may not read.
 * - elsewhere: signal 0 and `ps`.
 *
 * Called by the owner lock and by the postmaster's lock.
 */
import { execFile } from 'node:child_process';
import { readFile, readlink } from 'node:fs/promises';
import { hostname } from 'node:os';
import { promisify } from 'node:util';

export type ProcessState =
  | { readonly kind: 'gone' }
  | { readonly kind: 'zombie' }
  /** `startedAt` tells a process from a later one with the same id; compare it for equality only. */
  | { readonly kind: 'alive'; readonly startedAt: string; readonly command: string };

const run = promisify(execFile);

export async function inspectProcess(pid: number): Promise<ProcessState> {
  if (!Number.isInteger(pid) || pid <= 0 || !answersSignals(pid)) return { kind: 'gone' };
  return process.platform === 'linux' ? inspectByProc(pid) : inspectByPs(pid);
}

/** Sends `signal`, and takes a process that is gone already for a success. */
export function signalProcess(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

/**
 * Names the world in which process ids of ours mean something: this boot of this machine, and in it this container.
 * Ids written down in another realm cannot be looked up here.
 */
export async function processRealm(): Promise<string> {
  try {
    const boot = await readFile('/proc/sys/kernel/random/boot_id', 'utf8');
    return `${boot.trim()} ${await readlink('/proc/self/ns/pid')}`;
  } catch {
    // Outside world, not Linux: no containers of its own, so the host's name does.
    return hostname();
  }
}

/** EPERM means that somebody else's process lives there. Zombies answer too. */
function answersSignals(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== 'ESRCH';
  }
}

async function inspectByProc(pid: number): Promise<ProcessState> {
  try {
    const stat = await readFile(`/proc/${pid}/stat`, 'utf8');
    // The second field is the program's name in parentheses and may itself hold spaces and parentheses.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    const state = fields[0] ?? '';
    if (state === 'Z' || state === 'X' || state === 'x') return { kind: 'zombie' };
    const command = await readFile(`/proc/${pid}/cmdline`, 'utf8');
    return { kind: 'alive', startedAt: fields[19] ?? '', command: command.replaceAll('\0', ' ').trim() };
  } catch {
    // Outside world: it ended between two reads, or /proc hides other users' processes. The signal decides.
    return answersSignals(pid) ? { kind: 'alive', startedAt: '', command: '' } : { kind: 'gone' };
  }
}

async function inspectByPs(pid: number): Promise<ProcessState> {
  try {
    const options = { timeout: 5_000, env: { LC_ALL: 'C', PATH: '/bin:/usr/bin' } };
    const { stdout } = await run('ps', ['-ww', '-o', 'stat=,lstart=,command=', '-p', String(pid)], options);
    // "Ss   Fri Nov 21 07:08:33 2026     /usr/bin/postgres -D ..."
    const found = /^\s*(\S+)\s+(\S+\s+\S+\s+\d+\s+[\d:]+\s+\d+)\s*(.*)$/.exec(stdout.trim());
    if (!found) return { kind: 'gone' };
    if (found[1]!.startsWith('Z')) return { kind: 'zombie' };
    return { kind: 'alive', startedAt: found[2]!, command: found[3]!.trim() };
  } catch {
    // Outside world: `ps` answers 1 for a process it does not find.
    return answersSignals(pid) ? { kind: 'alive', startedAt: '', command: '' } : { kind: 'gone' };
  }
}
