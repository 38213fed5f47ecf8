/**
 * The commit loop between pages that always have something to append and a store that answers when the test says so.
 */
import { describe, expect, test } from 'vitest';
import { EPOCH, PAGE, replicaId, userId, uuid } from '../../test/support/pages.ts';
import { silentLog } from '../base/log.ts';
import { seededRandom } from '../base/random.ts';
import type { Clock } from '../base/time.ts';
import type { AppendBatch, LogEntry, LogStore, StoredChange } from '../persistence/log-store.ts';
import { type EpochId, type PageId, seq } from '../protocol/ids.ts';
import { CommitLoop } from './commit-loop.ts';

const pageOf = (n: number): PageId => uuid<PageId>(n, 7);
const settle = async (): Promise<void> => {
  for (let i = 0; i < 10; i++) await Promise.resolve();
};

function change(n: number, bytes = 1): StoredChange {
  const author = userId('ann');
  return { replica: replicaId(1), n, hlcMs: 0, hlcCounter: 0, author, at: 0, body: new Uint8Array(bytes) };
}

/** A store that answers when the test says so, and as it says. */
function scriptedStore(told: string[]) {
  /** Pages for which another node was too late. */
  const wanted = new Set<PageId>();
  const appends: {
    pages: PageId[];
    answer(appended: boolean, code?: string): Promise<void>;
    lose(): Promise<void>;
  }[] = [];
  const reads: {
    wants: boolean;
    fail(): Promise<void>;
    give(head: number, entries: LogEntry[], epoch?: EpochId): Promise<void>;
    lack(): Promise<void>;
  }[] = [];
  const store: unknown = {
    append: (batches: readonly AppendBatch[]) => {
      const pages = batches.map(({ page }) => page);
      return new Promise((resolve, reject) =>
        appends.push({
          pages,
          answer: async (appended, code) => {
            if (appended) resolve(new Map(pages.map((page) => [page, wanted.has(page)])));
            else reject(Object.assign(new Error('the connection is gone'), { code }));
            await settle();
          },
          lose: async () => (resolve(new Map()), settle()),
        }),
      );
    },
    readTail: (_page: PageId, after: number, _limit: number, _bytes: number, wants: boolean) =>
      new Promise((resolve, reject) =>
        reads.push({
          wants,
          fail: async () => (reject(new Error('no database')), settle()),
          give: async (head, entries, epoch = EPOCH) => {
            const portion = entries.filter((entry) => entry.seq > after);
            resolve({ epoch, head: seq(head), closed: false, entries: portion });
            await settle();
          },
          lack: async () => (resolve(undefined), settle()),
        }),
      ),
    renewEpoch: async (old: EpochId) => void told.push(`renewed ${old}`),
  };
  return { store: store as LogStore, appends, reads, wanted };
}

function stage(bytesOfEach = 1, changesOfEach = 1) {
  const told: string[] = [];
  const { store, appends, reads, wanted } = scriptedStore(told);
  const timers: { delayMs: number; run(): Promise<void> }[] = [];
  const done: (number | null)[] = [];
  const [dirty, gone] = [new Set<PageId>(), new Set<PageId>()];
  const after: Clock['after'] = (delayMs, callback) => {
    const timer = { delayMs, run: async () => (callback(), settle()) };
    timers.push(timer);
    return { cancel: () => void timers.splice(timers.indexOf(timer), 1) };
  };
  const clock: Clock = { now: () => 0, monotonic: () => 0, after };
  const loop = new CommitLoop<PageId>({
    store,
    clock,
    random: seededRandom(1),
    log: silentLog,
    takeBatch: (page) => {
      if (!dirty.delete(page)) return undefined;
      const changes = Array.from({ length: changesOfEach }, (_, i) => change(i + 1, bytesOfEach));
      return { owner: page, epoch: EPOCH, known: seq(0), changes };
    },
    appended: (page) => told.push(`appended ${page}`),
    unsettled: (page, lost) => told.push(`${lost ? 'lost' : 'unsettled'} ${page}`),
    isGone: (page) => gone.has(page),
    damaged: (page, error) => told.push(`damaged ${page} at ${error.seq}`),
    displaced: (page) => told.push(`displaced ${page}`),
    settled: (page, entries) => told.push(`settled ${page} ${entries.length}`),
    turnEnded: () => loop.pump(),
    batchDone: ({ conflicts }) => void done.push(conflicts),
  });
  const mark = (...pages: PageId[]) => {
    for (const page of pages) {
      dirty.add(page);
      loop.markDirty(page);
    }
    loop.pump();
  };
  const many = (count: number, from = 0) => Array.from({ length: count }, (_, i) => pageOf(from + i));
  const read = async (known: number, page = PAGE) => (loop.settle(page, EPOCH, seq(known), page), settle());
  const othersWrote = (page: PageId) => (loop.othersWrote(page), loop.pump());
  return { othersWrote, appends, read, reads, timers, told, gone, wanted, done, mark, many };
}

