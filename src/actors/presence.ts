/**
 * Who is on a page and what they show of themselves (cursors, names): the latest state per replica, never stored.
 * Changes are gathered and leave as one frame a turn for everybody, so that a moving crowd costs one frame, not n².
 */
import type { PageId, ReplicaId, UserId } from '../protocol/ids.ts';
import { encodeServerMessage } from '../protocol/encode.ts';
import type { WirePresence } from '../protocol/messages.ts';

export class Presence {
  readonly #states = new Map<ReplicaId, { connection: number; user: UserId; state: Uint8Array }>();
  readonly #changed = new Map<ReplicaId, WirePresence>();

  get size(): number {
    return this.#states.size;
  }

  /**
   * Sets a replica's state, or with null takes it away. The bytes must be the caller's own copy. False when the replica
   * is shown by another user: nobody moves a cursor that is not theirs.
   */
  set(replica: ReplicaId, user: UserId, connection: number, state: Uint8Array | null): boolean {
    const shown = this.#states.get(replica);
    if (shown && shown.user !== user) return false;
    if (state) this.#states.set(replica, { connection, user, state });
    else if (shown?.connection !== connection || !this.#states.delete(replica)) return true;
    this.#changed.set(replica, { replica, user, state });
    return true;
  }

  /** The frame of all that changed since the last call, if anything did. */
  takeDelta(page: PageId): Uint8Array | undefined {
    if (this.#changed.size === 0) return undefined;
    const states = [...this.#changed.values()];
    this.#changed.clear();
    return encodeServerMessage({ kind: 'presence', page, states });
  }

  /** The frame of everybody, for one who just came; none when nobody shows anything. */
  full(page: PageId): Uint8Array | undefined {
    if (this.#states.size === 0) return undefined;
    const states = [...this.#states].map(([replica, { user, state }]) => ({ replica, user, state }));
    return encodeServerMessage({ kind: 'presence', page, states });
  }
}
