/**
 * The check beside every measurement: a figure of something that does not work is worth nothing, so a failed check ends
 * the run.
 */

export class BenchError extends Error {
  override readonly name = 'BenchError';
}

export function must(condition: unknown, what: string): asserts condition {
  if (!condition) throw new BenchError(`a check failed: ${what}`);
}
