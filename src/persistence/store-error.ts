/**
 * What a store rejects with: one error class, so that callers decide by `retryable` and operators read one sentence.
 * `code` is the SQLSTATE, or 'timeout', 'connection' or 'closed' where PostgreSQL had no say.
 *
 * Retryable means that the same call may succeed later, not that nothing was done: after a lost connection or a timeout
 * an append may have been committed all the same.
 */
import pg from 'pg';

export class StoreError extends Error {
  override readonly name = 'StoreError';
  readonly code: string;
  readonly retryable: boolean;

  constructor(code: string, retryable: boolean, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.code = code;
    this.retryable = retryable;
  }
}

/**
 * 08 connection, 40 serialization and deadlock, 53 out of something, 57 operator (shutdown, cancel, statement timeout),
 * 58 system. Singles: 55P03 lock timeout, 25006 read only (a primary that has just become a standby).
 */
const RETRYABLE = /^(?:08|40|53|57|58)|^(?:55P03|25006)$/;

/** Errors after which the connection is as good as before: the statement was undone and the session lives on. */
const HARMLESS = new Set(['40001', '40P01', '55P03', '57014', '23505', '22021', '22P05']);

/** An AggregateError (a name with several addresses, none of which answers) has an empty message of its own. */
function messageOf(error: unknown): string {
  if (error instanceof AggregateError && error.message === '') return error.errors.map(messageOf).join('; ');
  return error instanceof Error ? error.message : String(error);
}

/** Serves the catch blocks around the database: the outside world has failed. `what` names the work: "append". */
export function toStoreError(error: unknown, what: string): StoreError {
  if (error instanceof StoreError) return error;
  const message = messageOf(error);
  if (error instanceof pg.DatabaseError && error.code !== undefined) {
    return new StoreError(
      error.code,
      RETRYABLE.test(error.code),
      `${what}: ${message} (SQLSTATE ${error.code})`,
      error,
    );
  }
  const code = /timeout/i.test(message) ? 'timeout' : 'connection';
  return new StoreError(code, true, `${what}: ${message}`, error);
}

export function timeoutError(what: string, phase: string, afterMs: number): StoreError {
  return new StoreError('timeout', true, `${what}: ${phase} took longer than ${afterMs} ms`);
}

export function closedError(what: string): StoreError {
  return new StoreError('closed', false, `${what}: the store is closed`);
}

/** Whether a connection may be used again after `error`. When in doubt, no: a new one costs a millisecond or two. */
export function leavesConnectionUsable(error: unknown): boolean {
  return error instanceof pg.DatabaseError && error.severity === 'ERROR' && HARMLESS.has(error.code ?? '');
}
