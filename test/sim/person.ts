/**
 * A person with the SDK: opens pages, edits in bursts, closes and opens them again, loses the tab now and then. Whatever
 * the SDK says (confirmed, saved, rejected) is noted, and held against the database where it can be at once.
 */
import { Client } from '../../src/client/client.ts';
import type { OctavoError, Page } from '../../src/client/index.ts';
import type { PropWrite } from '../../src/document/ops.ts';
import type { PageId } from '../../src/protocol/ids.ts';
import type { Dice } from './dice.ts';
import { type Hand, makeEdit } from './edits.ts';
import { type Journal, opKey, SimFailure } from './journal.ts';
import type { Network } from './network.ts';
import type { ClientPlan, Plan } from './plan.ts';
import { ProcessClock, type Timeline } from './timeline.ts';
import type { Trace } from './trace.ts';
import type { Witness } from './witness.ts';

export interface PersonWorld {
  readonly plan: Plan;
  readonly timeline: Timeline;
  readonly dice: Dice;
  readonly trace: Trace;
  readonly network: Network;
  readonly journal: Journal;
  readonly witness: Witness;
  readonly pages: readonly PageId[];
  /** Edits may still be made. */
  readonly isActive: boolean;
  /** Which nodes to try, in this order. */
  nodesFor(person: number): number[];
  tokenFor(user: string): string;
  failed(error: unknown): void;
}

interface Session extends Hand {
  readonly life: Life;
  isClosed: boolean;
  /** What it shows of itself to the others on the page. */
  shows: string | null;
  /** Ops made since all was saved last. */
  unsaved: string[];
}

/** One run of the person's program. */
interface Life {
  isAlive: boolean;
  readonly client: Client;
}

export class Person {
  readonly index: number;
  readonly #world: PersonWorld;
  readonly #plan: ClientPlan;
  readonly #dice: Dice;
  readonly sessions = new Map<PageId, Session>();
  readonly #opening = new Set<PageId>();
  #life: Life | null = null;
  #clock: ProcessClock | null = null;
  #skewMs: number;

  constructor(world: PersonWorld, index: number, dice: Dice) {
    this.index = index;
    this.#world = world;
    this.#plan = world.plan.clients[index]!;
    this.#dice = dice;
    this.#skewMs = this.#plan.skewMs;
    this.start();
    this.#burstLater();
    this.#every(this.#plan.reopenEveryMs, () => this.#reopen());
    this.#every(this.#plan.restartEveryMs, () => this.#restart());
    this.#every(this.#plan.clockStepEveryMs, () => this.#stepClock());
  }

  #every(meanMs: number, act: () => void): void {
    const { timeline } = this.#world;
    const waitMs = this.#dice.wait(meanMs);
    if (waitMs === Infinity) return;
    timeline.after(waitMs, () => {
      if (!this.#world.isActive) return;
      act();
      this.#every(meanMs, act);
    });
  }

  /** Starts the program and opens all pages, as far as that is not done. */
  start(): void {
    if (!this.#life) {
      const { timeline, network, trace } = this.#world;
      trace.note('person starts', this.index);
      const isAlive = () => life.isAlive;
      this.#clock = new ProcessClock(timeline, this.#skewMs, isAlive);
      const user = `user-${this.index}`;
      const client = new Client({
        url: 'ws://cluster/v1/sync',
        token: () => this.#world.tokenFor(user),
        name: 'sim',
        clock: this.#clock,
        random: this.#dice.random,
        unpack: async ({ bytes }) => bytes,
        openSocket: (_url, given, events) =>
          network.connect(this.index, this.#world.nodesFor(this.index), given, {
            open: () => life.isAlive && events.open(),
            message: (bytes) => life.isAlive && events.message(bytes),
            close: (code, reason) => life.isAlive && events.close(code, reason),
          }),
      });
      const life: Life = { isAlive: true, client };
      this.#life = life;
      client.on('error', (error) => {
        if (error.code !== 'unavailable') this.#world.failed(new SimFailure('client error', `${error.code} ${error.message}`)); // prettier-ignore
      });
    }
    for (const page of this.#world.pages) this.#open(page);
  }

  #open(id: PageId): void {
    const life = this.#life;
    if (!life || this.sessions.has(id) || this.#opening.has(id)) return;
    this.#opening.add(id);
    life.client.open(id, { create: 'blocks' }).then(
      (page) => {
        if (!life.isAlive) return;
        this.#opening.delete(id);
        this.#opened(life, page, id);
      },
      (error: OctavoError) => {
        if (!life.isAlive) return;
        this.#opening.delete(id);
        if (error.code !== 'closed') this.#world.failed(new SimFailure('page refused', `${error.code} ${error.message}`)); // prettier-ignore
      },
    );
  }

