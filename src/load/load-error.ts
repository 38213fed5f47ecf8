/**
 * What a load test cannot go on without: an address that does not answer, a token that is not taken. Told to the person at the
 * terminal as it is.
 */

export class LoadError extends Error {
  override readonly name = 'LoadError';
  /** Whether the same may work in a moment. */
  readonly retry: boolean;

  constructor(message: string, retry = false) {
    super(message);
    this.retry = retry;
  }
}
