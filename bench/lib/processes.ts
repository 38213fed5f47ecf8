/**
 * What processes cost, from /proc (Linux): the CPU time of all their threads, and how long the main thread was ready to
 * run and had to wait for a core. The last is the contention meter: a run in which it is high is to be repeated.
 * Elsewhere than on Linux there is nothing to read, and costs are reported as unknown.
 */
import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';

export interface Usage {
  /** CPU seconds of all threads. */
  readonly cpu: number;
  /** Seconds that the main thread waited for a core. */
  readonly wait: number;
}

const NS = 1e9;

function read(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    // The process or thread is gone, or this is no Linux.
    return undefined;
  }
}

const list = (path: string): string[] => {
  try {
    return readdirSync(path);
  } catch {
    // As above.
    return [];
  }
};

/** `schedstat`: ns on a core, ns waiting for one, time slices. */
function schedstat(path: string): Usage {
  const [cpu, wait] = (read(path) ?? '0 0').split(' ').map(Number);
  return { cpu: cpu! / NS, wait: wait! / NS };
}

export function usageOf(pid: number): Usage {
  let cpu = 0;
  for (const task of list(`/proc/${pid}/task`)) cpu += schedstat(`/proc/${pid}/task/${task}/schedstat`).cpu;
  return { cpu, wait: schedstat(`/proc/${pid}/schedstat`).wait };
}

/** CPU seconds of each thread, by thread id. */
export function threadsOf(pid: number): Map<number, Usage> {
  const threads = new Map<number, Usage>();
  for (const task of list(`/proc/${pid}/task`)) {
    threads.set(Number(task), schedstat(`/proc/${pid}/task/${task}/schedstat`));
  }
  return threads;
}

function statOf(pid: number): { name: string; parent: number } | undefined {
  const match = /^\d+ \((.*)\) \S+ (\d+)/s.exec(read(`/proc/${pid}/stat`) ?? '');
  return match ? { name: match[1]!, parent: Number(match[2]) } : undefined;
}

/** The parent of a process on this machine, if the process is what it is thought to be. */
export function parentOf(pid: number, name: string): number | null {
  const stat = statOf(pid);
  return stat?.name === name ? stat.parent : null;
}

/** CPU seconds of a process and its direct children: PostgreSQL's shape. */
export function familyCpu(pid: number | null): number {
  if (pid === null) return NaN;
  let cpu = usageOf(pid).cpu;
  for (const entry of list('/proc')) {
    const child = Number(entry);
    if (Number.isInteger(child) && statOf(child)?.parent === pid) cpu += usageOf(child).cpu;
  }
  return cpu;
}

/** Binds all threads of a process to one core; says whether it did. */
export function pinTo(core: number, pid: number): boolean {
  return (
    spawnSync('taskset', ['-a', '-p', '-c', String(core), String(pid)], { stdio: 'ignore' }).status === 0
  );
}
