/**
 * Changes that a page would refuse for what it lacks, held until the log was read: another node may have written what
 * they stand on, and this one not have heard of it yet. What a replica sends behind such a change is held with it.
 */
import type { ReplicaId } from '../protocol/ids.ts';
import { BUSY_RETRY_MS } from './admission.ts';
import type { PageMessage, Subscriber } from './world.ts';

export interface HeldChange {
  readonly subscriber: Subscriber;
  readonly replica: ReplicaId;
  readonly message: PageMessage & { type: 'change' };
  /** It is judged when this read of the log is answered. */
  readonly read: number;
}

const HELD_MAX = 256;
const HELD_BYTES_MAX = 4 << 20;
const FULL = {
  code: 'busy',
  message: 'too many changes wait for the log',
  retryAfterMs: BUSY_RETRY_MS,
} as const;

export class HeldBack {
  #held: HeldChange[] = [];

  /** The read that this replica's changes wait for; undefined: none of them is held. */
  readOf(replica: ReplicaId): number | undefined {
    return this.#held.length === 0 ? undefined : this.#held.findLast((one) => one.replica === replica)?.read;
  }

  /** Returns a refusal if there is no room. The message is copied: it is a view into a batch. */
  hold(held: HeldChange): typeof FULL | undefined {
    const bytes = this.#held.reduce((sum, { message: { ops } }) => sum + ops.length, held.message.ops.length);
    // One alone has room, however large messages may be here.
    if (this.#held.length >= HELD_MAX || (this.#held.length > 0 && bytes > HELD_BYTES_MAX)) return FULL;
    const message = { ...held.message, ops: held.message.ops.slice() };
    this.#held.push({ ...held, message });
    return undefined;
  }

  /** Those whose read is answered, in their order. */
  take(answered: number): readonly HeldChange[] {
    const due = this.#held.filter(({ read }) => read <= answered);
    if (due.length > 0) this.#held = this.#held.filter(({ read }) => read > answered);
    return due;
  }
}
