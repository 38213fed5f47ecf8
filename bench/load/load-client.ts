/**
 * One typing client of the load generator: a socket that sends keystrokes and reads what its page is told. Made to be
 * cheap: frames are written byte by byte into place, and of CHANGES only what is needed is read. It understands no
 * other change than a keystroke of its own kind, and says so if it meets one.
 *
 * The last byte of a replica id is its client's slot on the page, so an entry names its sender.
 */
import { OP } from '../../src/document/ops.ts';
import { idToBytes } from '../../src/protocol/ids.ts';
import { CLIENT_KIND, SERVER_KIND } from '../../src/protocol/messages.ts';
import { writeKeystroke } from '../lib/keystroke.ts';
import { BenchError } from '../lib/must.ts';
import { RawSocket, SMALL_HEAD_BYTES, writeSmallHead } from '../lib/raw-socket.ts';
import { opening } from '../lib/joiner.ts';
import type { Hearing, Typist } from './load-run.ts';
import type { LoadClient } from './orders.ts';

const FRAME_MAX = SMALL_HEAD_BYTES + 125;
const OUT_BYTES = 64 * FRAME_MAX;
const ID_HEAD = 2;
const OPS_TO_UPDATE = 3 + ID_HEAD + 16;
/** Outstanding edits of one client whose due moments are remembered. */
const RING = 1 << 13;

export interface TypistPlace {
  readonly slot: number;
  /** The slot that it listens to. */
  readonly hears: number;
  /** Collects the page's clients by slot. */
  readonly page: TypingClient[];
  readonly hearing: Hearing;
  /** Which edits count: those in the log, or all that people are told of. */
  readonly counts: 'durable' | 'told';
}

let cursor = 0;

function uint(bytes: Uint8Array): number {
  const tag = bytes[cursor++]!;
  if (tag < 0x80) return tag;
  let length = 0;
  if (tag === 0xcc) length = 1;
  else if (tag === 0xcd) length = 2;
  else if (tag === 0xce) length = 4;
  else if (tag === 0xcf) length = 8;
  else throw new BenchError(`no integer: tag ${tag}`);
  let value = 0;
  for (; length > 0; length--) value = value * 256 + bytes[cursor++]!;
  return value;
}

function arrayLength(bytes: Uint8Array): number {
  const tag = bytes[cursor++]!;
  if (tag !== 0xdc) return tag - 0x90;
  cursor += 2;
  return (bytes[cursor - 2]! << 8) | bytes[cursor - 1]!;
}

function putUint(target: Uint8Array, at: number, value: number): number {
  const bytes = value < 0x80 ? 0 : value < 0x100 ? 1 : value < 0x10000 ? 2 : value < 2 ** 32 ? 4 : 8;
  if (bytes === 0) {
    target[at] = value;
    return at + 1;
  }
  target[at++] = bytes === 1 ? 0xcc : bytes === 2 ? 0xcd : bytes === 4 ? 0xce : 0xcf;
  for (let i = bytes - 1, rest = value; i >= 0; i--, rest = Math.floor(rest / 256))
    target[at + i] = rest % 256;
  return at + bytes;
}

export class TypingClient implements Typist {
  readonly #place: TypistPlace;
  readonly #yjsClient: number;
  readonly #opsHead: Uint8Array;
  readonly #out = new Uint8Array(OUT_BYTES);
  readonly #dueAt = new Float64Array(RING);
  #outLength = 0;
  #socket!: RawSocket;
  #onOpen: (() => void) | undefined;
  #stampMs = 0;
  #stampCounter = 0;
  #n = 0;
  /** Of its own edits, and of those of the client that it listens to: how many have reached it. */
  #echoed = 0;
  #got = 0;

  private constructor(plan: LoadClient, place: TypistPlace) {
    this.#place = place;
    this.#yjsClient = plan.yjsClient;
    this.#opsHead = Uint8Array.of(0x91, 0x93, OP.text, 0xc4, 16, ...idToBytes(plan.block));
  }

