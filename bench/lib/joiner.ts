/**
 * A new client, as far as measuring needs one: joins a page with nothing, in one write, and folds what it is sent into a
 * block table. It counts what that took on the wire, and is what every check of an outcome looks at.
 */
import { inflateSync } from 'node:zlib';
import * as Y from 'yjs';
import { BlockTable } from '../../src/document/blocks.ts';
import { decodeSnapshot } from '../../src/document/snapshot.ts';
import { decodeServerMessage, isMalformed } from '../../src/protocol/decode.ts';
import { encodeClientMessage } from '../../src/protocol/encode.ts';
import { type BlockId, newId, type PageId, type ReplicaId } from '../../src/protocol/ids.ts';
import { PROTOCOL_VERSION, type ServerMessage } from '../../src/protocol/messages.ts';
import { systemRandom } from '../../src/base/random.ts';
import { must } from './must.ts';
import { decoded } from './pages.ts';
import { clientFrame, RawSocket } from './raw-socket.ts';

export interface Joined {
  readonly head: number;
  /** From the write of HELLO and SUBSCRIBE to the last byte of the page. */
  readonly ms: number;
  readonly bytes: number;
  /** Frames this client had to send, and how often it had to wait for an answer before the next. */
  readonly framesSent: number;
  readonly roundTrips: number;
  readonly socket: RawSocket;
  readonly replica: ReplicaId;
  /** Decodes what came; not part of the time above. */
  table(): BlockTable;
}

export const newReplica = (): ReplicaId => newId<ReplicaId>(Date.now(), systemRandom);

/** The two frames that open a page: they need no answer in between. */
export function opening(replica: ReplicaId, page: PageId, create: boolean): Uint8Array {
  const hello = encodeClientMessage({ kind: 'hello', version: PROTOCOL_VERSION, replica, clientName: 'bench' });
  const kind = create ? 'blocks' : null;
  const subscribe = encodeClientMessage({ kind: 'subscribe', ch: 1, page, since: null, epoch: null, create: kind });
  return Buffer.concat([clientFrame(hello), clientFrame(subscribe)]);
} // prettier-ignore

type Of<K extends ServerMessage['kind']> = Extract<ServerMessage, { kind: K }>;

/** What a joiner hears besides the page. */
const APART: ReadonlySet<string> = new Set(['welcome', 'hash', 'changes', 'committed', 'presence']);

class Arriving {
  readonly snapshot: Of<'snapshot'>[] = [];
  readonly changes: Of<'changes'>[] = [];
  head: number | undefined;

  take(message: ServerMessage): void {
    if (message.kind === 'subscribed') this.head = message.head;
    else if (message.kind === 'snapshot') this.snapshot.push(message);
    // First seq 0: told before its commit; it counts when it is in the log.
    else if (message.kind === 'changes' && message.firstSeq > 0) this.changes.push(message);
    else must(APART.has(message.kind), `a joiner is not told ${message.kind}`);
  }

  get isWhole(): boolean {
    if (this.head === undefined) return false;
    const first = this.snapshot[0];
    if (first && this.snapshot.length < first.parts) return false;
    const last = this.changes.at(-1);
    return (last ? last.firstSeq + last.changes.length - 1 : (first?.seq ?? 0)) >= this.head;
  }

  table(page: PageId): BlockTable {
    const [first] = this.snapshot;
    const packed = Buffer.concat(this.snapshot.map(({ bytes }) => bytes));
    const table = first ? decodeSnapshot(page, inflateSync(packed)) : new BlockTable(page);
    for (const { changes } of this.changes) {
      for (const { hlc, replica, ops } of changes) {
        for (const op of decoded(ops)) table.apply(op, { ...hlc, replica });
      }
    }
    return table;
  }
}

/** Joins a page as a client that holds nothing. The socket stays open. */
export async function join(url: string, token: string, page: PageId, create = false): Promise<Joined> {
  const arriving = new Arriving();
  let whole: () => void = () => {};
  const done = new Promise<void>((resolve) => (whole = resolve));
  let open = true;
  const socket = await RawSocket.open(url, token, (bytes, from, to) => {
    if (!open) return;
    const message = decodeServerMessage(bytes.slice(from, to));
    if (isMalformed(message)) return must(false, message.malformed);
    arriving.take(message);
    if (!arriving.isWhole) return;
    open = false;
    whole();
  });
  const replica = newReplica();
  const from = performance.now();
  socket.write(opening(replica, page, create));
  await done;
  const ms = performance.now() - from;
  const { bytesIn: bytes } = socket;
  return {
    head: arriving.head!,
    ms,
    bytes,
    framesSent: 2,
    roundTrips: 1,
    socket,
    replica,
    table: () => arriving.table(page),
  };
}

/** What a person would read in a block. */
export function textOf(table: BlockTable, block: BlockId): string {
  const merged = table.get(block)?.text?.merged();
  const doc = new Y.Doc();
  if (merged) Y.applyUpdate(doc, merged);
  const text = doc.getText('text').toString();
  must(doc.store.pendingStructs === null, 'no part of a text is missing');
  doc.destroy();
  return text;
}
