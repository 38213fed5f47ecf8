/**
 * The process's log: JSON lines by pino, on stderr, so that stdout stays for what commands print.
 */
import { pino } from 'pino';
import type { Log } from './base/log.ts';

export const LOG_LEVELS = ['debug', 'info', 'warn', 'error', 'silent'] as const;

export function createLog(level: string, fields: object = {}): Log {
  return pino(
    { level, base: { pid: process.pid, ...fields }, timestamp: pino.stdTimeFunctions.isoTime },
    pino.destination({ fd: 2, sync: true }),
  );
}