describe('group commit', () => {
  test('C21 an idle database is used at once; what comes meanwhile goes with the next statement, all of it', async () => {
    const { appends, mark, many, told } = stage();
    mark(pageOf(0));
    expect(appends.map(({ pages }) => pages)).toEqual([[pageOf(0)]]);
    mark(...many(50, 1));
    expect(appends).toHaveLength(1);
    await appends[0]!.answer(true);
    expect(told).toEqual([`appended ${pageOf(0)}`]);
    expect(appends.map(({ pages }) => pages.length)).toEqual([1, 50]);
  });

  test('C21 a statement is bounded in pages, in changes and in bytes; one change always fits', async () => {
    for (const [bytes, changes, pages] of [
      [1, 1, 1000],
      [1, 1000, 5],
      [1 << 20, 1, 16],
      [64 << 20, 1, 1],
    ] as const) {
      const { appends, mark, many } = stage(bytes, changes);
      mark(pageOf(5000));
      mark(...many(1200));
      await appends[0]!.answer(true);
      expect(appends[1]!.pages, `${bytes} bytes, ${changes} changes`).toHaveLength(pages);
      await appends[1]!.answer(true);
      expect(appends[2]!.pages[0]).toBe(pageOf(pages));
    }
  });
});

describe('after a failure', () => {
  test('C22 batches are halved until one succeeds, then grow again', async () => {
    const { appends, timers, mark, many, told } = stage();
    mark(...many(1));
    mark(...many(40, 1));
    await appends[0]!.answer(true);
    await appends[1]!.answer(false);
    expect(told.slice(1)).toEqual(many(40, 1).map((page) => `unsettled ${page}`));
    const sizes: number[] = [];
    for (const ok of [false, false, true, true, true]) {
      mark(...many(40, 1));
      for (const timer of timers.splice(0)) await timer.run();
      sizes.push(appends.at(-1)!.pages.length);
      await appends.at(-1)!.answer(ok);
    }
    expect(sizes).toEqual([20, 10, 5, 10, 20]);
  });

  test('C103 the next append waits: little while batches are halved, longer and longer when a page alone fails', async () => {
    const { appends, timers, mark, many } = stage();
    const waits: number[] = [];
    mark(...many(4));
    for (let attempt = 0; attempt < 9; attempt++) {
      const { length } = appends;
      await appends.at(-1)!.answer(false);
      mark(...many(4));
      expect(appends).toHaveLength(length);
      const [timer] = timers.splice(0);
      waits.push(timer!.delayMs);
      await timer!.run();
      expect(appends).toHaveLength(length + 1);
    }
    for (const ms of waits.slice(0, 2)) expect(ms).toBeLessThanOrEqual(50);
    for (const [i, ms] of waits.slice(2).entries()) expect(ms).toBeLessThanOrEqual(100 * 2 ** i);
    expect(waits.at(-1)).toBeGreaterThanOrEqual(250);
    expect(waits.at(-1)).toBeLessThanOrEqual(500);
    expect(new Set(waits).size).toBe(waits.length);
  });

  test('C104 what the database refuses for good, and that stands alone, ends its page; among others it is looked for', async () => {
    const { appends, timers, mark, many, told } = stage();
    mark(...many(2));
    await appends[0]!.answer(false, '23505');
    expect(told.filter((line) => line.startsWith('damaged'))).toEqual([]);
    mark(pageOf(0));
    await timers[0]!.run();
    await appends[1]!.answer(false, '40001');
    expect(told.filter((line) => line.startsWith('damaged'))).toEqual([]);
    mark(pageOf(0));
    await timers[1]!.run();
    await appends[2]!.answer(false, '23505');
    expect(told).toContain(`damaged ${pageOf(0)} at 1`);
  });

  test('C22 the log is read until that succeeds, each time after a longer wait', async () => {
    const { read, reads, timers, told } = stage();
    await read(0);
    for (let attempt = 0; attempt < 8; attempt++) {
      await reads[attempt]!.fail();
      expect(reads).toHaveLength(attempt + 1);
      await timers[attempt]!.run();
    }
    for (const [i, { delayMs }] of timers.entries()) expect(delayMs).toBeLessThanOrEqual(50 * 2 ** i);
    expect(timers.at(-1)!.delayMs).toBeGreaterThanOrEqual(250);
    await reads.at(-1)!.give(0, []);
    expect(told).toEqual([`settled ${PAGE} 0`]);
  });

  test('C103 while the database does not answer one page asks it, whoever waits; then all do', async () => {
    const { read, reads, timers, told, many } = stage();
    for (const page of many(20)) await read(0, page);
    expect(reads).toHaveLength(20);
    for (const { fail } of reads.splice(0)) await fail();
    for (let attempt = 0; attempt < 5; attempt++) {
      expect([reads.length, timers.length]).toEqual([attempt, attempt + 1]);
      await timers[attempt]!.run();
      expect(reads).toHaveLength(attempt + 1);
      if (attempt < 4) await reads[attempt]!.fail();
    }
    await reads[4]!.give(0, []);
    expect(reads).toHaveLength(5 + 19);
    for (const { give } of reads.slice(5)) await give(0, []);
    expect(told.sort()).toEqual(many(20).map((page) => `settled ${page} 0`).sort());
    expect(timers).toHaveLength(5);
  }); // prettier-ignore

  test('C80 nobody reads the log for a page that has ended', async () => {
    const { read, reads, timers, gone, told } = stage();
    await read(0);
    for (let attempt = 0; attempt < 3; attempt++) {
      await reads[attempt]!.fail();
      if (attempt === 2) gone.add(PAGE);
      await timers[attempt]!.run();
    }
    expect([reads.length, timers.length, told]).toEqual([3, 3, []]);
    // It holds up nobody.
    await read(0, pageOf(1));
    expect(reads).toHaveLength(4);
  });

  test('C81 a hole in the log that is still there after several reads is damage, and the page ends', async () => {
    const { read, reads, timers, told } = stage();
    await read(1);
    for (let attempt = 0; told.length === 0; attempt++) {
      const last = reads.length - 1;
      await reads[last]!.give(3, [{ ...change(2), seq: seq(2) }]);
      await reads[last + 1]!.give(3, []);
      await timers[attempt]?.run();
    }
    expect(told).toEqual([`damaged ${PAGE} at 3`]);
    expect(reads.length).toBeGreaterThan(6);
  });

  test('C22 a log that lacks what its head says is not taken for whole: it is read again later', async () => {
    const { read, reads, timers, told } = stage();
    await read(1);
    const entry = { ...change(2), seq: seq(2) };
    await reads[0]!.give(3, [entry]);
    await reads[1]!.give(3, []);
    expect(told).toEqual([]);
    await timers[0]!.run();
    await reads[2]!.give(3, [entry, { ...change(3), seq: seq(3) }]);
    expect(told).toEqual([`settled ${PAGE} 2`]);
  });
});

