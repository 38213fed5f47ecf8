/**
 * A client of another make, and not a good one: it speaks the protocol by hand, types into a block of its own, loses an
 * update now and then, and simply drops what is refused and goes on. The server must not let its text into the log where
 * it does not continue; and nobody else may come to harm.
 */
import * as Y from 'yjs';
import { encodeOps, type OpDraft } from '../../src/document/ops.ts';
import { decodeServerMessage, isMalformed } from '../../src/protocol/decode.ts';
import { encodeClientMessage } from '../../src/protocol/encode.ts';
import { type BlockId, newId, type PageId, type ReplicaId } from '../../src/protocol/ids.ts';
import type { ServerMessage, WireStamp } from '../../src/protocol/messages.ts';
import type { Socket } from '../../src/client/socket.ts';
import type { Dice } from './dice.ts';
import { opKey } from './journal.ts';
import type { PersonWorld } from './person.ts';
import { START_MS } from './timeline.ts';

interface Pending {
  n: number;
  readonly hlc: WireStamp;
  readonly ops: Uint8Array;
}

const COME_BACK_MS = 300;
const WORDS = ['and ', 'so ', 'on'];

export class NaiveWriter {
  readonly #world: PersonWorld;
  readonly #index: number;
  readonly #dice: Dice;
  readonly #page: PageId;
  readonly #replica: ReplicaId;
  readonly #block: BlockId;
  #doc = new Y.Doc();
  #socket: Socket | null = null;
  #isOpen = false;
  #pending: Pending[] = [];
  #lastN = 0;

  constructor(world: PersonWorld, index: number, dice: Dice) {
    this.#world = world;
    this.#index = index;
    this.#dice = dice;
    this.#page = world.pages[0]!;
    this.#replica = newId<ReplicaId>(START_MS, dice.random);
    this.#block = newId<BlockId>(START_MS, dice.random);
    const parent = this.#page as string as BlockId;
    this.#make([
      { op: 'insert', block: this.#block, parent, key: 'a0', type: 'naive', props: {}, text: null },
    ]);
    this.#begin();
    this.#connect();
    this.#typeLater();
  }

  /** A document of its own: what others wrote in the block is none of its business. */
  #begin(): void {
    this.#doc.destroy();
    this.#doc = new Y.Doc();
    this.#doc.clientID = this.#dice.random.uint32();
  }

  #make(drafts: OpDraft[]): void {
    const hlc = { ms: START_MS + Math.floor(this.#world.timeline.now), counter: 0 };
    const change = { n: this.#lastN + this.#pending.length + 1, hlc, ops: encodeOps(drafts) };
    this.#pending.push(change);
    const keys = drafts.map((draft) => opKey(draft.op, 'block' in draft ? draft.block : null));
    this.#world.journal.made(this.#page, this.#replica, keys);
    // What becomes of it is not this client's care.
    this.#world.journal.abandoned(this.#page, this.#replica, keys);
    if (this.#isOpen) this.#send(change);
  }

  #typeLater(): void {
    this.#world.timeline.after(this.#dice.wait(700), () => {
      if (!this.#world.isActive) return this.#socket?.close(1000);
      this.#type();
      this.#typeLater();
    });
  }

  #type(): void {
    const before = Y.encodeStateVector(this.#doc);
    const text = this.#doc.getText('text');
    text.insert(this.#dice.below(text.length + 1), this.#dice.pick(WORDS));
    const update = Y.encodeStateAsUpdate(this.#doc, before);
    if (this.#dice.chance(0.15)) return;
    this.#make([{ op: 'text', block: this.#block, update }]);
  }

  #connect(): void {
    if (!this.#world.isActive) return;
    this.#isOpen = false;
    this.#socket = this.#world.network.connect(this.#index, this.#world.nodesFor(this.#index), this.#world.tokenFor(`user-${this.#index}`), {
      open: () => {
        this.#socket!.send(encodeClientMessage({ kind: 'hello', version: 1, replica: this.#replica, clientName: 'naive' }));
        this.#socket!.send(encodeClientMessage({ kind: 'subscribe', ch: 1, page: this.#page, since: null, epoch: null, create: 'blocks' }));
      },
      message: (bytes) => {
        const message = decodeServerMessage(bytes);
        if (!isMalformed(message)) this.#hear(message);
      },
      close: () => void this.#world.timeline.after(COME_BACK_MS, () => this.#connect()),
    });
  } // prettier-ignore

  #send({ n, hlc, ops }: Pending): void {
    this.#socket!.send(encodeClientMessage({ kind: 'change', ch: 1, n, hlc, ops, replica: null }));
  }

  #hear(message: ServerMessage): void {
    switch (message.kind) {
      case 'subscribed':
        this.#isOpen = true;
        this.#confirm(message.lastN);
        return this.#sendFrom(0);
      case 'changes': {
        if (message.firstSeq === 0) return;
        for (const { replica, n } of message.changes) if (replica === this.#replica) this.#confirm(n);
        return;
      }
      case 'ack':
        return this.#confirm(message.n);
      case 'reject':
        return this.#rejected(message.n, message.code);
      case 'error':
        // Whatever it is: away, and back.
        return this.#socket!.close(1000);
    }
  }

  #confirm(n: number): void {
    this.#lastN = Math.max(this.#lastN, n);
    this.#pending = this.#pending.filter((change) => change.n > n);
  }

  #rejected(n: number, code: string): void {
    const at = this.#pending.findIndex((change) => change.n === n);
    // Behind a refusal all are refused; they are sent again with the numbers that they have then.
    if (at < 0 || code === 'out_of_order') return;
    if (code === 'missing' || code === 'too_large') {
      this.#pending.splice(at, 1);
      if (this.#dice.chance(0.5)) this.#begin();
    }
    this.#pending.forEach((change, i) => {
      if (i >= at) change.n = n + i - at;
    });
    this.#world.timeline.after(100, () => this.#sendFrom(at));
  }

  #sendFrom(at: number): void {
    if (this.#isOpen) for (const change of this.#pending.slice(at)) this.#send(change);
  }
}
