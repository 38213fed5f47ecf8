/**
 * A crowd for tests of stalls: several pages, several people on each, who write at a given rate in all and note what they
 * see of each other, how long that took, and what they were promised. Afterwards the log is the arbiter.
 */
import { expect } from 'vitest';
import { type Random, randomBelow, seededRandom, systemRandom } from '../../src/base/random.ts';
import { sleep } from '../../src/base/time.ts';
import { type Client, connect, type Page } from '../../src/client/index.ts';
import { newId, type PageId } from '../../src/protocol/ids.ts';
import { expectAllEqual } from './compare.ts';
import { foldLog, logFaults, readWholeLog } from './replay.ts';
import { testToken, type TestServer } from './server.ts';
import { until } from './wait.ts';

export interface CrowdOptions {
  readonly pages: number;
  readonly peopleOnEach: number;
  /** Changes a second, of all people together. */
  readonly rate: number;
}

interface Person {
  readonly client: Client;
  readonly page: Page;
  readonly random: Random;
  readonly blocks: string[];
  /** By replica: the highest n seen of it. */
  readonly seen: Map<string, number>;
}

const TURN_MS = 10;
/** How long a person goes on without hearing that something is saved: then edits wait in the application. */
const UNSAVED_MAX = 20_000;

export class Crowd {
  readonly people: Person[] = [];
  /** ms from an edit to its being seen by another; emptied by whoever measures. */
  latencies: number[] = [];
  /** ms from an edit to its acknowledgement. */
  readonly waits: number[] = [];
  confirmed = 0;
  /** What must not come: refusals that are final, errors. */
  readonly refused: string[] = [];
  readonly #ids: PageId[];
  readonly #rate: number;
  /** `replica n` → when it was made. */
  readonly #made = new Map<string, number>();
  #writing: Promise<void> | undefined;
  #stopped = false;

  private constructor({ pages, rate }: CrowdOptions) {
    this.#ids = Array.from({ length: pages }, () => newId<PageId>(Date.now(), systemRandom));
    this.#rate = rate;
  }

  static async gather(server: Pick<TestServer, 'url'>, options: CrowdOptions): Promise<Crowd> {
    const crowd = new Crowd(options);
    for (const [i, id] of crowd.#ids.entries()) {
      for (let k = 0; k < options.peopleOnEach; k++) await crowd.#join(server, id, i * 100 + k);
    }
    return crowd;
  }

  async #join(server: Pick<TestServer, 'url'>, id: PageId, who: number): Promise<void> {
    const client = connect({ url: server.url, token: await testToken(`person-${who}`) });
    client.on('error', (error) => this.refused.push(`${error.code}: ${error.message}`));
    const page = await client.open(id, { create: 'blocks' });
    const person = {
      client,
      page,
      random: seededRandom(who + 1),
      blocks: [],
      seen: new Map<string, number>(),
    };
    this.people.push(person);
    page.on('confirmed', ({ n }) => {
      this.confirmed++;
      this.waits.push(performance.now() - this.#made.get(`${page.replica} ${n}`)!);
    });
    page.on('rejected', ({ code, message }) => this.refused.push(`${code}: ${message}`));
    page.on('error', (error) => this.refused.push(`${error.code}: ${error.message}`));
    page.on('change', ({ local, changes }) => {
      const now = performance.now();
      for (const { replica, n } of changes) {
        const name = `${replica} ${n}`;
        if (local) {
          if (!this.#made.has(name)) this.#made.set(name, now);
        } else if (n > (person.seen.get(replica) ?? 0)) {
          person.seen.set(replica, n);
          this.latencies.push(now - this.#made.get(name)!);
        }
      }
    });
  }

  /** Begins to write; `stop` ends it. */
  write(): void {
    this.#stopped = false;
    this.#writing = this.#write();
  }

  async #write(): Promise<void> {
    const started = performance.now();
    for (let made = 0, who = 0; !this.#stopped; await sleep(TURN_MS)) {
      const due = ((performance.now() - started) / 1000) * this.#rate;
      for (; made < due; made++) this.#edit(this.people[who++ % this.people.length]!);
    }
  }

  #edit({ page, random, blocks }: Person): void {
    const dice = randomBelow(random, 20);
    if (page.pendingChanges >= UNSAVED_MAX) return;
    if (blocks.length === 0 || dice === 0)
      blocks.push(page.insert({ type: 'paragraph', text: 'a', props: { mark: 0 } }));
    const block = blocks[randomBelow(random, blocks.length)]!;
    if (dice >= 14) page.text(block).insert(0, 'word ');
    else if (dice > 0) page.update(block, { mark: randomBelow(random, 1000) });
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#writing;
  }

  get made(): number {
    return this.#made.size;
  }

  get pages(): Page[] {
    return this.people.map(({ page }) => page);
  }

  get ids(): readonly PageId[] {
    return this.#ids;
  }

  /** The changes made and not confirmed. */
  get pending(): number {
    return this.pages.reduce((sum, page) => sum + page.pendingChanges, 0);
  }

  isSafe(): boolean {
    return this.pages.every((page) => page.saved && page.settled);
  }

  /** Nothing was refused for good, all that was made is in the log once, and all copies are what the log makes. */
  async check(databaseUrl: string): Promise<number> {
    await until(() => this.isSafe(), () => `${this.pending} changes are pending`, 90_000);
    expect(this.refused).toEqual([]);
    const logged = new Map<string, number>();
    for (const id of this.#ids) {
      const log = await readWholeLog(databaseUrl, id);
      expect(logFaults(log)).toEqual([]);
      for (const { replica, n } of log) {
        const name = `${replica} ${n}`;
        logged.set(name, (logged.get(name) ?? 0) + 1);
      }
      const copies = this.pages.filter((page) => page.id === id);
      await until(() => copies.every(({ seq }) => seq === log.length), () => `${copies.map(({ seq }) => seq)} of ${log.length}`);
      expectAllEqual(copies, foldLog(id, log));
    }
    const lost = [...this.#made.keys()].filter((name) => !logged.has(name));
    const doubled = [...logged].filter(([, times]) => times > 1);
    expect([lost, doubled]).toEqual([[], []]);
    expect(this.confirmed).toBe(this.made);
    return logged.size;
  } // prettier-ignore

  async leave(): Promise<void> {
    await this.stop();
    await Promise.all(this.people.map(({ client }) => client.close()));
  }
}

/** The value below which `share` of them lie. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? NaN;
}
