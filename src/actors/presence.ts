/**
 * Who is on a page and what they show of themselves (cursors, names): the latest state per replica, never stored.
 * Changes are gathered and leave as one frame a turn for everybody, so that a moving crowd costs one frame, not n².
 *
 * A replica is held by a socket of ours, or by another node. Whoever shows a *change* of it holds it from then on: a person
 * has moved. What a node shows again and again (a *list*, against loss) renews what it holds, and no more: it may not have
 * noticed yet that the person has gone elsewhere. What another node has not renewed for 30 s is gone.
 */
import { sameBytes } from '../base/bytes.ts';
import type { Millis } from '../base/time.ts';
import type { NodeId, PageId, ReplicaId, UserId } from '../protocol/ids.ts';
import { encodeServerMessage } from '../protocol/encode.ts';
import type { WirePresence } from '../protocol/messages.ts';

/** Of another node. `gone`: all that it holds; `ask`: it wants to know who is here. */
export interface PresenceNews {
  readonly node: NodeId;
  readonly kind: 'change' | 'list' | 'gone' | 'ask';
  readonly states: readonly WirePresence[];
}

interface Shown {
  readonly user: UserId;
  readonly state: Uint8Array;
  /** A connection of this node; null: another node has it. */
  readonly connection: number | null;
  readonly node: NodeId | null;
  readonly renewedAt: Millis;
  /**
   * Held by another node: what a socket of ours shows all the same. Either it is dead, and its person has moved; or the other's
   * word was an old one, and we are left with this when it does not renew it.
   */
  readonly ours: Shown | null;
}

const LOST_AFTER_MS: Millis = 30_000;
/** Whoever has missed a renewal may be mistaken for the holder: the list of another counts then. */
const DOUBTED_AFTER_MS: Millis = 15_000;
/** Past this many people on other nodes further ones are not shown. */
const ELSEWHERE_MAX = 2000;

export class Presence {
  readonly #states = new Map<ReplicaId, Shown>();
  readonly #changed = new Map<ReplicaId, WirePresence>();
  readonly #ownChanged = new Map<ReplicaId, WirePresence>();
  #elsewhere = 0;
  #elsewhereBytes = 0;

  get size(): number {
    return this.#states.size;
  }

  /** About what people on other nodes take. */
  get elsewhereBytes(): number {
    return this.#elsewhereBytes;
  }

  /**
   * Sets a replica's state, or with null takes it away. The bytes must be the caller's own copy. False when the replica
   * is shown by another user: nobody moves a cursor that is not theirs.
   */
  set(replica: ReplicaId, user: UserId, connection: number, state: Uint8Array | null): boolean {
    const shown = this.#states.get(replica);
    if (shown && shown.user !== user) return false;
    if (state === null && shown?.ours?.connection === connection)
      this.#put(replica, { ...shown, ours: null });
    if (state === null && shown?.connection !== connection) return true;
    this.#put(replica, state && { user, state, connection, node: null, renewedAt: 0, ours: null });
    this.#changed.set(replica, { replica, user, state });
    this.#ownChanged.set(replica, { replica, user, state });
    return true;
  }

  /** Takes in what another node tells. The states must be the caller's own copies. True when there is something to show. */
  hear({ node, kind, states }: PresenceNews, now: Millis, bytesMax: number): boolean {
    if (kind === 'gone') this.#drop((shown) => shown.node === node);
    for (const { replica, user, state } of states) {
      const shown = this.#states.get(replica);
      if (shown && shown.user !== user) continue;
      if (state === null) {
        if (shown?.node === node) this.#lose(replica, user);
      } else if (kind === 'change' || !shown || shown.node === node || isDoubted(shown, now)) {
        if (state.length > bytesMax || (!shown?.node && this.#elsewhere >= ELSEWHERE_MAX)) continue;
        const ours = shown?.node === null ? shown : (shown?.ours ?? null);
        this.#put(replica, { user, state, connection: null, node, renewedAt: now, ours });
        if (!shown || !sameBytes(shown.state, state)) this.#changed.set(replica, { replica, user, state });
      }
    }
    return this.#changed.size > 0;
  }

  /** Lets go of those whose node is silent. True when there were any. */
  expire(now: Millis): boolean {
    if (this.#elsewhere > 0) {
      this.#drop(({ node, renewedAt }) => node !== null && now - renewedAt >= LOST_AFTER_MS);
    }
    return this.#changed.size > 0;
  }

  #drop(isGone: (shown: Shown) => boolean): void {
    for (const [replica, shown] of this.#states) if (isGone(shown)) this.#lose(replica, shown.user);
  }

  /** The node that held it has it no longer. */
  #lose(replica: ReplicaId, user: UserId): void {
    const ours = this.#states.get(replica)?.ours ?? null;
    const change = { replica, user, state: ours && ours.state };
    this.#put(replica, ours);
    this.#changed.set(replica, change);
    if (ours) this.#ownChanged.set(replica, change);
  }

  #put(replica: ReplicaId, next: Shown | null): void {
    this.#count(this.#states.get(replica), -1);
    if (next) this.#states.set(replica, next);
    else this.#states.delete(replica);
    this.#count(next, 1);
  }

  #count(shown: Shown | null | undefined, sign: 1 | -1): void {
    if (!shown?.node) return;
    this.#elsewhere += sign;
    this.#elsewhereBytes += sign * (shown.state.length + SHOWN_BYTES);
  }

  /** The frame of all that changed since the last call, if anything did. */
  takeDelta(page: PageId): Uint8Array | undefined {
    if (this.#changed.size === 0) return undefined;
    const states = [...this.#changed.values()];
    this.#changed.clear();
    return encodeServerMessage({ kind: 'presence', page, states });
  }

  /** What other nodes are to hear of that changed here. */
  takeOwnChanges(): WirePresence[] {
    const states = [...this.#ownChanged.values()];
    this.#ownChanged.clear();
    return states;
  }

  /** Everybody who is on this node. */
  own(): WirePresence[] {
    const own = [...this.#states].filter(([, { node }]) => node === null);
    return own.map(([replica, { user, state }]) => ({ replica, user, state }));
  }

  /** The frame of everybody, for one who just came; none when nobody shows anything. */
  full(page: PageId): Uint8Array | undefined {
    if (this.#states.size === 0) return undefined;
    const states = [...this.#states].map(([replica, { user, state }]) => ({ replica, user, state }));
    return encodeServerMessage({ kind: 'presence', page, states });
  }
}

const isDoubted = ({ node, renewedAt }: Shown, now: Millis): boolean =>
  node !== null && now - renewedAt >= DOUBTED_AFTER_MS;

/** Objects, ids and places in Maps of one who is elsewhere. */
const SHOWN_BYTES = 300;
