/**
 * A client that opens a page to make it, or to see what is in it: folds what it is sent into a table of blocks. What every check of
 * an outcome looks at.
 */
import { inflateSync } from 'node:zlib';
import { type Random, systemRandom } from '../base/random.ts';
import { systemClock, withTimeout } from '../base/time.ts';
import { BlockTable } from '../document/blocks.ts';
import { decodeOps } from '../document/ops.ts';
import { decodeSnapshot } from '../document/snapshot.ts';
import { codeClass } from '../protocol/codes.ts';
import { decodeServerMessage, isMalformed } from '../protocol/decode.ts';
import { newId, type PageId, type ReplicaId } from '../protocol/ids.ts';
import type { Role, ServerMessage } from '../protocol/messages.ts';
import { LoadError } from './load-error.ts';
import { opening } from './opening.ts';
import { LoadSocket } from './socket.ts';
import { changeFrame } from './wire.ts';

type Of<K extends ServerMessage['kind']> = Extract<ServerMessage, { kind: K }>;

const PATIENCE_MS = 30_000;
const RETRY_MS = 200;
const newReplica = (random: Random) => newId<ReplicaId>(systemClock.now(), random);

export class Joiner {
  readonly #page: PageId;
  readonly #replica: ReplicaId;
  readonly #snapshot: Of<'snapshot'>[] = [];
  readonly #changes: Of<'changes'>[] = [];
  #socket: LoadSocket | null = null;
  #wake: () => void = () => {};
  #failure: LoadError | null = null;
  #offsetMs = 0;
  #echoed = 0;
  #bodies: readonly Uint8Array[] = [];
  #stampMs = 0;
  head: number | null = null;
  /** The last number in the log of the replica that it came as. */
  lastN = 0;
  role: Role | null = null;

  private constructor(page: PageId, replica: ReplicaId) {
    this.#page = page;
    this.#replica = replica;
  }

  /** Opens the page and waits until all of it is there. `as`: a replica whose last number is asked for. */
  static async open(url: URL, token: string, page: PageId, { create = false, as }: { create?: boolean; as?: ReplicaId } = {}): Promise<Joiner> {
    const joiner = new Joiner(page, as ?? newReplica(systemRandom));
    joiner.#socket = await LoadSocket.open(url, token, {
      message: (bytes, from, to) => joiner.#message(bytes.slice(from, to)),
      closed: (code, reason) => joiner.#failed(`the server closed the socket with ${code}${reason ? `: ${reason}` : ''}`),
    });
    joiner.#socket.write(opening(joiner.#replica, page, null, create ? 'blocks' : null));
    await joiner.#until(() => joiner.#isWhole, 'the page did not come');
    return joiner;
  } // prettier-ignore

  async #until(done: () => boolean, what: string): Promise<void> {
    const waiting = async () => {
      while (!done()) {
        if (this.#failure) throw this.#failure;
        await new Promise<void>((resolve) => (this.#wake = resolve));
      }
    };
    try {
      await withTimeout(
        waiting(),
        PATIENCE_MS,
        () => new LoadError(`${what} within ${PATIENCE_MS / 1000} s`),
      );
    } catch (error) {
      this.close();
      throw error;
    }
  }

  #failed(why: string): void {
    this.#failure ??= new LoadError(why);
    this.#wake();
  }

  #message(bytes: Uint8Array): void {
    const message = decodeServerMessage(bytes);
    if (isMalformed(message)) return;
    if (message.kind === 'welcome') this.#offsetMs = message.time - systemClock.now();
    else if (message.kind === 'subscribed') {
      this.head = message.head;
      this.lastN = message.lastN;
      this.role = message.role;
    } else if (message.kind === 'snapshot') {
      if (message.part === 0) this.#snapshot.length = 0;
      this.#snapshot.push(message);
    } else if (message.kind === 'changes' && message.firstSeq > 0) {
      this.#changes.push(message);
      for (const { replica, n } of message.changes) if (replica === this.#replica) this.#echoed = n;
    } else if (message.kind === 'committed' && message.firstSeq > 0) {
      for (const { replica, n } of message.changes) if (replica === this.#replica) this.#echoed = n;
    } else if (message.kind === 'error') this.#failed(`${message.code}: ${message.message}`);
    else if (message.kind === 'reject') this.#rejected(message);
    this.#wake();
  } // prettier-ignore

  /** What has to wait is sent again, with all behind it; of several refusals the lowest counts. */
  #rejected({ n, code, message, retryAfterMs }: Of<'reject'>): void {
    if (n <= this.#echoed || code === 'out_of_order') return;
    if (codeClass(code) !== 'wait') return this.#failed(`a change was refused as ${code}: ${message}`);
    systemClock.after(retryAfterMs ?? RETRY_MS, () => this.#send(n));
  }

  #send(from: number): void {
    for (let n = Math.max(from, this.#echoed + 1); n <= this.#bodies.length; n++) {
      this.#socket?.write(changeFrame(n, this.#stampMs, n, this.#bodies[n - 1]!));
    }
  }

  /** Where the snapshot and the changes that follow it without a gap come to. */
  get #reached(): number {
    let seq = this.#snapshot[0]?.seq ?? 0;
    for (const { firstSeq, changes } of this.#changes)
      if (firstSeq <= seq + 1) seq = Math.max(seq, firstSeq + changes.length - 1) as never;
    return seq;
  }

  get #isWhole(): boolean {
    if (this.head === null) return false;
    const [first] = this.#snapshot;
    return (first === undefined || this.#snapshot.length === first.parts) && this.#reached >= this.head;
  }

  /** Sends these bodies as changes, one after another, and waits until all are in the log. */
  async write(bodies: readonly Uint8Array[]): Promise<void> {
    bodies.forEach((ops, i) =>
      this.#socket!.write(changeFrame(i + 1, systemClock.now() + this.#offsetMs, i, ops)),
    );
    await this.#until(() => this.#echoed >= bodies.length, 'what was written had no answer');
  }

  /** What a person would see who has opened the page. */
  table(): BlockTable {
    const [first] = this.#snapshot;
    const packed = Buffer.concat(this.#snapshot.map(({ bytes }) => bytes));
    const state = first && (first.encoding === 1 ? inflateSync(packed) : packed);
    const table = state ? decodeSnapshot(this.#page, state) : new BlockTable(this.#page);
    let seq: number = first?.seq ?? 0;
    for (const { firstSeq, changes } of this.#changes) {
      for (const [i, { hlc, replica, ops }] of changes.entries()) {
        if (firstSeq + i !== seq + 1) continue;
        seq++;
        const decoded = decodeOps(ops);
        if (!Array.isArray(decoded)) throw new LoadError(`the log holds what cannot be read: ${decoded.malformed}`);
        for (const op of decoded) table.apply(op, { ...hlc, replica });
      }
    }
    return table;
  } // prettier-ignore

  close(): void {
    this.#socket?.close();
    this.#socket = null;
  }
}
