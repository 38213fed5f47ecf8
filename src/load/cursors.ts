/**
 * The cursors of a page as one of its clients knows them: its own, numbered, and those of the others, each move timed from the moment
 * at which it was due. Of several moves on their way the server may pass on the last one only.
 */
import type { Millis } from '../base/time.ts';
import type { Author } from './author.ts';
import type { Moments } from './shared.ts';
import { presenceFrame, type WireReader } from './wire.ts';

const NOWHERE = new Uint8Array(16);

export class Cursors {
  readonly #client: number;
  readonly #moments: Moments;
  readonly #seen = new Map<number, number>();
  #number = 0;

  constructor(client: number, moments: Moments) {
    this.#client = client;
    this.#moments = moments;
  }

  /** The frame of a move that was due at that moment. */
  move(dueAt: Millis, author: Author | null): Buffer {
    const number = ++this.#number;
    this.#moments.set(this.#client, number, dueAt);
    return presenceFrame(number, author?.cursor.block ?? NOWHERE, author?.cursor.index ?? 0);
  }

  /** Reads the states of a PRESENCE frame, `[replica, user, state]` each; `moved` is told when those that are new were due. */
  hear(reader: WireReader, moved: (dueAt: Millis) => void): void {
    for (let left = reader.array(); left > 0; left--) {
      const fields = reader.array();
      const client = reader.idNumber();
      reader.skip();
      const start = reader.at;
      for (let rest = fields - 2; rest > 0; rest--) reader.skip();
      // Nobody any more, or somebody who is not of this load.
      if (client === this.#client || reader.bytes[start] !== 0x93) continue;
      const end = reader.at;
      reader.at = start + 1;
      const number = reader.uint();
      reader.at = end;
      if (number <= (this.#seen.get(client) ?? 0)) continue;
      this.#seen.set(client, number);
      moved(this.#moments.get(client, number));
    }
  }
}
