/**
 * A typing client of ShareDB: the same keystroke as an operation of json0, `{ p: ['text', 17], si: 'a' }`. As in ShareDB's
 * own client at most one operation is under way; what is typed meanwhile is composed into the next one.
 *
 * The text of a page begins as one digit a client, and each types after its digit, so two never insert at one place:
 *
 *     0aaa1bb2ccccc3d         position of the client's next character: moved by what others insert before it
 */
import { BenchError, must } from '../../lib/must.ts';
import { letterAt } from '../../lib/keystroke.ts';
import { RawSocket } from '../../lib/raw-socket.ts';
import type { Hearing, Typist } from '../../load/load-run.ts';
import { EditRing } from './edit-ring.ts';
import type { PeerPage } from './plan.ts';
import { COLLECTION, expectedPageText, HANDSHAKE, type ShareDbMessage, type TextOp } from './sharedb-wire.ts';

export interface ShareDbPlace {
  readonly page: PeerPage;
  readonly slot: number;
  readonly hears: number;
  /** The page's clients by slot, and the slots by ShareDB's name for a client. */
  readonly clients: ShareDbTypist[];
  readonly slotBySource: Map<string, number>;
  readonly hearing: Hearing;
  /** Keeps what it is sent, and checks after the run what text that makes. */
  readonly isWitness: boolean;
}

export class ShareDbTypist implements Typist {
  readonly #place: ShareDbPlace;
  readonly #edits = new EditRing();
  readonly #kept: TextOp[] = [];
  #source = '';
  #socket!: RawSocket;
  #onOpen: (() => void) | undefined;
  #version = 0;
  #seq = 0;
  /** Where the next character goes, in the text as the server has it. */
  #position: number;
  /** Characters under way, in one operation. */
  #sent = 0;
  #echoed = 0;
  #got = 0;
  #first = '';

  private constructor(place: ShareDbPlace) {
    this.#place = place;
    this.#position = place.slot + 1;
  }

  static async open(url: string, place: ShareDbPlace): Promise<ShareDbTypist> {
    const client = new ShareDbTypist(place);
    place.clients[place.slot] = client;
    const opened = new Promise<void>((resolve) => (client.#onOpen = resolve));
    client.#socket = await RawSocket.open(url, null, (bytes, from, to, socket) => {
      client.#socket = socket;
      client.#message(JSON.parse(Buffer.from(bytes.buffer, bytes.byteOffset + from, to - from).toString()) as ShareDbMessage);
    });
    client.#socket.sendText(JSON.stringify(HANDSHAKE));
    await opened;
    return client;
  } // prettier-ignore

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
    this.#edits.add(dueAt);
  }

  flush(): void {
    const waiting = this.typed - this.#echoed;
    if (this.#sent > 0 || waiting === 0) return;
    this.#sent = waiting;
    let letters = '';
    for (let i = 0; i < waiting; i++) letters += String.fromCharCode(letterAt(this.#echoed + i));
    this.#socket.sendText(
      `{"a":"op","c":"${COLLECTION}","d":"${this.#place.page.name}","v":${this.#version},"seq":${++this.#seq},"x":{},` +
        `"op":[{"p":["text",${this.#position}],"si":"${letters}"}]}`,
    );
  }

  verify(): void {
    if (!this.#place.isWitness) return;
    let text = this.#first;
    for (const { p, si } of this.#kept) text = text.slice(0, p[1]) + si + text.slice(p[1]);
    const expected = expectedPageText(this.#place.clients.map(({ typed }) => typed));
    must(text === expected, 'what a client was sent adds up to the text that was typed');
  }

  #message(message: ShareDbMessage): void {
    if (message.error) throw new BenchError(`ShareDB refused: ${message.error.message}`);
    switch (message.a) {
      case 'init':
        return;
      case 'hs':
        this.#source = message.id!;
        this.#place.slotBySource.set(this.#source, this.#place.slot);
        return this.#socket.sendText(JSON.stringify({ a: 's', c: COLLECTION, d: this.#place.page.name }));
      case 's':
        this.#version = message.data!.v;
        this.#first = message.data!.data.text;
        return this.#onOpen!();
      case 'op':
        return this.#op(message);
      default:
        throw new BenchError(`a client was told ${message.a}`);
    }
  } // prettier-ignore

  #op({ v, src, op }: ShareDbMessage): void {
    if (v! < this.#version) return;
    if (v !== this.#version) throw new BenchError(`version ${v} came after ${this.#version - 1}`);
    this.#version++;
    if (src === this.#source) this.#acknowledged();
    else for (const one of op!) this.#foreign(src!, one);
    this.flush();
  }

  #acknowledged(): void {
    const letters = this.#sent;
    if (this.#place.isWitness) {
      const si = Array.from({ length: letters }, (_, i) => String.fromCharCode(letterAt(this.#echoed + i))).join('');
      this.#kept.push({ p: ['text', this.#position], si });
    }
    this.#position += letters;
    this.#echoed += letters;
    this.#sent = 0;
    for (let i = 0; i < letters; i++) this.#place.hearing.own(this);
  } // prettier-ignore

  #foreign(source: string, op: TextOp): void {
    const { hears, clients, slotBySource, hearing, isWitness } = this.#place;
    if (isWitness) this.#kept.push(op);
    const { length } = op.si;
    if (op.p[1] < this.#position) this.#position += length;
    if (slotBySource.get(source) !== hears) return;
    const edits = clients[hears]!.#edits;
    for (let i = 0; i < length; i++) hearing.fromPrevious(edits.dueAt(this.#got + i));
    this.#got += length;
  }
}
