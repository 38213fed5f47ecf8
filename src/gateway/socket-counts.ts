/**
 * How many sockets each address and each user has, against their limits.
 */
import type { UserId } from '../protocol/ids.ts';
import type { Limits } from '../protocol/limits.ts';
import type { TransportSocket } from './transport.ts';

export class SocketCounts {
  readonly #limits: Limits;
  readonly #byAddress = new Map<string, number>();
  readonly #byUser = new Map<UserId, number>();
  readonly #addressBySocket = new Map<number, string>();
  readonly #userBySocket = new Map<number, UserId>();

  constructor(limits: Limits) {
    this.#limits = limits;
  }

  /** Counts a new socket; false if its address has too many (it is counted until `close` all the same). */
  openAddress({ id }: TransportSocket, address: string): boolean {
    this.#addressBySocket.set(id, address);
    return add(this.#byAddress, address) <= this.#limits.addressSocketsMax;
  }

  /** Counts a socket for its user; false if the user has too many. */
  openUser({ id }: TransportSocket, user: UserId): boolean {
    this.#userBySocket.set(id, user);
    return add(this.#byUser, user) <= this.#limits.userSocketsMax;
  }

  close({ id }: TransportSocket): void {
    forget(this.#addressBySocket, id, this.#byAddress);
    forget(this.#userBySocket, id, this.#byUser);
  }
}

function add<K>(counts: Map<K, number>, key: K): number {
  const count = (counts.get(key) ?? 0) + 1;
  counts.set(key, count);
  return count;
}

function forget<K>(keyBySocket: Map<number, K>, id: number, counts: Map<K, number>): void {
  const key = keyBySocket.get(id);
  if (key === undefined) return;
  keyBySocket.delete(id);
  const count = (counts.get(key) ?? 0) - 1;
  if (count > 0) counts.set(key, count);
  else counts.delete(key);
}
