/**
 * Assertions for broken invariants: bugs of ours, never bad input.
 * A failed assertion ends the actor (or the command) that made it; expected failures are returned as values.
 */

/** Throws `AssertionError` unless `condition` holds. */
export function assert(condition: unknown, message: string): asserts condition {
  if (!condition) throw new AssertionError(message);
}

/**
 * Marks the end of an exhaustive switch: does not compile while a case is missing. Says what kind
 * of value it was, not what is in it: that may be what people wrote, and errors are logged.
 */
export function assertNever(value: never, what = 'value'): never {
  const { kind, type, tag } = Object(value) as Record<string, unknown>;
  throw new AssertionError(`unexpected ${what}: ${String(kind ?? type ?? tag ?? typeof value)}`);
}

export class AssertionError extends Error {
  override readonly name = 'AssertionError';
}
