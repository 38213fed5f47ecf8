/**
 * A client that opens a page over y-protocols and holds nothing: asks by its empty state vector, and keeps the answer as
 * bytes, to be read outside the timed part.
 */
import * as Y from 'yjs';
import { RawSocket } from '../../lib/raw-socket.ts';
import type { YjsWire } from '../load/plan.ts';
import { readTo, readVarUint } from '../load/yjs-updates.ts';
import { answerStep1, KIND, openingFrames, wirePrefix } from '../load/yjs-wire.ts';

export interface JoinedYjs {
  /** From the write of the question to the last byte of the page. */
  readonly ms: number;
  readonly socket: RawSocket;
  /** Reads the page as it was told. */
  read<T>(of: (doc: Y.Doc) => T): T;
}

/** `content`: a frame that is sent first, by who makes the page. */
export async function joinYjs(url: string, wire: YjsWire, page: string, content?: Uint8Array): Promise<JoinedYjs> {
  const prefix = wirePrefix(wire, page);
  let whole: (update: Uint8Array) => void = () => {};
  const done = new Promise<Uint8Array>((resolve) => (whole = resolve));
  const socket = await RawSocket.open(`${url}/${page}`, null, (bytes, from, _to, asked) => {
    const at = from + prefix.length;
    if (bytes[at] !== KIND.sync && bytes[at] !== KIND.syncReply) return;
    // Its own state is empty: the maker's too, whose page is on its way.
    if (bytes[at + 1] === KIND.step1) return asked.send(answerStep1(prefix));
    if (bytes[at + 1] !== KIND.step2) return;
    const length = readVarUint(bytes, at + 2);
    whole(bytes.slice(readTo(), readTo() + length));
  });
  const opening = openingFrames(wire, page);
  if (content && wire === 'relay') socket.write(content);
  const from = performance.now();
  socket.write(opening);
  const update = await done;
  const ms = performance.now() - from;
  if (content && wire !== 'relay') socket.write(content);
  const read = <T>(of: (doc: Y.Doc) => T): T => {
    const doc = new Y.Doc();
    Y.applyUpdate(doc, update);
    const value = of(doc);
    doc.destroy();
    return value;
  };
  return { ms, socket, read };
} // prettier-ignore
