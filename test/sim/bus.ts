/**
 * The bus of a run, as bad as one may be: messages are lost, come twice, late, and not in the order of others; the last one
 * of a burst is lost with preference; nodes are cut off and come back. Only the messages of one publisher on one page to
 * one receiver keep their order.
 */
import type { Bus, BusEvents, BusTopic } from '../../src/cluster/bus.ts';
import type { PageId } from '../../src/protocol/ids.ts';
import type { Dice } from './dice.ts';
import type { Weather } from './plan.ts';
import { Lane, type Timeline } from './timeline.ts';
import type { Trace } from './trace.ts';

export interface BusOptions {
  readonly timeline: Timeline;
  readonly dice: Dice;
  readonly trace: Trace;
  weather(): Weather['bus'];
}

/** A shard's end of the bus. */
export interface BusOwner {
  readonly isAlive: boolean;
  readonly node: number;
}

/** So long a message that is to be lost as the last one waits for another behind it. */
const TAIL_MS = 40;

interface Held {
  readonly release: () => void;
}

export class SimBus {
  readonly #options: BusOptions;
  readonly #members = new Set<Member>();
  /** Nodes that are cut off. */
  readonly #cut = new Set<number>();

  constructor(options: BusOptions) {
    this.#options = options;
  }

  open(owner: BusOwner, topic: BusTopic, events: BusEvents): Bus {
    const member = new Member(this, this.#options, owner, topic, events);
    this.#members.add(member);
    this.#later(() => owner.isAlive && !this.isCut(owner.node) && events.ready());
    return member;
  }

  close(member: Member): void {
    this.#members.delete(member);
  }

  isCut(node: number): boolean {
    return this.#cut.has(node);
  }

  #later(act: () => void): void {
    const { timeline, dice, weather } = this.#options;
    const [low, high] = weather().delayMs;
    timeline.after(dice.between(low, high), act);
  }

  cut(node: number): void {
    this.#options.trace.note('bus cut', node);
    this.#cut.add(node);
  }

  heal(node: number): void {
    if (!this.#cut.delete(node)) return;
    this.#options.trace.note('bus back', node);
    for (const member of this.#members) if (member.owner.node === node) this.#later(() => member.ready());
  }

  healAll(): void {
    for (const node of this.#cut) this.heal(node);
  }

  deliver(from: Member, page: PageId, payload: Uint8Array): void {
    if (this.isCut(from.owner.node)) return;
    for (const member of this.#members) {
      if (member !== from && member.topic === from.topic) member.take(from, page, payload.slice());
    }
  }
}

class Member implements Bus {
  readonly owner: BusOwner;
  readonly topic: BusTopic;
  readonly #hub: SimBus;
  readonly #options: BusOptions;
  readonly #events: BusEvents;
  readonly #pages = new Set<PageId>();
  readonly #lanes = new Map<Member, Map<PageId, { lane: Lane; held: Held | null }>>();

  constructor(hub: SimBus, options: BusOptions, owner: BusOwner, topic: BusTopic, events: BusEvents) {
    this.#hub = hub;
    this.#options = options;
    this.owner = owner;
    this.topic = topic;
    this.#events = events;
  }

  get isUp(): boolean {
    return !this.#hub.isCut(this.owner.node);
  }

  ready(): void {
    if (this.owner.isAlive && this.isUp) this.#events.ready();
  }

  /** Holds from a moment later on, as with any server that is asked for it. */
  subscribe(page: PageId): void {
    const { timeline, dice, weather } = this.#options;
    timeline.after(dice.between(0, weather().delayMs[1]), () => {
      this.#pages.add(page);
      if (this.owner.isAlive && this.isUp) this.#events.following(page);
    });
  }

  unsubscribe(page: PageId): void {
    this.#pages.delete(page);
  }

  publish(page: PageId, payload: Uint8Array): boolean {
    if (this.owner.isAlive) this.#hub.deliver(this, page, payload);
    return this.isUp;
  }

  async close(): Promise<void> {
    this.#hub.close(this);
  }

  #lane(from: Member, page: PageId) {
    let lanes = this.#lanes.get(from);
    if (!lanes) this.#lanes.set(from, (lanes = new Map()));
    let lane = lanes.get(page);
    if (!lane) lanes.set(page, (lane = { lane: new Lane(this.#options.timeline), held: null }));
    return lane;
  }

  take(from: Member, page: PageId, payload: Uint8Array): void {
    const { timeline, dice, weather, trace } = this.#options;
    const { delayMs, jitterMs, loss, doubled, tailLoss } = weather();
    const slot = this.#lane(from, page);
    slot.held?.release();
    if (dice.chance(loss)) return trace.note('bus loses', this.owner.node);
    const times = dice.chance(doubled) ? 2 : 1;
    const send = () => {
      for (let i = 0; i < times; i++) {
        const late = dice.chance(0.1) ? dice.between(0, jitterMs) : 0;
        slot.lane.send(dice.between(delayMs[0], delayMs[1]) + late, () =>
          this.#arrive(page, payload.slice()),
        );
      }
    };
    if (!dice.chance(tailLoss)) return send();
    const timer = timeline.after(TAIL_MS, () => {
      slot.held = null;
      trace.note('bus loses the last', this.owner.node);
    });
    const release = () => {
      timer.cancel();
      slot.held = null;
      send();
    };
    slot.held = { release };
  }

  #arrive(page: PageId, payload: Uint8Array): void {
    if (!this.owner.isAlive || !this.isUp || !this.#pages.has(page)) return;
    this.#options.trace.note('bus', this.owner.node, payload.length);
    this.#events.message(page, payload);
  }
}