  /** Connects and opens the page. */
  static async open(pageId: string, plan: LoadClient, place: TypistPlace): Promise<TypingClient> {
    const client = new TypingClient(plan, place);
    place.page[place.slot] = client;
    const opened = new Promise<void>((resolve) => (client.#onOpen = resolve));
    client.#socket = await RawSocket.open(plan.url, plan.token, (bytes, from) =>
      client.#message(bytes, from),
    );
    client.#socket.write(opening(plan.replica as never, pageId as never, false));
    await opened;
    return client;
  }

  get typed(): number {
    return this.#n;
  }

  get outstanding(): number {
    const { page, hears } = this.#place;
    return Math.max(this.#n - this.#echoed, page[hears]!.typed - this.#got);
  }

  close(): void {
    this.#socket.close();
  }

  type(dueAt: number, wallMs: number): void {
    const out = this.#out;
    const from = this.#outLength;
    const clock = this.#n++;
    this.#dueAt[clock % RING] = dueAt;
    if (wallMs > this.#stampMs) {
      this.#stampMs = wallMs;
      this.#stampCounter = 0;
    } else this.#stampCounter++;
    let at = from + SMALL_HEAD_BYTES;
    out[at++] = 0x96;
    out[at++] = CLIENT_KIND.change;
    out[at++] = 1;
    at = putUint(out, at, this.#n);
    out[at++] = 0x92;
    at = putUint(out, at, this.#stampMs);
    at = putUint(out, at, this.#stampCounter);
    out.set(this.#opsHead, at);
    at += this.#opsHead.length;
    out[at] = 0xc4;
    const updateFrom = at + 2;
    const updateTo = writeKeystroke(out, updateFrom, this.#yjsClient, clock);
    out[at + 1] = updateTo - updateFrom;
    out[updateTo] = 0xc0;
    writeSmallHead(out, from, updateTo + 1 - from - SMALL_HEAD_BYTES);
    this.#outLength = updateTo + 1;
    if (this.#outLength + FRAME_MAX > OUT_BYTES) this.flush();
  }

  flush(): void {
    if (this.#outLength === 0) return;
    // A copy: a write that does not go out at once keeps its bytes.
    this.#socket.write(Buffer.from(this.#out.subarray(0, this.#outLength)));
    this.#outLength = 0;
  }

  #message(bytes: Uint8Array, from: number): void {
    switch (bytes[from + 1]) {
      case SERVER_KIND.changes:
        // Until the page is open these are its past.
        if (!this.#onOpen) this.#changes(bytes, from);
        return;
      case SERVER_KIND.committed:
        if (!this.#onOpen) this.#committed(bytes, from);
        return;
      case SERVER_KIND.subscribed:
        // What follows of the past arrives before the first own edit is echoed, and is skipped by its replica.
        this.#onOpen?.();
        return;
      case SERVER_KIND.welcome:
      case SERVER_KIND.snapshot:
      case SERVER_KIND.presence:
      case SERVER_KIND.hash:
        return;
      default:
        throw new BenchError(`a client was told kind ${bytes[from + 1]}: ${Buffer.from(bytes.subarray(from, from + 80)).toString('latin1')}`); // prettier-ignore
    }
  }

  listen(): void {
    this.#onOpen = undefined;
  }

  /** Only what is durable counts: an edit that was told before its commit is heard of when COMMITTED names it. */
  #changes(bytes: Uint8Array, from: number): void {
    cursor = from + 2 + ID_HEAD + 16;
    if (uint(bytes) === 0 && this.#place.counts === 'durable') return;
    for (let count = arrayLength(bytes); count > 0; count--) {
      const slot = bytes[cursor + 1 + ID_HEAD + 15]!;
      cursor += 1 + ID_HEAD + 16;
      const n = uint(bytes);
      cursor++;
      uint(bytes);
      uint(bytes);
      // The author's name is short.
      cursor += 1 + (bytes[cursor]! & 0x1f);
      uint(bytes);
      cursor += OPS_TO_UPDATE;
      if (bytes[cursor] !== 0xc4) throw new BenchError('a change that is no keystroke');
      cursor += 2 + bytes[cursor + 1]!;
      this.#entry(slot, n);
    }
    this.flush();
  }

  #committed(bytes: Uint8Array, from: number): void {
    cursor = from + 2 + ID_HEAD + 16;
    if (uint(bytes) === 0) throw new BenchError('an edit was withdrawn');
    for (let count = arrayLength(bytes); count > 0; count--) {
      const slot = bytes[cursor + 1 + ID_HEAD + 15]!;
      cursor += 1 + ID_HEAD + 16;
      const n = uint(bytes);
      cursor++;
      uint(bytes);
      uint(bytes);
      this.#entry(slot, n);
    }
    this.flush();
  }

  #entry(slot: number, n: number): void {
    const { slot: own, hears, page, hearing, counts } = this.#place;
    if (slot === hears) this.#heard(page[slot]!, n);
    if (slot !== own || (counts === 'told' && n <= this.#echoed)) return;
    if (n !== this.#echoed + 1) throw new BenchError(`echo ${n} came after ${this.#echoed}`);
    this.#echoed = n;
    hearing.own(this);
  }

  #heard(sender: TypingClient, n: number): void {
    // It was told before its commit, and is now told of that.
    if (this.#place.counts === 'told' && n <= this.#got) return;
    if (n !== this.#got + 1) throw new BenchError(`edit ${n} came after ${this.#got}`);
    this.#got = n;
    this.#place.hearing.fromPrevious(sender.#dueAt[(n - 1) % RING]!);
  }
}
