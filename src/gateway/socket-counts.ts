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
  readonly #userBySocket = new Map<number, UserId>();

  constructor(limits: Limits) {
    this.#limits = limits;
  }

  /** Counts a new socket; false if its address has too many (it is counted until `close` all the same). */
  openAddress({ address }: TransportSocket): boolean {
    return add(this.#byAddress, address) <= this.#limits.addressSocketsMax;
  }

  /** Counts a socket for its user; false if the user has too many. */
  openUser({ id }: TransportSocket, user: UserId): boolean {
    this.#userBySocket.set(id, user);
    return add(this.#byUser, user) <= this.#limits.userSocketsMax;
  }

  close({ id, address }: TransportSocket): void {
    subtract(this.#byAddress, address);
    const user = this.#userBySocket.get(id);
    if (user === undefined) return;
    this.#userBySocket.delete(id);
    subtract(this.#byUser, user);
  }
}

function add<K>(counts: Map<K, number>, key: K): number {
  const count = (counts.get(key) ?? 0) + 1;
  counts.set(key, count);
  return count;
}

function subtract<K>(counts: Map<K, number>, key: K): void {
  const count = (counts.get(key) ?? 0) - 1;
  if (count > 0) counts.set(key, count);
  else counts.delete(key);
}
