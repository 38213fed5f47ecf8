/**
 * How a command fails: one or two lines on stderr that name cause and remedy, and an exit code. Stack traces are for
 * bugs only.
 */
import { CommanderError } from 'commander';
import { OctavoError } from '../client/index.ts';

/** An expected failure with a message made for the person at the terminal. */
export class CommandError extends Error {
  override readonly name = 'CommandError';
}

/** Names of errors whose message is meant for people; others are bugs and show their stack. */
const EXPECTED = new Set([
  'CommandError', 'ConfigError', 'TokenKeyError', 'OctavoError', 'StoreError', 'EmbeddedPostgresError', 'DatabaseSettingsError',
  'DatabaseTooNewError', 'TransportUnavailableError', 'ListenError', 'LoadError',
]); // prettier-ignore

export function failWith(error: unknown, exitCode = 1): never {
  // Commander has printed its own message (or the help) by now.
  if (error instanceof CommanderError) process.exit(error.exitCode === 0 ? 0 : 2);
  const known = error instanceof Error && (EXPECTED.has(error.name) || 'syscall' in error);
  const text = known
    ? (error as Error).message
    : error instanceof Error
      ? (error.stack ?? error.message)
      : String(error);
  // The server's code, for scripts and for looking it up in docs/protocol.md.
  const code = error instanceof OctavoError ? ` (${error.code})` : '';
  process.stderr.write(`octavo: ${text}${code}\n`);
  process.exit(exitCode);
}
