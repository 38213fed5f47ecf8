/**
 * What the measuring process tells the generator to open: pages of one server, by protocol. Slot 0 of a page types
 * always; with `readers` the others only read, and all of them listen to slot 0 instead of to the slot before.
 */
import type { LoadPage } from '../../load/orders.ts';

export interface OctavoPlan {
  readonly protocol: 'octavo';
  readonly pages: readonly LoadPage[];
  /** Which edits count: `told` for the mode that tells before the commit. */
  readonly counts: 'durable' | 'told';
  readonly readers: boolean;
}

/** How y-protocols travel: plain, inside Hocuspocus' envelope, or through a relay that answers nothing. */
export type YjsWire = 'plain' | 'hocuspocus' | 'relay';

export interface PeerPage {
  readonly name: string;
  readonly clients: number;
  /** The Yjs client id of slot 0; the others follow. ShareDB has no use for it. */
  readonly yjsBase: number;
}

export interface PeerPlan {
  readonly protocol: 'sharedb' | YjsWire;
  readonly url: string;
  readonly pages: readonly PeerPage[];
  readonly readers: boolean;
}

export type Plan = OctavoPlan | PeerPlan;

/** The slot that a slot listens to. A page's only writer listens to a reader: its own echo is no receipt. */
export function heardSlot(slot: number, slots: number, readers: boolean): number {
  if (readers) return slot === 0 ? Math.min(1, slots - 1) : 0;
  return (slot + slots - 1) % slots;
}
