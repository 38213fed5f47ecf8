/**
 * The machine that figures belong to: without it they say nothing.
 */
import { cpus, release, totalmem, type } from 'node:os';

export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly memoryGiB: number;
  readonly platform: string;
  readonly node: string;
  /** null when no suite used a database. */
  readonly postgres: string | null;
  readonly date: string;
}

export function describeMachine(postgres: string | null): Machine {
  const processors = cpus();
  return {
    cpu: processors[0]?.model.trim() ?? 'unknown',
    cores: processors.length,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    platform: `${type()} ${release()}`,
    node: process.versions.node,
    postgres,
    date: new Date().toISOString().slice(0, 10),
  };
}
