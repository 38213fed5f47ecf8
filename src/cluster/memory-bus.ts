/**
 * The bus's twin in memory: the nodes of one process, for tests. A message arrives on a microtask of its own.
 */
import type { PageId } from '../protocol/ids.ts';
import type { Bus, BusEvents, BusTopic, OpenBus } from './bus.ts';

interface Member extends Bus {
  readonly topic: BusTopic;
  readonly pages: ReadonlySet<PageId>;
  readonly events: BusEvents;
}

/** What several nodes share; `open` is each node's own end of it. */
export class MemoryBusHub {
  readonly #members = new Set<Member>();

  readonly open: OpenBus = (topic, events) => {
    const pages = new Set<PageId>();
    const member: Member = {
      topic,
      isUp: true,
      pages,
      events,
      subscribe: (page) => {
        pages.add(page);
        queueMicrotask(() => this.#members.has(member) && pages.has(page) && events.following(page));
      },
      unsubscribe: (page) => void pages.delete(page),
      publish: (page, payload) => this.#publish(member, page, payload),
      close: async () => void this.#members.delete(member),
    };
    this.#members.add(member);
    queueMicrotask(() => this.#members.has(member) && events.ready());
    return member;
  };

  #publish(from: Member, page: PageId, payload: Uint8Array): boolean {
    if (!this.#members.has(from)) return false;
    for (const member of this.#members) {
      if (member === from || member.topic !== from.topic || !member.pages.has(page)) continue;
      const copy = payload.slice();
      queueMicrotask(() => {
        if (this.#members.has(member) && member.pages.has(page)) member.events.message(page, copy);
      });
    }
    return true;
  }
}
