/**
 * The frames of what a page is told before its commit: first seq 0. Pure.
 */
import { encodeServerMessage } from '../protocol/encode.ts';
import { type PageId, seq } from '../protocol/ids.ts';
import type { WireName } from '../protocol/messages.ts';
import type { StoredChange } from '../persistence/log-store.ts';
import { frameFrom, framesOf } from './telling.ts';

const VOLATILE = seq(0);

/** The first CHANGES frame of these changes with first seq 0, and its last change. */
export function volatileFrame(page: PageId, changes: readonly StoredChange[]): { frame: Uint8Array; last: StoredChange } {
  const { frame, next } = frameFrom(page, changes, 0, VOLATILE);
  return { frame, last: changes[next - 1]! };
} // prettier-ignore

/** CHANGES frames with first seq 0: told before their commit. */
export const volatileFrames = (page: PageId, changes: readonly StoredChange[]): Uint8Array[] =>
  framesOf(page, changes, () => VOLATILE);

/** COMMITTED with first seq 0: told before their commit, and refused after all. */
export const withdrawnFrame = (page: PageId, changes: readonly WireName[]): Uint8Array =>
  encodeServerMessage({ kind: 'committed', page, firstSeq: VOLATILE, changes });
