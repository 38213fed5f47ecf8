/**
 * A 64-bit hash of a page's confirmed state, kept in step with every op, so that two copies at the same seq can be
 * compared by eight bytes. A function of the log's prefix alone: the same whether a copy folded the log from its start,
 * or took a snapshot and the changes after it; merging and compacting texts does not change it.
 *
 *     state =  XOR over all blocks of  type ⊕ place ⊕ deleted ⊕ each prop ⊕ text
 *     register = mix(block, which, value, stamp)        text = chain over (stamp, bytes) of each update it took
 *
 * XOR, so that a register is taken out as it is put in, and order does not matter. What is kept of text is a chain, in
 * the snapshot too: it cannot be found again from merged text.
 *
 * The mixing is MurmurHash3's. It finds accidents (a lost op, another winner, one wrong bit), not malice: values, ids and
 * stamps enter as 32 bits each, so a wrong one stays unseen once in 2^32.
 */
import type { BlockId, ReplicaId } from '../protocol/ids.ts';
import { WIRE } from '../protocol/limits.ts';
import type { Stamp } from './hlc.ts';
import { finish, scramble, step, stepA, stepB } from './murmur.ts';
import { hashText } from './value-hash.ts';

const WHICH = { type: 1, place: 2, deleted: 3, prop: 4 } as const;

/** What the hash reads of a block, and keeps there. */
export interface HashedBlock {
  readonly id: BlockId;
  /** 0: not asked for yet. */
  idHash: number;
  readonly type: string;
  readonly typeStamp: Stamp;
  readonly parent: BlockId | null;
  readonly key: string;
  readonly placeStamp: Stamp;
  readonly deleted: boolean;
  readonly deletedStamp: Stamp;
  readonly props: ReadonlyMap<string, HashedProp>;
  readonly text: TextChain | null;
}

export interface HashedProp {
  /** Of key and value. */
  readonly hash: number;
  readonly stamp: Stamp;
}

/** What the updates that a text took add up to; zero: none yet. */
export interface TextChain {
  chainA: number;
  chainB: number;
}

/** The stamps of one change are one object, and the same few replicas come again and again. */
let lastStamp: Stamp | null = null;
let lastStampHash = 0;
const REPLICAS_MAX = 1024;
const replicaHashes = new Map<ReplicaId, number>();

function hashReplica(replica: ReplicaId): number {
  let hash = replicaHashes.get(replica);
  if (hash !== undefined) return hash;
  // Only a cache: emptied when it is large.
  if (replicaHashes.size >= REPLICAS_MAX) replicaHashes.clear();
  replicaHashes.set(replica, (hash = hashText(replica, 0)));
  return hash;
}

function hashStamp(stamp: Stamp): number {
  if (stamp === lastStamp) return lastStampHash;
  const { ms, counter, replica } = stamp;
  lastStampHash = step(step(step(hashReplica(replica), counter), ms | 0), Math.floor(ms / 0x1_0000_0000));
  lastStamp = stamp;
  return lastStampHash;
}

/** The block's id, hashed when it is first asked for. */
function idOf(block: HashedBlock): number {
  return (block.idHash ||= hashText(block.id, 0) || 1);
}

export class StateHash {
  #a = 0;
  #b = 0;

  /** Puts a register in, or takes it out. */
  #toggle(block: HashedBlock, which: number, value: number, stamp: Stamp): void {
    const [id, val, at] = [scramble(idOf(block)), scramble(value), scramble(hashStamp(stamp))];
    this.#a ^= finish(stepA(stepA(stepA(which, id), val), at));
    this.#b ^= finish(stepB(stepB(stepB(which, id), val), at));
  }

  toggleType(block: HashedBlock): void {
    this.#toggle(block, WHICH.type, hashText(block.type, 0), block.typeStamp);
  }

  togglePlace(block: HashedBlock): void {
    const value = hashText(block.key, block.parent === null ? 0 : hashText(block.parent, 0));
    this.#toggle(block, WHICH.place, value, block.placeStamp);
  }

  toggleDeleted(block: HashedBlock): void {
    this.#toggle(block, WHICH.deleted, block.deleted ? 1 : 0, block.deletedStamp);
  }

  toggleProp(block: HashedBlock, { hash, stamp }: HashedProp): void {
    this.#toggle(block, WHICH.prop, hash, stamp);
  }

  #toggleText({ text }: HashedBlock): void {
    if (!text) return;
    this.#a ^= text.chainA;
    this.#b ^= text.chainB;
  }

  /** Puts a whole block in, or takes it out. */
  toggleBlock(block: HashedBlock): void {
    this.toggleType(block);
    this.togglePlace(block);
    this.toggleDeleted(block);
    for (const prop of block.props.values()) this.toggleProp(block, prop);
    this.#toggleText(block);
  }

  /** The block's text took an update. */
  appendText(block: HashedBlock, stamp: Stamp, update: Uint8Array): void {
    this.#toggleText(block);
    this.chainText(block, stamp, update);
    this.#toggleText(block);
  }

  /** The same for a block that is not in the hash yet. */
  chainText(block: HashedBlock, stamp: Stamp, update: Uint8Array): void {
    const text = block.text!;
    const { length } = update;
    let k = scramble(idOf(block) ^ hashStamp(stamp));
    let a = stepA(text.chainA, k);
    let b = stepB(text.chainB, k);
    let i = 0;
    for (; i + 3 < length; i += 4) {
      k = scramble(update[i]! | (update[i + 1]! << 8) | (update[i + 2]! << 16) | (update[i + 3]! << 24));
      a = stepA(a, k);
      b = stepB(b, k);
    }
    k = length;
    for (; i < length; i++) k = (k << 8) | update[i]!;
    k = scramble(k);
    text.chainA = finish(stepA(a, k));
    text.chainB = finish(stepB(b, k));
  }

  toBytes(): Uint8Array {
    const bytes = new Uint8Array(WIRE.stateHashBytes);
    const view = new DataView(bytes.buffer);
    view.setInt32(0, this.#a);
    view.setInt32(4, this.#b);
    return bytes;
  }
}

/** The hash made anew of all blocks of a state (the chains of their texts are taken as they are). Costs the page. */
export function stateHash(blocks: Iterable<HashedBlock>): StateHash {
  const hash = new StateHash();
  for (const block of blocks) hash.toggleBlock(block);
  return hash;
}

/** As it stands in logs and events. */
export const hashHex = (hash: Uint8Array): string =>
  Array.from(hash, (byte) => byte.toString(16).padStart(2, '0')).join('');