  #opened(life: Life, page: Page, id: PageId): void {
    const { journal, witness, trace, timeline } = this.#world;
    const { replica } = page;
    const session: Session = { life, page, id, dice: this.#dice, journal, deleted: [], isClosed: false, shows: null, unsaved: [] }; // prettier-ignore
    this.sessions.set(id, session);
    trace.note('opened', this.index, page.seq);
    const madeAt = new Map<number, number>();
    page.on('change', ({ local, changes }) => {
      if (!local) return;
      for (const { n } of changes) madeAt.set(n, madeAt.get(n) ?? timeline.now);
      const keys = changes.flatMap(({ ops }) => ops.map(({ op, block }) => opKey(op, block)));
      journal.made(id, replica, keys);
      session.unsaved.push(...keys);
    });
    page.on('confirmed', ({ n, seq }) => {
      witness.confirmed(id, replica, n, seq);
      journal.waits.push(timeline.now - (madeAt.get(n) ?? timeline.now));
    });
    page.on('live', (live) => {
      if (live && page.pendingChanges > 0) journal.sentAgain(id, replica);
    });
    page.on('saved', (saved) => {
      if (saved) session.unsaved = [];
    });
    page.on('rejected', ({ code, ops, message }) => {
      trace.note('rejected', this.index, code, message);
      for (const op of ops)
        if ('props' in op && Array.isArray(op.props))
          journal.handedBack(replica, op.props as readonly PropWrite[]);
      // A text edit that was never taken in comes back as a draft, without its shape.
      const taken = ops.filter((op) => op.op !== 'text' || 'shape' in op);
      journal.rejected(id, replica, code, taken.map((op) => opKey(op.op, 'block' in op ? op.block : null))); // prettier-ignore
    });
    page.on('diverged', ({ seq, ours, theirs }) => this.#world.failed(new SimFailure('copies differ', `${id} at ${seq}: ${ours}, not ${theirs}`))); // prettier-ignore
    page.on('error', (error) => this.#world.failed(new SimFailure('page over', `${error.code} ${error.message}`))); // prettier-ignore
  }

  #leave(session: Session): void {
    session.isClosed = true;
    this.sessions.delete(session.id);
    this.#world.journal.abandoned(session.id, session.page.replica, session.unsaved);
  }

  #burstLater(): void {
    const { timeline } = this.#world;
    timeline.after(this.#dice.wait(this.#plan.everyMs), () => {
      if (!this.#world.isActive) return;
      this.#burst(this.#dice.whole(1, this.#plan.burst));
      this.#burstLater();
    });
  }

  #burst(left: number): void {
    if (left === 0 || !this.#world.isActive || this.sessions.size === 0) return;
    const session = this.#dice.pick([...this.sessions.values()]);
    if (this.#dice.chance(0.05)) {
      session.shows = this.#dice.chance(0.8) ? `person ${this.index} at ${left}` : null;
      session.page.presence.set(session.shows);
    }
    if (makeEdit(session)) this.#world.journal.edits++;
    this.#world.timeline.after(this.#plan.typingMs, () => this.#burst(left - 1));
  }

  /** Closes a page and opens it again. */
  #reopen(): void {
    if (this.sessions.size === 0) return;
    const session = this.#dice.pick([...this.sessions.values()]);
    this.#world.trace.note('close page', this.index, session.page.pendingChanges);
    session.page.close();
    this.#leave(session);
    this.#world.timeline.after(this.#dice.between(0, 2000), () => this.#open(session.id));
  }

  /** The tab is closed, or dies; a new one has another replica id. */
  #restart(): void {
    const life = this.#life;
    if (!life) return;
    const { trace, network, timeline } = this.#world;
    const dies = this.#dice.chance(0.5);
    trace.note('person ends', this.index, dies ? 'dies' : 'closes');
    if (!dies) void life.client.close();
    for (const session of this.sessions.values()) this.#leave(session);
    life.isAlive = false;
    this.#life = null;
    this.#opening.clear();
    if (dies) network.cutWhere((connection) => connection.client === this.index);
    timeline.after(this.#dice.between(0, 3000), () => this.start());
  }

  #stepClock(): void {
    const byMs = this.#dice.spread(10, 100_000) * (this.#dice.chance(0.7) ? -1 : 1);
    this.#world.trace.note('clock of person', this.index, byMs);
    this.#skewMs += byMs;
    if (this.#clock) this.#clock.skewMs += byMs;
  }

  /** What keeps this person from being done; null: nothing. */
  stuckOn(headOf: (page: PageId) => number): string | null {
    for (const id of this.#world.pages) {
      const session = this.sessions.get(id);
      if (!session) return `person ${this.index} has ${id} not open`;
      const { page } = session;
      if (!page.live || !page.saved || !page.settled || page.seq !== headOf(id)) {
        return `person ${this.index}, page ${id}: live ${page.live}, ${page.pendingChanges} pending, settled ${page.settled}, at ${page.seq} of ${headOf(id)}, link ${session.life.client.status}`;
      }
    }
    return null;
  }

  /** Whether this person sees what the others show of themselves; null: just that. */
  misses(people: readonly Person[]): string | null {
    for (const [id, { page }] of this.sessions) {
      const shown = people.flatMap((other) => (other === this ? [] : (other.sessions.get(id)?.shows ?? [])));
      const seen = [...page.presence.others.values()].map(({ state }) => String(state));
      if (seen.sort().join() === shown.sort().join()) continue;
      return `person ${this.index}, page ${id}: sees ${seen.join(', ') || 'nobody'} instead of ${shown.join(', ') || 'nobody'}`;
    }
    return null;
  }
}
