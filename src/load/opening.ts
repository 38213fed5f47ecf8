/**
 * The two frames that open a page; they need no answer in between.
 */
import { encodeClientMessage } from '../protocol/encode.ts';
import type { EpochId, PageId, ReplicaId, Seq } from '../protocol/ids.ts';
import { PROTOCOL_VERSION } from '../protocol/messages.ts';
import { clientFrame } from './socket.ts';

/** `from`: where a state held already stands; null: nothing is held. `create`: the kind of page to make if there is none. */
export function opening(
  replica: ReplicaId,
  page: PageId,
  from: { readonly since: Seq; readonly epoch: EpochId } | null,
  create: 'blocks' | null,
): Uint8Array {
  const hello = encodeClientMessage({ kind: 'hello', version: PROTOCOL_VERSION, replica, clientName: 'octavo-load' });
  const subscribe = encodeClientMessage({ kind: 'subscribe', ch: 1, page, since: from?.since ?? null, epoch: from?.epoch ?? null, create });
  return Buffer.concat([clientFrame(hello), clientFrame(subscribe)]);
} // prettier-ignore
