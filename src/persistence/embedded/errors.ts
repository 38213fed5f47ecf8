/**
 * Everything the embedded PostgreSQL can fail with: one class, one table of codes. The message names the cause and
 * the remedy, for it is read by somebody who has just typed `octavo start` and never asked for a database server.
 * Thrown by every file of this folder; `main` prints the message and ends.
 */

export const embeddedPostgresErrorCodes = {
  'no-binaries': 'no PostgreSQL binaries are installed for this platform',
  'binaries-unusable': 'the binaries are there but cannot be run or copied',
  'no-service-user': 'the server runs as root and no unprivileged user exists to run PostgreSQL as',
  'data-dir-unusable': 'the data directory cannot be read, written or owned',
  'data-dir-in-use': 'another live Octavo server owns the data directory',
  'version-mismatch': 'the data was made by another major version of PostgreSQL',
  'init-failed': 'the database cluster could not be created',
  'start-failed': 'PostgreSQL ended instead of becoming ready',
  'start-timeout': 'PostgreSQL did not become ready in time',
  'stop-timeout': 'PostgreSQL did not end in time',
} as const;

export type EmbeddedPostgresErrorCode = keyof typeof embeddedPostgresErrorCodes;

export const useAnotherPostgres = 'set DATABASE_URL to use a PostgreSQL server of your own';

export class EmbeddedPostgresError extends Error {
  override readonly name = 'EmbeddedPostgresError';
  readonly code: EmbeddedPostgresErrorCode;

  constructor(code: EmbeddedPostgresErrorCode, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.code = code;
  }
}

/** The text of whatever was thrown, for the middle of a message of ours. */
export function causeText(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
