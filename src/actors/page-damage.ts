/**
 * A page whose log is damaged: what is stored of it cannot be what was stored. Such a page is never served as if it were
 * whole; the message and the server's log say where, and `octavo verify` says what to do.
 */

/** Thrown where the log is read. */
export class PageDamagedError extends Error {
  override readonly name = 'PageDamagedError';
  /** The first change that is concerned. */
  readonly seq: number;

  constructor(seq: number, what: string) {
    super(what);
    this.seq = seq;
  }
}
