/**
 * Two shards, as of two nodes, write one page through a store that fails at random: before it has done anything, or after
 * it has committed, so that nobody knows the outcome. Every change is in the log exactly once, every shard has told the
 * whole log in order, and a shard that starts anew knows a duplicate when it sees one.
 */
import { describe, expect, test } from 'vitest';
import { startWriter } from '../../test/support/shard-writer.ts';
import { until } from '../../test/support/wait.ts';
import { type Random, randomBelow, seededRandom } from '../base/random.ts';
import { sleep } from '../base/time.ts';
import { MemoryDatabase, MemoryLogStore } from '../persistence/memory-log-store.ts';
import type { LogStore } from '../persistence/log-store.ts';
import { newId, type PageId, seq } from '../protocol/ids.ts';

const CHANGES = 200;

/** A store whose appends fail: the first after it was done, the second before, then now and then in either way. */
class FailingStore extends MemoryLogStore {
  appends = 0;
  readonly #random: Random;

  constructor(database: MemoryDatabase, random: Random) {
    super(database);
    this.#random = random;
  }

  override async append(batches: Parameters<LogStore['append']>[0]): Promise<ReadonlyMap<PageId, boolean>> {
    const dice = this.appends < 2 ? 1 - this.appends : randomBelow(this.#random, 10);
    this.appends++;
    if (dice === 0) throw new Error('lost before it was done');
    const appended = await super.append(batches);
    if (dice === 1) throw new Error('lost after it was done');
    return appended;
  }
}

describe('a shard whose appends fail', () => {
  test.each([1, 2, 3])('C3 C10 C22 A15 puts every change into the log exactly once, seed %i', async (seed) => {
    const random = seededRandom(seed);
    const database = new MemoryDatabase();
    const page = newId<PageId>(Date.now(), random);
    const stores = [new FailingStore(database, random), new FailingStore(database, random)];
    const writers = [await startWriter(stores[0]!, random, page, 'ann'), await startWriter(stores[1]!, random, page, 'bob')];
    await until(() => writers.every(({ heard }) => heard.some(({ kind }) => kind === 'subscribed')), () => 'SUBSCRIBED');
    for (let n = 1; n <= CHANGES; n++) {
      for (const { write } of writers) write(n);
      if (randomBelow(random, 4) === 0) await sleep(randomBelow(random, 3));
    }
    const mine = ({ heard, replica }: (typeof writers)[0]) =>
      heard.flatMap((message) => (message.kind === 'changes' ? message.changes : [])).filter((change) => change.replica === replica);
    await until(() => writers.every((writer) => mine(writer).length === CHANGES), () => 'all changes');

    const log = await new MemoryLogStore(database).readLog(page, seq(0), 10_000, 1 << 30);
    expect(log).toHaveLength(2 * CHANGES);
    for (const writer of writers) {
      const expected = Array.from({ length: CHANGES }, (_, i) => i + 1);
      expect(log.filter(({ replica }) => replica === writer.replica).map(({ n }) => n)).toEqual(expected);
      expect(mine(writer).map(({ n }) => n)).toEqual(expected);
      expect(writer.told).toEqual(writer.told.map((_, i) => i + 1));
      expect(writer.heard.filter(({ kind }) => kind === 'reject')).toEqual([]);
    }
    // Both ways of failing were met by both.
    for (const { appends } of stores) expect(appends).toBeGreaterThan(2);
    await Promise.all(writers.map(({ shard }) => shard.drain(1000)));

    // From its snapshot and log alone a new shard knows what it has, and acknowledges it again.
    const late = await startWriter(new MemoryLogStore(database), random, page, 'ann');
    await until(() => late.heard.some(({ kind }) => kind === 'subscribed'), () => 'SUBSCRIBED');
    late.write(CHANGES, writers[0]!.replica);
    await until(() => late.heard.some((message) => message.kind === 'ack' && message.n === CHANGES), () => 'ACK');
    expect(await new MemoryLogStore(database).readLog(page, seq(0), 10_000, 1 << 30)).toHaveLength(2 * CHANGES);
    await late.shard.drain(1000);
  });
}); // prettier-ignore

test('C26 a database that was put back to an earlier state: told, loaded anew, and not hammered', async () => {
  const random = seededRandom(1);
  const database = new MemoryDatabase();
  const page = newId<PageId>(Date.now(), random);
  const store = new MemoryLogStore(database);
  let reads = 0;
  const openPage = store.openPage.bind(store);
  store.openPage = (...args) => (reads++, openPage(...args));
  const { shard, heard, told, write, subscribe } = await startWriter(store, random, page, 'ann');
  const heads = () => heard.flatMap((message) => (message.kind === 'subscribed' ? [message.head] : []));
  await until(() => heads().length === 1, () => 'SUBSCRIBED');
  for (const n of [1, 2, 3]) write(n);
  await until(() => told.length === 3, () => 'three changes');
  database.pages.get(page)!.log.length = 1;
  const before = reads;
  write(4);
  const refused = () => heard.flatMap((message) => (message.kind === 'error' && message.code === 'unavailable' ? [message] : []));
  for (let ch = 2; ; ch++) {
    await until(() => refused().length === ch - 1 || heads().length === 2, () => 'an answer');
    if (heads().length === 2) break;
    await sleep(refused().at(-1)!.retryAfterMs!);
    subscribe(ch);
  }
  expect(heads()).toEqual([0, 1]);
  expect(reads - before).toBeLessThan(5);
  await shard.drain(1000);
}); // prettier-ignore
