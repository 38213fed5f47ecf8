/**
 * What comes to a shard and is not handled yet. A turn of the event loop handles records for a few milliseconds; what is
 * left waits for the next, and in between come answers of the database, timers, and whoever asks whether the thread lives:
 *
 *     batch ─▶ [ records … │ records … ] ─▶ turn ends ─▶ loop ─▶ [ … ]          in the order in which they came
 *              └─ TURN_MS ─┘
 *
 * So a flood of frames that cost much delays others by a turn, not by its own length. What is committed in between also
 * leaves earlier. It holds no more than the thread's port would have held.
 */
import { type Clock, endOfTurn, type Millis } from '../base/time.ts';
import { batchTimes, readEnvelope } from './envelope.ts';

const TURN_MS: Millis = 5;
/** Records between two looks at the clock. */
const RECORDS = 8;

export interface InboxOptions {
  readonly clock: Clock;
  /** Called before the first record of a batch: how long ago it was sent. */
  arrived(ms: Millis): void;
  record(type: number, connection: number, bytes: Uint8Array): void;
  /** Called after each turn's records. */
  turnEnded(): void;
  /** Calls back once the loop has been round; for tests. */
  readonly later?: (callback: () => void) => void;
}

export class Inbox {
  readonly #options: InboxOptions;
  readonly #batches: Uint8Array[] = [];
  /** Where the first batch goes on; undefined: it was not begun. */
  #at: number | undefined;
  #begunAt: Millis = 0;

  constructor(options: InboxOptions) {
    this.#options = options;
  }

  /** When the batch was begun whose records are handled. */
  get begunAt(): Millis {
    return this.#begunAt;
  }

  /** Handled at once, as far as the turn allows and nothing came before. */
  receive(batch: Uint8Array): void {
    this.#batches.push(batch);
    if (this.#batches.length === 1) this.#turn(TURN_MS);
  }

  /** Handles all that has come, however long it takes. */
  finish(): void {
    if (this.#batches.length > 0) this.#turn(Infinity);
  }

  #turn(ms: Millis): void {
    const { clock, turnEnded, later = endOfTurn } = this.#options;
    const until = clock.monotonic() + ms;
    while (this.#batches.length > 0 && this.#read(until));
    turnEnded();
    if (this.#batches.length > 0) later(() => this.#batches.length > 0 && this.#turn(TURN_MS));
  }

  /** Reads on in the first batch; false if the time was over before its end. */
  #read(until: Millis): boolean {
    const { clock, record, arrived } = this.#options;
    const batch = this.#batches[0]!;
    if (this.#at === undefined) {
      this.#begunAt = clock.monotonic();
      arrived(this.#begunAt - batchTimes(batch).at);
    }
    let left = RECORDS;
    this.#at = readEnvelope(
      batch,
      (type, connection, bytes) => {
        record(type, connection, bytes);
        if (--left > 0) return true;
        left = RECORDS;
        return clock.monotonic() < until;
      },
      this.#at,
    );
    if (this.#at < batch.length) return false;
    this.#batches.shift();
    this.#at = undefined;
    return clock.monotonic() < until;
  }
}