describe('a log that is another one', () => {
  test('C26 C106 that ends before what the page holds ends the epoch, and the page is told so, at once and once', async () => {
    const { read, reads, timers, told } = stage();
    await read(5);
    await reads[0]!.give(3, []);
    expect([told, timers]).toEqual([[`renewed ${EPOCH}`, `displaced ${PAGE}`], []]);
  });

  test('C105 of another epoch is not read on, however far it goes, and its epoch stands', async () => {
    const { read, reads, told } = stage();
    const other = uuid<EpochId>(8, 8);
    for (const head of [3, 5, 9]) {
      await read(5);
      await reads.pop()!.give(head, [{ ...change(6), seq: seq(6) }], other);
    }
    expect(told).toEqual(Array(3).fill(`displaced ${PAGE}`));
  });

  test('C105 nor one whose epoch changed between two portions', async () => {
    const { read, reads, told } = stage();
    await read(5);
    await reads[0]!.give(7, [{ ...change(6), seq: seq(6) }]);
    await reads[1]!.give(7, [{ ...change(7), seq: seq(7) }], uuid<EpochId>(8, 8));
    expect(told).toEqual([`displaced ${PAGE}`]);
  });

  test('C105 a page that is not there any more is told so too', async () => {
    const { read, reads, told } = stage();
    await read(5);
    await reads[0]!.lack();
    expect(told).toEqual([`displaced ${PAGE}`]);
  });
});

