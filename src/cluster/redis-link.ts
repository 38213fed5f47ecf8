/**
 * The way to Redis, once: a link to each server, opened together, and all given up when one of them fails. Nothing here
 * connects again or subscribes again by itself; a link that is lost is thrown away, and `redis-bus.ts` makes another, which
 * asks anew where the servers are. So there is one state in which messages come through, and nobody has to guess what a
 * library has mended meanwhile.
 *
 *      one server, or the one that Sentinels name    one ServerLink
 *      a cluster                                     one for each server; a channel belongs to that of its slot
 */
import { hashSlot } from './hash-slot.ts';
import type { RedisAddress } from './redis-address.ts';
import { findServers } from './redis-servers.ts';
import { type RedisLinkEvents, ServerLink } from './server-link.ts';

export class RedisLink {
  readonly #address: RedisAddress;
  readonly #events: RedisLinkEvents;
  #links: ServerLink[] = [];
  readonly #linkBySlot: ServerLink[] = [];
  #closed = false;

  constructor(address: RedisAddress, events: RedisLinkEvents) {
    this.#address = address;
    this.#events = events;
  }

  /** Called once, before the others. */
  async open(): Promise<void> {
    const ranges = await findServers(this.#address);
    if (this.#closed) return;
    const linkByServer = new Map<string, ServerLink>();
    for (const { first, last, server } of ranges) {
      const key = `${server.host} ${server.port}`;
      let link = linkByServer.get(key);
      if (!link) linkByServer.set(key, (link = new ServerLink(this.#address, server, this.#events)));
      for (let slot = first; slot <= last; slot++) this.#linkBySlot[slot] = link;
    }
    this.#links = [...linkByServer.values()];
    await Promise.all(this.#links.map((link) => link.open()));
  }

  #of(channel: string): ServerLink {
    return this.#links.length === 1 ? this.#links[0]! : this.#linkBySlot[hashSlot(channel)]!;
  }

  /** Of the names `name(0)`, `name(1)` … one for each server: a message on each shows whether all of it works. */
  probes(name: (index: number) => string): string[] {
    const probeByLink = new Map<ServerLink, string>();
    for (let index = 0; probeByLink.size < this.#links.length; index++) {
      const channel = name(index);
      const link = this.#of(channel);
      if (!probeByLink.has(link)) probeByLink.set(link, channel);
    }
    return [...probeByLink.values()];
  }

  /** Resolves when messages on all of them are heard. */
  async subscribe(channels: readonly string[]): Promise<void> {
    const channelsByLink = new Map(this.#links.map((link) => [link, [] as string[]]));
    for (const channel of channels) channelsByLink.get(this.#of(channel))!.push(channel);
    await Promise.all([...channelsByLink].map(([link, names]) => link.subscribe(names)));
  }

  unsubscribe(channel: string): void {
    this.#of(channel).unsubscribe(channel);
  }

  /** Resolves when Redis has it. */
  publish(channel: string, payload: Buffer): Promise<unknown> {
    return this.#of(channel).publish(channel, payload);
  }

  /** Lets Redis take what was published, if it does so soon. */
  async close(): Promise<void> {
    this.#closed = true;
    await Promise.all(this.#links.map((link) => link.close()));
  }
}
