/**
 * Short ways to make ids, stamps and keys in tests of documents and actors. Importing it also pins fast-check's seed,
 * so that a property that fails here fails everywhere, with the same counterexample.
 */
import fc from 'fast-check';
import type { Stamp } from '../../src/document/hlc.ts';
import { MemoryDatabase } from '../../src/persistence/memory-log-store.ts';
import type { BlockId, PageId, ReplicaId, UserId } from '../../src/protocol/ids.ts';

fc.configureGlobal({ seed: 20_250_601 });

/** A UUID that shows its number: `uuid(10)` is 00000000-0000-7000-8000-00000000000a. */
export function uuid<T extends string>(n: number, kind = 0): T {
  const tail = n.toString(16).padStart(12, '0');
  return `${kind.toString(16).padStart(8, '0')}-0000-7000-8000-${tail}` as T;
}

export const PAGE = uuid<PageId>(0);
/** The first of every database in memory. */
export const { epoch: EPOCH } = new MemoryDatabase();
export const ROOT = PAGE as string as BlockId;
export const blockId = (n: number): BlockId => uuid<BlockId>(n, 1);
export const replicaId = (n: number): ReplicaId => uuid<ReplicaId>(n, 2);
export const userId = (name: string): UserId => name as UserId;

export const stampOf = (ms: number, counter = 0, replica = 1): Stamp => ({
  ms,
  counter,
  replica: replicaId(replica),
});
