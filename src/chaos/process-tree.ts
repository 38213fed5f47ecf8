/**
 * Signals for a process with its children: PostgreSQL's each lead a process group of their own, so that no signal to a group
 * reaches them all. Linux tells of parents in /proc, others by `ps`.
 */
import { execFile } from 'node:child_process';
import { readdir, readFile } from 'node:fs/promises';
import { promisify } from 'node:util';
import { signalProcess } from '../persistence/embedded/processes.ts';

/** Sends a signal to a process and its children, to it first: it starts no more of them then. */
export async function signalTree(pid: number, signal: NodeJS.Signals): Promise<void> {
  const children = await childrenOf(pid);
  for (const each of [pid, ...children]) signalProcess(each, signal);
}

async function childrenOf(parent: number): Promise<number[]> {
  const pairs = process.platform === 'linux' ? await pairsByProc() : await pairsByPs();
  return pairs.flatMap(([pid, of]) => (of === parent ? pid : []));
}

type PidAndParent = readonly [number, number];

async function pairsByProc(): Promise<PidAndParent[]> {
  const names = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const found = names.map(async (name): Promise<PidAndParent> => {
    const stat = await readFile(`/proc/${name}/stat`, 'utf8').catch(() => '');
    // pid (name) state ppid …; a name may hold spaces and brackets.
    return [Number(name), Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1])];
  });
  return Promise.all(found);
}

async function pairsByPs(): Promise<PidAndParent[]> {
  const { stdout } = await promisify(execFile)('ps', ['-A', '-o', 'pid=,ppid='], { timeout: 5000 });
  return stdout
    .trim()
    .split('\n')
    .map((line) => line.trim().split(/\s+/).map(Number) as [number, number]);
}
