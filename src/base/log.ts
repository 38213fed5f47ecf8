/**
 * The logger's shape, so that nothing below `main` depends on pino. `silentLog` is for tests and for embedding.
 *
 * A line is an event: its message is one constant sentence (docs/operations.md has them all, with levels and fields), what
 * differs stands in the fields, which are numbers and short texts. Never tokens, secrets, or anything that people wrote.
 * debug and info: what clients do, right or wrong; warn and error: what an operator should look at.
 */

export interface Log {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

export const silentLog: Log = { debug() {}, info() {}, warn() {}, error() {} };

/** For the field `error` where an error is a bug: with the place that it came from. */
export const stackOf = (error: unknown): string =>
  error instanceof Error ? (error.stack ?? error.message) : String(error);
