/**
 * The one statement on the hot path, against a real PostgreSQL: appends of several pages and several changes each, one
 * at a time as a shard has them. The log is read afterwards and must hold every change once, in order.
 */
import { openPostgresLogStore } from '../../src/persistence/postgres-log-store.ts';
import type { AppendBatch, LogStore, StoredChange } from '../../src/persistence/log-store.ts';
import { type EpochId, newId, type PageId, seq } from '../../src/protocol/ids.ts';
import { silentLog } from '../../src/base/log.ts';
import { systemRandom } from '../../src/base/random.ts';
import { checkpoint, databaseVersion, openBenchDatabase } from '../lib/database.ts';
import { figure, type Figure, percentile, type SuiteOptions, type SuiteResult } from '../lib/figures.ts';
import { must } from '../lib/must.ts';
import { AUTHOR, stampAt } from '../lib/pages.ts';

const BODY_BYTES = 90;
const SHAPES = [
  { pages: 1, changes: 1 },
  { pages: 10, changes: 1 },
  { pages: 100, changes: 1 },
  { pages: 50, changes: 20 },
] as const;
const WARM_UP = 50;

class Pages {
  readonly #store: LogStore;
  readonly #pages: PageId[];
  readonly #each: number;
  readonly #body = new Uint8Array(BODY_BYTES).fill(0x61);
  readonly #epoch: EpochId;
  #head = 0;

  private constructor(store: LogStore, epoch: EpochId, pages: PageId[], each: number) {
    this.#store = store;
    this.#epoch = epoch;
    this.#pages = pages;
    this.#each = each;
  }

  static async create(store: LogStore, count: number, each: number): Promise<Pages> {
    const pages: PageId[] = [];
    for (let i = 0; i < count; i++) {
      const page = newId<PageId>(Date.now(), systemRandom);
      await store.openPage(page, 'blocks');
      pages.push(page);
    }
    return new Pages(store, await store.epoch(), pages, each);
  }

  async append(): Promise<void> {
    const head = this.#head;
    const change = (i: number): StoredChange => {
      const { replica, ms, counter } = stampAt(head + i);
      const n = head + i + 1;
      return { replica, n, hlcMs: ms, hlcCounter: counter, author: AUTHOR, at: ms, body: this.#body };
    };
    const changes = Array.from({ length: this.#each }, (_, i) => change(i));
    const batches: AppendBatch[] = this.#pages.map((page) => ({
      page,
      epoch: this.#epoch,
      known: seq(head),
      changes,
    }));
    const appended = await this.#store.append(batches);
    must(appended.size === batches.length, 'every page is appended to');
    this.#head += this.#each;
  }

  async check(): Promise<void> {
    for (const page of [this.#pages[0]!, this.#pages.at(-1)!]) {
      let after = 0;
      for (;;) {
        const part = await this.#store.readLog(page, seq(after), 5000, 64 << 20);
        if (part.length === 0) break;
        for (const { seq: at, n } of part) must(at === ++after && n === at, 'the log has every change once, in order'); // prettier-ignore
      }
      must(after === this.#head, `the log ends at its head, ${this.#head}`);
    }
  }
}

export async function append(options: SuiteOptions): Promise<SuiteResult> {
  const database = await openBenchDatabase();
  const store = openPostgresLogStore({ url: database.url, log: silentLog });
  const figures: Figure[] = [];
  try {
    for (const { pages: count, changes } of SHAPES) {
      const pages = await Pages.create(store, count, changes);
      for (let i = 0; i < WARM_UP; i++) await pages.append();
      const p50: number[] = [];
      const rate: number[] = [];
      for (let round = 0; round < options.rounds; round++) {
        await checkpoint(database.url);
        const times: number[] = [];
        const from = performance.now();
        const until = from + (options.seconds * 1000) / options.rounds;
        for (let at = from; at < until;) {
          await pages.append();
          const now = performance.now();
          times.push(now - at);
          at = now;
        }
        rate.push((times.length * count * changes * 1000) / (performance.now() - from));
        p50.push(percentile(Float64Array.from(times).sort(), 0.5));
      }
      await pages.check();
      const name = `${count} pages × ${changes} changes`;
      figures.push(figure(`${name}: p50 of one append`, 'ms', 'lower', p50));
      figures.push(figure(name, 'changes/s', 'higher', rate));
    }
  } finally {
    await store.close();
    await database.drop();
  }
  const settings = {
    bodies: `${BODY_BYTES} bytes`,
    connections: 1,
    postgres: (await databaseVersion()) ?? 'none',
  };
  return { suite: 'append', settings, figures, notes: [] };
}
