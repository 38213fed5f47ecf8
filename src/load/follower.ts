/**
 * How a client follows the log of its page: what of SNAPSHOT, CHANGES and COMMITTED is new, which place in the log it has come to,
 * whether something is missing. It reads only who wrote and which number; what the changes say it steps over.
 */
import type { EpochId } from '../protocol/ids.ts';
import { Hearing, type HeardEvents } from './hearing.ts';
import type { LoadPagePlan } from './orders.ts';
import { WireReader } from './wire.ts';

/** Before the first seq: the array's head, the kind, the page's id. */
const PAGE_HEAD = 20;

export interface FollowerEvents extends HeardEvents {
  /** All of its own up to `n` are in the log. */
  own(n: number): void;
  /** Told before its commit. */
  volatile(): void;
  withdrawn(count: number): void;
  /** Something is missing behind `seq`; told once for each place. */
  gap(seq: number): void;
}

/** One for all: reading never yields. */
const reader = new WireReader();

export class Follower {
  readonly #page: LoadPagePlan;
  readonly #self: number;
  readonly #events: FollowerEvents;
  readonly #hearing: Hearing;
  /** Frames that came before what they follow, while the page is being opened. */
  #kept: Uint8Array[] = [];
  #gapToldAt = -1;
  #head = 0;
  /** Where it stands in the log. */
  seq = 0;
  /** null: it holds nothing, and was told nothing. */
  epoch: EpochId | null = null;

  constructor(page: LoadPagePlan, self: number, events: FollowerEvents) {
    this.#page = page;
    this.#self = self;
    this.#events = events;
    this.#hearing = new Hearing(page.writers, events);
  }

  /** As somebody who has never seen the page. */
  forget(): void {
    this.seq = 0;
    this.epoch = null;
    this.#hearing.forget();
  }

  /** A new connection. */
  begin(): void {
    this.#kept = [];
    this.#gapToldAt = -1;
  }

  /** Gaps are told again. */
  askAgain(): void {
    this.#gapToldAt = -1;
  }

  subscribed(head: number, epoch: EpochId): void {
    if (this.epoch !== null && (epoch !== this.epoch || head < this.seq)) this.forget();
    this.epoch = epoch;
    this.#head = head;
  }

  /** Whether it has come to where the page was when it was opened. */
  get isThere(): boolean {
    return this.epoch !== null && this.seq >= this.#head;
  }

  snapshot(bytes: Uint8Array, from: number): void {
    reader.begin(bytes, from + 2);
    reader.skip();
    const seq = reader.uint();
    reader.skip();
    const part = reader.uint();
    if (part + 1 < reader.uint() || seq <= this.seq) return;
    this.seq = seq;
    this.#hearing.forget();
    this.#gapToldAt = -1;
    for (const frame of this.#kept.splice(0)) this.changes(frame, 0, frame.length, false);
  }

  changes(bytes: Uint8Array, from: number, to: number, isLive: boolean): void {
    reader.begin(bytes, from + PAGE_HEAD);
    const first = reader.uint();
    if (first > this.seq + 1) return isLive ? this.#gap() : void this.#kept.push(bytes.slice(from, to));
    this.#entries(first);
  }

  committed(bytes: Uint8Array, from: number): void {
    reader.begin(bytes, from + PAGE_HEAD);
    const first = reader.uint();
    if (first === 0) this.#events.withdrawn(reader.array());
    else if (first > this.seq + 1) this.#gap();
    else this.#entries(first);
  }

  /** Entries of CHANGES and of COMMITTED both begin with replica and n. */
  #entries(first: number): void {
    const count = reader.array();
    if (first > 0 && first + count - 1 <= this.seq) return;
    for (let i = 0; i < count; i++) {
      const fields = reader.array();
      const writer = reader.idNumber();
      const n = reader.uint();
      for (let left = fields - 2; left > 0; left--) reader.skip();
      this.#entry(writer, n, first === 0 ? 0 : first + i);
    }
  }

  #entry(writer: number, n: number, seq: number): void {
    const local = writer - this.#page.firstWriter;
    const isOther = writer !== this.#self && local >= 0 && local < this.#page.writers;
    if (seq === 0) {
      if (!isOther) return;
      this.#events.volatile();
      return this.#hearing.volatile(local, n);
    }
    if (seq <= this.seq) return;
    this.seq = seq;
    if (writer === this.#self) this.#events.own(n);
    else if (isOther) this.#hearing.logged(local, n);
  }

  #gap(): void {
    if (this.#gapToldAt === this.seq) return;
    this.#gapToldAt = this.seq;
    this.#events.gap(this.seq);
  }
}
