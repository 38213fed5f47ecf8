/**
 * The bus port: how a page's actors on several nodes tell each other of new changes, sooner than the log would. Only an
 * accelerator: a message comes at most once and perhaps never, so nothing depends on it; the log decides. A publisher
 * does not hear itself. Messages of one publisher on one page come in order; between pages there is none.
 *
 * Twins: `redis-bus.ts`, `memory-bus.ts`; one contract suite runs on each (`test/contracts/bus.ts`).
 */
import type { PageId } from '../protocol/ids.ts';

/** Who opens one hears those that were opened for the same, and no others. Each has its own way: a storm on one does not delay the other. */
export const BUS_TOPICS = ['changes', 'presence'] as const;
export type BusTopic = (typeof BUS_TOPICS)[number];

export interface BusEvents {
  /** The payload is the receiver's to keep. */
  message(page: PageId, payload: Uint8Array): void;
  /** A page that was subscribed to is heard from now on; those of before are after each `ready`. */
  following(page: PageId): void;
  /** Connected, or again: what was published meanwhile is lost. */
  ready(): void;
}

export interface Bus {
  /** Whether messages come through now, as far as is known. */
  readonly isUp: boolean;
  subscribe(page: PageId): void;
  unsubscribe(page: PageId): void;
  /** The payload is copied or sent before this returns. False: dropped, since there is no way or no room. */
  publish(page: PageId, payload: Uint8Array): boolean;
  close(): Promise<void>;
}

export type OpenBus = (topic: BusTopic, events: BusEvents) => Bus;
