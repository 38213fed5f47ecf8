/**
 * The logger's shape, so that nothing below `main` depends on pino. `silentLog` is for tests and for embedding.
 * Fields never hold tokens, secrets or document text.
 */

export interface Log {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

export const silentLog: Log = { debug() {}, info() {}, warn() {}, error() {} };
