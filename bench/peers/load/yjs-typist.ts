/**
 * A typing client of the servers that speak y-protocols, and of the bare relays: sends updates of one character each,
 * written byte by byte, and reads which characters of whom arrive. Clocks have to follow one another without a gap.
 *
 *     plain:      [sync = 0] [step] [bytes]                      hocuspocus:  [name] the same, and messages of its own
 *     step: 0 state vector, asks for a page; 1 the page; 2 an update
 */
import * as Y from 'yjs';
import { expectedText, writeKeystroke } from '../../lib/keystroke.ts';
import { BenchError, must } from '../../lib/must.ts';
import { RawSocket, SMALL_HEAD_BYTES, writeSmallHead } from '../../lib/raw-socket.ts';
import type { Hearing, Typist } from '../../load/load-run.ts';
import { EditRing } from './edit-ring.ts';
import type { PeerPage, YjsWire } from './plan.ts';
import { readTo, readTyped, readVarUint } from './yjs-updates.ts';
import { answerStep1, KIND, openingFrames, wirePrefix } from './yjs-wire.ts';

const FRAME_MAX = SMALL_HEAD_BYTES + 125;
const OUT_BYTES = 64 * FRAME_MAX;

export interface YjsPlace {
  readonly page: PeerPage;
  readonly slot: number;
  readonly hears: number;
  /** The page's clients by slot. */
  readonly clients: YjsTypist[];
  readonly hearing: Hearing;
  /** Keeps what it is sent, and checks after the run what text that makes. */
  readonly isWitness: boolean;
}

export class YjsTypist implements Typist {
  readonly #place: YjsPlace;
  readonly #yjsClient: number;
  readonly #wire: YjsWire;
  readonly #prefix: Uint8Array;
  readonly #out = new Uint8Array(OUT_BYTES);
  readonly #edits = new EditRing();
  readonly #kept: Uint8Array[] = [];
  #socket!: RawSocket;
  #outLength = 0;
  #onOpen: (() => void) | undefined;
  #echoed = 0;
  #got = 0;

  private constructor(wire: YjsWire, place: YjsPlace) {
    this.#place = place;
    this.#wire = wire;
    this.#prefix = wirePrefix(wire, place.page.name);
    this.#yjsClient = place.page.yjsBase + place.slot;
  }

  static async open(url: string, wire: YjsWire, place: YjsPlace): Promise<YjsTypist> {
    const client = new YjsTypist(wire, place);
    place.clients[place.slot] = client;
    const opened = new Promise<void>((resolve) => (client.#onOpen = resolve));
    client.#socket = await RawSocket.open(`${url}/${place.page.name}`, null, (bytes, from, to, socket) => {
      client.#socket = socket;
      client.#message(bytes, from, to);
    });
    // A relay has nothing to answer.
    if (wire === 'relay') return client;
    client.#socket.write(openingFrames(wire, place.page.name));
    await opened;
    return client;
  }

  get typed(): number {
    return this.#edits.count;
  }

  get outstanding(): number {
    const { clients, hears } = this.#place;
    return Math.max(this.typed - this.#echoed, clients[hears]!.typed - this.#got);
  }

  listen(): void {}

  close(): void {
    this.#socket.close();
  }

  type(dueAt: number): void {
    const out = this.#out;
    const from = this.#outLength;
    const clock = this.#edits.add(dueAt);
    let at = from + SMALL_HEAD_BYTES;
    out.set(this.#prefix, at);
    at += this.#prefix.length;
    out[at++] = KIND.sync;
    out[at++] = KIND.update;
    const to = writeKeystroke(out, at + 1, this.#yjsClient, clock);
    out[at] = to - at - 1;
    writeSmallHead(out, from, to - from - SMALL_HEAD_BYTES);
    this.#outLength = to;
    if (to + FRAME_MAX > OUT_BYTES) this.flush();
  }

  flush(): void {
    if (this.#outLength === 0) return;
    // A copy: a write that does not go out at once keeps its bytes.
    this.#socket.write(Buffer.from(this.#out.subarray(0, this.#outLength)));
    this.#outLength = 0;
  }

  verify(): void {
    if (!this.#place.isWitness) return;
    const doc = new Y.Doc();
    for (const update of this.#kept) Y.applyUpdate(doc, update);
    const typed = this.#place.clients.map((client) => [client.#yjsClient, client.typed] as const);
    const text = doc.getText('text').toString();
    doc.destroy();
    must(text === expectedText(new Map(typed)), 'what a client was sent adds up to the text that was typed');
  }

  #message(bytes: Uint8Array, from: number, to: number): void {
    const at = from + this.#prefix.length;
    const kind = bytes[at]!;
    if (kind === KIND.sync || kind === KIND.syncReply) return this.#sync(bytes, at + 1, to);
    const isOfHocuspocus = kind === KIND.auth || kind === KIND.syncStatus;
    if (kind !== KIND.awareness && !(this.#wire === 'hocuspocus' && isOfHocuspocus)) throw new BenchError(`a client was told kind ${kind}`);
    if (kind === KIND.auth && bytes[at + 1] !== KIND.authenticated) throw new BenchError('a client was not let in');
  } // prettier-ignore

  #sync(bytes: Uint8Array, at: number, to: number): void {
    const step = bytes[at]!;
    if (step === KIND.step1) return this.#socket.send(answerStep1(this.#prefix));
    const length = readVarUint(bytes, at + 1);
    const from = readTo();
    if (step === KIND.step2) return this.#onOpen?.();
    if (from + length !== to) throw new BenchError('a message is as long as its update');
    if (this.#place.isWitness) this.#kept.push(Uint8Array.from(bytes.subarray(from, to)));
    readTyped(bytes, from, to, this.#typed);
    this.flush();
  }

  /** Some client of the page typed. */
  readonly #typed = (yjsClient: number, clock: number, characters: number): void => {
    const { page, slot: own, hears, clients, hearing } = this.#place;
    const slot = yjsClient - page.yjsBase;
    if (slot === hears) {
      if (clock !== this.#got) throw new BenchError(`character ${clock} came after ${this.#got}`);
      this.#got += characters;
      const edits = clients[slot]!.#edits;
      for (let i = clock; i < this.#got; i++) hearing.fromPrevious(edits.dueAt(i));
    }
    if (slot !== own) return;
    if (clock !== this.#echoed) throw new BenchError(`echo ${clock} came after ${this.#echoed}`);
    for (let i = 0; i < characters; i++) {
      this.#echoed++;
      hearing.own(this);
    }
  };
}
