/**
 * Appends that fail by each error of the database that passes, before or after they were done: what was written is in the log
 * once afterwards, and nobody is sent away for it.
 */
import { afterEach, expect, test } from 'vitest';
import { startWriter } from '../../test/support/shard-writer.ts';
import { until } from '../../test/support/wait.ts';
import { seededRandom } from '../base/random.ts';
import { MemoryDatabase, MemoryLogStore } from '../persistence/memory-log-store.ts';
import { StoreError } from '../persistence/store-error.ts';
import { newId, type PageId } from '../protocol/ids.ts';

const FAILURES = 4;
const CHANGES = 20;

class FailingStore extends MemoryLogStore {
  readonly #error: StoreError;
  #left = FAILURES;

  constructor(database: MemoryDatabase, error: StoreError) {
    super(database);
    this.#error = error;
  }

  get hasFailed(): boolean {
    return this.#left === 0;
  }

  override async append(
    ...args: Parameters<MemoryLogStore['append']>
  ): Promise<ReadonlyMap<PageId, boolean>> {
    const isDone = this.#left % 2 === 0;
    if (this.#left === 0) return super.append(...args);
    this.#left--;
    if (isDone) await super.append(...args);
    throw this.#error;
  }
}

const drains: (() => Promise<void>)[] = [];
afterEach(() => Promise.all(drains.splice(0).map((drain) => drain())));

test.each(['08006', '40001', '40P01', '53100', '53300', '55P03', '57P01', '57P02', '57P03', '25006', 'connection', 'timeout'])('C110 %s', async (code) => {
  const database = new MemoryDatabase();
  const page = newId<PageId>(1_700_000_000_000, seededRandom(7));
  const store = new FailingStore(database, new StoreError(code, true, `append: it failed (${code})`));
  const writer = await startWriter(store, seededRandom(8), page, 'ann', { commitStallMs: 10 });
  drains.push(() => writer.shard.drain(1000));
  await until(() => writer.heard.some(({ kind }) => kind === 'subscribed'), () => 'SUBSCRIBED');
  // Two at a time, so that each failure meets another append.
  for (let n = 1; n <= CHANGES; n += 2) {
    writer.write(n);
    writer.write(n + 1);
    await until(() => writer.told.length === n + 1, () => `told ${String(writer.told)}`);
  }
  expect(store.hasFailed).toBe(true);
  expect(database.pages.get(page)!.log.map(({ n }) => n)).toEqual(Array.from({ length: CHANGES }, (_, i) => i + 1));
  expect(writer.told).toEqual(Array.from({ length: CHANGES }, (_, i) => i + 1));
  expect(writer.heard.filter(({ kind }) => kind === 'reject' || kind === 'error')).toEqual([]);
}); // prettier-ignore
