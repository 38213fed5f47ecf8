/**
 * What processes cost, from /proc (Linux): the CPU time of all their threads, and how long the main thread was ready to
 * run and had to wait for a core. The last is the contention meter: a run in which it is high is to be repeated.
 * Elsewhere than on Linux there is nothing to read, and costs are reported as unknown.
 */
import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';

export interface Usage {
  /** CPU seconds of all threads, and of the main one. */
  readonly cpu: number;
  readonly main: number;
  /** Seconds that the main thread waited for a core. */
  readonly wait: number;
}

const NS = 1e9;
const TICKS_PER_SECOND = 100;

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
function schedstat(path: string): Omit<Usage, 'main'> {
  const [cpu, wait] = (read(path) ?? '0 0').split(' ').map(Number);
  return { cpu: cpu! / NS, wait: wait! / NS };
}

export function usageOf(pid: number): Usage {
  let cpu = 0;
  for (const task of list(`/proc/${pid}/task`)) cpu += schedstat(`/proc/${pid}/task/${task}/schedstat`).cpu;
  const { cpu: main, wait } = schedstat(`/proc/${pid}/schedstat`);
  return { cpu, main, wait };
}

/** CPU seconds of all threads outside of the kernel; to a hundredth. */
export function userCpu(pid: number): number {
  const fields = (read(`/proc/${pid}/stat`) ?? '').replace(/^.*\) /s, '').split(' ');
  return Number(fields[11]) / TICKS_PER_SECOND;
}

/** CPU seconds of each thread, by thread id. */
export function threadsOf(pid: number): Map<number, Omit<Usage, 'main'>> {
  const threads = new Map<number, Omit<Usage, 'main'>>();
  for (const task of list(`/proc/${pid}/task`)) {
    threads.set(Number(task), schedstat(`/proc/${pid}/task/${task}/schedstat`));
  }
  return threads;
}

/** Of `/proc/PID/stat`; `ofEnded`: the ticks of children that have ended. */
function statOf(pid: number): { name: string; parent: number; ticks: number; ofEnded: number } | undefined {
  const match = /^\d+ \((.*)\) (.*)$/s.exec(read(`/proc/${pid}/stat`) ?? '');
  if (!match) return undefined;
  const fields = match[2]!.split(' ').map(Number);
  return {
    name: match[1]!,
    parent: fields[1]!,
    ticks: fields[11]! + fields[12]!,
    ofEnded: fields[13]! + fields[14]!,
  };
}

const allPids = (): number[] => list('/proc').map(Number).filter(Number.isInteger);

/** CPU seconds of every process that can be seen. */
export function cpuByProcess(): Map<number, number> {
  return new Map(allPids().map((pid) => [pid, (statOf(pid)?.ticks ?? 0) / TICKS_PER_SECOND]));
}

/** The parent of a process on this machine, if the process is what it is thought to be. */
export function parentOf(pid: number, name: string): number | null {
  const stat = statOf(pid);
  return stat?.name === name ? stat.parent : null;
}

/** A process and its direct children: PostgreSQL's shape. */
export function familyOf(pid: number | null): number[] {
  if (pid === null) return [];
  return [pid, ...allPids().filter((child) => statOf(child)?.parent === pid)];
}

/** CPU seconds of a process and its direct children, those that have ended among them. */
export function familyCpu(pid: number | null): number {
  if (pid === null) return NaN;
  const ended = (statOf(pid)?.ofEnded ?? 0) / TICKS_PER_SECOND;
  return familyOf(pid).reduce((sum, one) => sum + usageOf(one).cpu, ended);
}

/** Binds all threads of a process to one core; says whether it did. */
export function pinTo(core: number, pid: number): boolean {
  return (
    spawnSync('taskset', ['-a', '-p', '-c', String(core), String(pid)], { stdio: 'ignore' }).status === 0
  );
}