describe('several nodes on one page', () => {
  test('C101 whoever has appended to it leaves it to the others for a moment, and no other page', async () => {
    const { appends, timers, mark, othersWrote } = stage();
    othersWrote(pageOf(0));
    mark(pageOf(0));
    await appends[0]!.answer(true);
    mark(pageOf(0), pageOf(1));
    expect(appends.map(({ pages }) => pages)).toEqual([[pageOf(0)], [pageOf(1)]]);
    await appends[1]!.answer(true);
    expect([appends.length, timers.length]).toEqual([2, 1]);
    expect(timers[0]!.delayMs).toBeGreaterThanOrEqual(1);
    await timers[0]!.run();
    expect(appends.at(-1)!.pages).toEqual([pageOf(0)]);
  });

  test('C125 what the others wrote ends their turn, on that page', async () => {
    const { appends, timers, mark, othersWrote } = stage();
    othersWrote(pageOf(0));
    othersWrote(pageOf(1));
    mark(pageOf(0), pageOf(1));
    await appends[0]!.answer(true);
    mark(pageOf(0), pageOf(1));
    expect([appends.length, timers.length]).toEqual([1, 2]);
    othersWrote(pageOf(1));
    expect([appends.at(-1)!.pages, timers.length]).toEqual([[pageOf(1)], 1]);
    // Nobody has a turn there.
    othersWrote(pageOf(2));
    othersWrote(pageOf(1));
    expect([appends.length, timers.length]).toEqual([2, 1]);
  });

  test('C101 when the others are too late all the same they get more and more time, then less again', async () => {
    const { appends, timers, wanted, mark, othersWrote } = stage();
    const turns: number[] = [];
    othersWrote(pageOf(0));
    for (let turn = 0; turn < 14; turn++) {
      if (turn < 8) wanted.add(pageOf(0));
      else wanted.clear();
      mark(pageOf(0));
      await appends[turn]!.answer(true);
      const [timer] = timers.splice(0);
      turns.push(timer!.delayMs);
      await timer!.run();
    }
    for (const [i, ms] of turns.slice(0, 6).entries()) expect(ms).toBeGreaterThanOrEqual(2 ** i);
    expect(turns[7]).toBeGreaterThanOrEqual(50);
    expect(Math.max(...turns)).toBeLessThanOrEqual(100);
    expect(turns[13]).toBeLessThanOrEqual(2);
  });

  test('C101 who reads the log after a lost race says so, who reads it for another reason does not', async () => {
    const { appends, mark, read, reads } = stage();
    await read(0);
    mark(pageOf(0));
    await appends[0]!.lose();
    await read(0, pageOf(0));
    mark(pageOf(1));
    await appends[1]!.answer(false);
    await read(0, pageOf(1));
    expect(reads.map(({ wants }) => wants)).toEqual([false, true, false]);
  });

  test('C101 a mark that may be its own is none', async () => {
    const { appends, timers, wanted, mark, read } = stage();
    wanted.add(pageOf(0));
    mark(pageOf(0));
    await appends[0]!.lose();
    await read(0, pageOf(0));
    mark(pageOf(0));
    await appends[1]!.answer(true);
    expect(timers).toEqual([]);
    mark(pageOf(0));
    await appends[2]!.answer(true);
    expect(timers).toHaveLength(1);
  });

  test('C101 while nobody else writes it, nobody waits', async () => {
    const { appends, timers, mark } = stage();
    for (let turn = 0; turn < 3; turn++) {
      mark(pageOf(0));
      await appends[turn]!.answer(true);
    }
    expect([appends.length, timers.length]).toEqual([3, 0]);
  });

  test('C101 who has lost its race goes on at once', async () => {
    const { appends, timers, mark, told, othersWrote } = stage();
    othersWrote(pageOf(0));
    mark(pageOf(0));
    await appends[0]!.lose();
    expect(told).toEqual([`lost ${pageOf(0)}`]);
    mark(pageOf(0));
    expect([appends.length, timers.length]).toEqual([2, 0]);
  });

  test('C102 lost races are counted, failed statements are not among them', async () => {
    const { appends, timers, mark, many, done } = stage();
    mark(...many(1));
    mark(...many(3, 1));
    await appends[0]!.answer(true);
    await appends[1]!.lose();
    mark(pageOf(0));
    await appends[2]!.answer(false);
    expect([done, timers.length]).toEqual([[0, 3, null], 1]);
  });
});
