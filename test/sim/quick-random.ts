/**
 * Imported before all else: Yjs names every document by random bytes that it asks the platform for. Nothing of ours depends
 * on them (clients write under ids of their own), but from here they come quickly, and the same in every run.
 */
import { webcrypto } from 'node:crypto';
import { seededRandom } from '../../src/base/random.ts';

const random = seededRandom(1);

webcrypto.getRandomValues = ((target: Uint8Array | Uint32Array) => {
  const most = target.BYTES_PER_ELEMENT === 1 ? 8 : 0;
  for (let i = 0; i < target.length; i++) target[i] = random.uint32() >>> (most && 24);
  return target;
}) as typeof webcrypto.getRandomValues;
