/**
 * Whom each Yjs client id on a page belongs to. There may be thousands, and most are of people who have long gone: what was
 * read from the store stands in two columns, by the order of the ids, and takes 12 bytes an id where a Map takes 70.
 */
import { assert } from '../base/assert.ts';
import type { UserId } from '../protocol/ids.ts';
import { MsgpackReader } from '../protocol/msgpack-reader.ts';
import { MsgpackWriter } from '../protocol/msgpack-writer.ts';

const USER_BYTES_MAX = 1024;
/** The columns' objects; a place in the Map; a user's id. */
const [OWN_BYTES, FRESH_BYTES, USER_BYTES] = [500, 60, 80];

export class YjsOwners {
  readonly #clients: Float64Array;
  readonly #userIndexes: Int32Array;
  readonly #users: UserId[] = [];
  /** Those that came since. */
  readonly #fresh = new Map<number, UserId>();

  /** `stored`: what `encode` gave. Throws `MsgpackError` if it is of another shape. */
  constructor(stored: Uint8Array = Uint8Array.of(0x90)) {
    const r = new MsgpackReader(stored);
    const indexByUser = new Map<UserId, number>();
    const count = r.array();
    this.#clients = new Float64Array(count);
    this.#userIndexes = new Int32Array(count);
    let isSorted = true;
    for (let i = 0; i < count; i++) {
      assert(r.array() === 2, 'an owner is [client, user]');
      this.#clients[i] = r.uint();
      const user = r.str(USER_BYTES_MAX) as UserId;
      let index = indexByUser.get(user);
      if (index === undefined) indexByUser.set(user, (index = this.#users.push(user) - 1));
      this.#userIndexes[i] = index;
      if (i > 0 && this.#clients[i]! < this.#clients[i - 1]!) isSorted = false;
    }
    if (!isSorted) this.#sort();
  }

  /** What `encode` writes is in order; what was stored before it did so is not. */
  #sort(): void {
    const [clients, userIndexes] = [this.#clients.slice(), this.#userIndexes.slice()];
    const order = Array.from(clients, (_, i) => i).sort((a, b) => clients[a]! - clients[b]!);
    order.forEach((from, to) => {
      this.#clients[to] = clients[from]!;
      this.#userIndexes[to] = userIndexes[from]!;
    });
  }

  get size(): number {
    return this.#clients.length + this.#fresh.size;
  }

  /** About how much memory it takes. */
  get bytes(): number {
    const columns = this.#clients.byteLength + this.#userIndexes.byteLength;
    return OWN_BYTES + columns + this.#users.length * USER_BYTES + this.#fresh.size * FRESH_BYTES;
  }

  get(client: number): UserId | undefined {
    const fresh = this.#fresh.get(client);
    if (fresh !== undefined) return fresh;
    let [low, high] = [0, this.#clients.length];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#clients[middle]! < client) low = middle + 1;
      else high = middle;
    }
    return this.#clients[low] === client ? this.#users[this.#userIndexes[low]!] : undefined;
  }

  /** The first owner stays. */
  add(client: number, user: UserId): void {
    if (this.get(client) === undefined) this.#fresh.set(client, user);
  }

  *[Symbol.iterator](): Generator<[client: number, user: UserId]> {
    for (let i = 0; i < this.#clients.length; i++)
      yield [this.#clients[i]!, this.#users[this.#userIndexes[i]!]!];
    yield* this.#fresh;
  }

  /** `[[client, user] …]`, by client. */
  encode(): Uint8Array {
    const w = new MsgpackWriter();
    w.array(this.size);
    for (const [client, user] of [...this].sort(([a], [b]) => a - b)) w.array(2).int(client).str(user);
    return w.take();
  }
}
