/**
 * Who else is on the page, and what they say of themselves (a cursor, a name, a colour: any small JSON value). Never
 * stored. The latest state wins; my own is sent at most ten times a second, and again after every new subscription and
 * every refusal for its rate.
 */
import type { JsonValue } from '../base/json.ts';
import type { Clock, Millis } from '../base/time.ts';
import type { ReplicaId, UserId } from '../protocol/ids.ts';
import { WIRE } from '../protocol/limits.ts';
import type { WirePresence } from '../protocol/messages.ts';
import { MsgpackError, MsgpackReader } from '../protocol/msgpack-reader.ts';
import { MsgpackWriter } from '../protocol/msgpack-writer.ts';
import { OctavoError } from './errors.ts';
import { Emitter } from './events.ts';

export interface PresenceState {
  readonly user: UserId;
  readonly state: JsonValue;
}

export interface PresenceEvents {
  change: ReadonlyMap<ReplicaId, PresenceState>;
}

const INTERVAL_MS: Millis = 105;

export class Presence extends Emitter<PresenceEvents> {
  readonly #clock: Clock;
  readonly #me: ReplicaId;
  readonly #send: (state: Uint8Array | null) => boolean;
  readonly #bytesMax: () => number;
  readonly #others = new Map<ReplicaId, PresenceState>();
  #mine: Uint8Array | null = null;
  #waiting = false;
  #sentAt: Millis = -Infinity;

  /** `send` returns false while the page is not subscribed. */
  constructor(
    clock: Clock,
    me: ReplicaId,
    bytesMax: () => number,
    send: (state: Uint8Array | null) => boolean,
  ) {
    super();
    this.#clock = clock;
    this.#me = me;
    this.#bytesMax = bytesMax;
    this.#send = send;
  }

  /** All others on the page, by replica (one person may be there several times). */
  get others(): ReadonlyMap<ReplicaId, PresenceState> {
    return this.#others;
  }

  /** Says something of myself to the others; null: nothing any more. */
  set(state: JsonValue): void {
    const bytes = state === null ? null : new MsgpackWriter().json(state).take();
    if (bytes && bytes.length > this.#bytesMax()) {
      throw new OctavoError(
        'too_large',
        `a presence state of ${bytes.length} bytes; at most ${this.#bytesMax()}`,
      );
    }
    this.#mine = bytes;
    this.#sendSoon();
  }

  #sendSoon(): void {
    if (this.#waiting) return;
    const waitMs = this.#sentAt + INTERVAL_MS - this.#clock.monotonic();
    if (waitMs <= 0) return this.#sendNow();
    this.#waiting = true;
    this.#clock.after(waitMs, () => {
      this.#waiting = false;
      this.#sendNow();
    });
  }

  #sendNow(): void {
    if (this.#send(this.#mine)) this.#sentAt = this.#clock.monotonic();
  }

  /** The server did not take the last state: this user shows too much at once, here or elsewhere. */
  slowed(waitMs: Millis): void {
    this.#sentAt = this.#clock.monotonic() + waitMs - INTERVAL_MS;
    this.#sendSoon();
  }

  /** A new subscription: the full list follows, and the server knows nothing of mine. */
  subscribed(): void {
    this.clear();
    if (this.#mine) this.#sendSoon();
  }

  clear(): void {
    if (this.#others.size === 0) return;
    this.#others.clear();
    this.emit('change', this.#others);
  }

  receive(states: readonly WirePresence[]): void {
    let changed = false;
    for (const { replica, user, state } of states) {
      if (replica === this.#me) continue;
      const value = state && readState(state);
      if (value === null) changed = this.#others.delete(replica) || changed;
      else if (value !== undefined) {
        this.#others.set(replica, { user, state: value });
        changed = true;
      }
    }
    if (changed) this.emit('change', this.#others);
  }
}

/** `undefined` for what is not JSON: another client's mistake, not shown. */
function readState(bytes: Uint8Array): JsonValue | undefined {
  try {
    return new MsgpackReader(bytes).json(WIRE.jsonDepthMax);
  } catch (error) {
    if (error instanceof MsgpackError) return undefined;
    throw error;
  }
}
