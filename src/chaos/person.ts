/**
 * A person with the SDK, as the run's clients are: opens the pages of a round, edits them at random, and notes whatever the
 * SDK says, for the verdict: what was acknowledged, what was shown as stored, what was handed back.
 */
import type { Random } from '../base/random.ts';
import { randomBelow } from '../base/random.ts';
import { type Millis, systemClock, withTimeout } from '../base/time.ts';
import { type Client, connect, OctavoError, type Page, type RejectedEvent } from '../client/index.ts';
import type { PageId } from '../protocol/ids.ts';
import { randomEdit } from './edits.ts';
import type { Testimony } from './judge.ts';
import { opKey } from './op-key.ts';

const OPEN_TIMEOUT_MS: Millis = 60_000;
/** With so much unsaved on a page a person waits. */
const UNSAVED_MAX = 500;

export interface PersonEvents {
  acknowledged(): void;
  /** How it stands with its connection. */
  online(isOnline: boolean): void;
  refused(code: string): void;
}

interface Session {
  readonly page: Page;
  readonly deleted: string[];
  readonly acknowledged: Map<string, number | null>;
  readonly seen: Map<number, string>;
  readonly made: Map<string, number>;
  readonly handedBack: Map<string, number>;
  alarms: number;
}

const count = (counts: Map<string, number>, key: string): void =>
  void counts.set(key, (counts.get(key) ?? 0) + 1);

export class Person {
  readonly name: string;
  made = 0;
  readonly #client: Client;
  readonly #random: Random;
  readonly #events: PersonEvents;
  #sessions: Session[] = [];

  constructor(name: string, url: string, token: string, random: Random, events: PersonEvents) {
    this.name = name;
    this.#random = random;
    this.#events = events;
    this.#client = connect({ url, token, name: 'octavo-chaos' });
    this.#client.on('status', (status) => events.online(status === 'online'));
    this.#client.on('error', ({ code }) => {
      // No connection just now: that is what is played here.
      if (code !== 'unavailable') events.refused(code);
    });
  }

  /** Leaves what is open, and opens the pages of another round. */
  async open(ids: readonly PageId[]): Promise<void> {
    this.leave();
    const late = () => new Error(`${this.name} could not open its pages for ${OPEN_TIMEOUT_MS / 1000} s`);
    const opening = Promise.all(ids.map((id) => this.#client.open(id, { create: 'blocks' })));
    this.#sessions = (await withTimeout(opening, OPEN_TIMEOUT_MS, late)).map((page) => this.#note(page));
  }

  #note(page: Page): Session {
    const session: Session = {
      page, deleted: [], acknowledged: new Map(), seen: new Map(), made: new Map(), handedBack: new Map(), alarms: 0,
    }; // prettier-ignore
    page.on('confirmed', ({ n, seq }) => {
      session.acknowledged.set(`${page.replica} ${n}`, seq);
      this.#events.acknowledged();
    });
    page.on('change', ({ local, changes }) => {
      for (const { replica, n, seq, ops } of changes) {
        if (local) for (const { op, block } of ops) count(session.made, opKey(op, block));
        else if (seq !== null) session.seen.set(seq, `${replica} ${n}`);
      }
      if (local) this.made += changes.length;
    });
    page.on('rejected', (refusal) => this.#refused(session, refusal));
    page.on('diverged', () => void session.alarms++);
    page.on('error', ({ code }) => this.#events.refused(code));
    return session;
  }

  #refused(session: Session, { code, ops }: RejectedEvent): void {
    this.#events.refused(code);
    for (const op of ops) {
      // A text edit that was never taken in comes back as a draft, without its shape: it was not counted either.
      if (op.op === 'text' && !('shape' in op)) continue;
      count(session.handedBack, opKey(op.op, 'block' in op ? op.block : null));
    }
  }

  /** Makes one edit, of any kind. */
  edit(): void {
    const session = this.#sessions[randomBelow(this.#random, this.#sessions.length)];
    if (!session || session.page.pendingChanges >= UNSAVED_MAX) return;
    try {
      randomEdit(session.page, this.#random, session.deleted);
    } catch (error) {
      // Expected: the SDK refuses what it knows the server would.
      if (!(error instanceof OctavoError)) throw error;
    }
  }

  get pending(): number {
    return this.#sessions.reduce((sum, { page }) => sum + page.pendingChanges, 0);
  }

  /** Whether all is durable, nothing is shown that is not, and each page is at the head that `heads` says. */
  agrees(heads: ReadonlyMap<PageId, number>): boolean {
    return this.#sessions.every(
      ({ page }) => page.live && page.saved && page.settled && page.seq === heads.get(page.id),
    );
  }

  /** What keeps it from agreeing. */
  describe(heads: ReadonlyMap<PageId, number>): string {
    const pages = this.#sessions.map(({ page }) => {
      const { id, live, settled, seq, pendingChanges } = page;
      return `${id}: live ${live}, settled ${settled}, ${pendingChanges} pending, at ${seq} of ${heads.get(id)}`;
    });
    return `${this.name} is ${this.#client.status}; ${pages.join('; ')}`;
  }

  /** What it says of a page. */
  testify(id: PageId): Testimony {
    const session = this.#sessions.find(({ page }) => page.id === id)!;
    const { page, acknowledged, seen, made, handedBack, alarms } = session;
    const { replica, saved } = page;
    return { client: this.name, replica, acknowledged, seen, made, handedBack, saved, shown: page.toJSON().root, alarms };
  } // prettier-ignore

  leave(): void {
    for (const { page } of this.#sessions) page.close();
    this.#sessions = [];
  }

  async close(): Promise<void> {
    await this.#client.close();
  }
}

/** Several people who write at a rate, of all of them together. */
export class Writing {
  readonly #people: readonly Person[];
  readonly #rate: number;
  #startedAt = systemClock.monotonic();
  #made = 0;
  #stopped = false;

  constructor(people: readonly Person[], rate: number) {
    [this.#people, this.#rate] = [people, rate];
    this.#turn();
  }

  #turn(): void {
    if (this.#stopped) return;
    const due = ((systemClock.monotonic() - this.#startedAt) / 1000) * this.#rate;
    for (; this.#made < due; this.#made++) this.#people[this.#made % this.#people.length]!.edit();
    systemClock.after(10, () => this.#turn());
  }

  stop(): void {
    this.#stopped = true;
  }
}
