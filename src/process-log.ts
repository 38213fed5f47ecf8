/**
 * The process's log: JSON lines by pino, on stderr, so that stdout stays for what commands print. Bounded: see
 * `base/bounded-log.ts`. A level that is not written costs nothing but the call.
 */
import { pino } from 'pino';
import { boundedLog } from './base/bounded-log.ts';
import { type Log, silentLog } from './base/log.ts';
import { systemClock } from './base/time.ts';

export const LOG_LEVELS = ['debug', 'info', 'warn', 'error', 'silent'] as const;

export function createLog(level: string, fields: object = {}): Log {
  const writer = pino(
    { level, base: { pid: process.pid, ...fields }, timestamp: pino.stdTimeFunctions.isoTime },
    pino.destination({ fd: 2, sync: true }),
  );
  const bounded = boundedLog(writer, systemClock);
  const log = { ...silentLog };
  for (const one of ['debug', 'info', 'warn', 'error'] as const)
    if (writer.isLevelEnabled(one)) log[one] = bounded[one];
  return log;
}
