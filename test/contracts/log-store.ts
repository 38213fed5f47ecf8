/**
 * The contract of the log store port, run on each of its twins (log-store.test.ts). A bench is one database; every
 * `open()` is another node's store on it. What lies behind the port (closing a page, damaging a row) the bench does.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Log } from '../../src/base/log.ts';
import { seededRandom } from '../../src/base/random.ts';
import {
  type EpochId,
  newId,
  seq,
  type PageId,
  type ReplicaId,
  type Seq,
  type UserId,
} from '../../src/protocol/ids.ts';
import type { AppendBatch, LogStore, StoredChange, StoredSnapshot } from '../../src/persistence/log-store.ts';
import type { RepairStore } from '../../src/persistence/repair-store.ts';

export interface LogStoreBench {
  open(log?: Log): RepairStore;
  setClosed(page: PageId, closed: boolean): Promise<void>;
  /** Flips bits in the body of a stored snapshot. */
  damageSnapshot(page: PageId, at: Seq): Promise<void>;
  destroy(): Promise<void>;
}

const ALL = Number.MAX_SAFE_INTEGER;
const ROUNDS = 300;

/** Of the database that the tests run on. */
let epoch: EpochId;

const random = seededRandom(16);
const newPageId = () => newId<PageId>(1_700_000_000_000, random);
const replica = newId<ReplicaId>(1_700_000_000_000, random);

function change(n: number, body: Uint8Array = Uint8Array.of(n & 255, 1, 2)): StoredChange {
  const author = 'zoë 😀 "quoted" \\ {x,NULL}' as UserId;
  return { replica, n, hlcMs: 1_763_709_025_123 + n, hlcCounter: n % 7, author, at: 1_763_709_025_000, body };
}

function batch(page: PageId, known: number, count = 1): AppendBatch {
  const changes = Array.from({ length: count }, (_, i) => change(known + i + 1));
  return { page, epoch, known: seq(known), changes };
}

async function newPages(store: LogStore, count: number): Promise<PageId[]> {
  const pages = Array.from({ length: count }, newPageId);
  for (const page of pages) await store.openPage(page, 'blocks');
  return pages;
}

async function seqsOf(store: LogStore, page: PageId): Promise<number[]> {
  return (await store.readLog(page, seq(0), 1_000_000, ALL)).map((entry) => entry.seq);
}

const pagesOf = (appended: ReadonlyMap<PageId, boolean>) => new Set(appended.keys());
const upTo = (count: number) => Array.from({ length: count }, (_, i) => i + 1);

function snapshot(at: number, size = 40): StoredSnapshot {
  const body = random.bytes(size);
  return { seq: seq(at), modelVersion: 3, body, private: Uint8Array.of(9, 0, 255, at & 255) };
}

export function logStoreContract(name: string, make: () => Promise<LogStoreBench>): void {
  describe(`log store: ${name}`, () => {
    let bench: LogStoreBench;
    let store: RepairStore;
    beforeAll(async () => {
      bench = await make();
      store = bench.open();
      epoch = await store.epoch();
    });
    afterAll(async () => {
      await store.close();
      await bench.destroy();
    });
    const context = { bench: () => bench, store: () => store };
    pageTests(context);
    appendTests(context);
    contestTests(context);
    readTests(context);
    snapshotTests(context);
    repairTests(context);
    epochTests(context);
    lifeTests(context);
  });
}

interface Context {
  bench(): LogStoreBench;
  store(): RepairStore;
}

function pageTests({ bench, store }: Context): void {
  test('S51 the heads of many pages are read at once', async () => {
    const [one, two, three] = (await newPages(store(), 3)) as [PageId, PageId, PageId];
    await store().append([batch(one, 0, 3)]);
    await bench().setClosed(two, true);
    const heads = await store().readHeads([three, one, newPageId(), two]);
    const sorted = heads.sort((a, b) => a.head - b.head || Number(a.closed) - Number(b.closed));
    expect(sorted).toEqual([
      { page: three, epoch, head: 0, closed: false },
      { page: two, epoch, head: 0, closed: true },
      { page: one, epoch, head: 3, closed: false },
    ]);
    expect(await store().readHeads([])).toEqual([]);
  });

  test('S1 a page that nobody made is not there', async () => {
    expect(await store().openPage(newPageId())).toBeUndefined();
  });

  test('S1 a page is made once; the stored kind is read back', async () => {
    const page = newPageId();
    expect(await store().openPage(page, 'ydoc')).toEqual({ kind: 'ydoc', epoch, head: 0, closed: false });
    expect(await store().openPage(page, 'blocks')).toEqual({ kind: 'ydoc', epoch, head: 0, closed: false });
    expect(await store().openPage(page)).toEqual({ kind: 'ydoc', epoch, head: 0, closed: false });
  });

  test('S1 nodes that make one page at the same moment agree on its kind', async () => {
    const stores = upTo(4).map(() => bench().open());
    for (let round = 0; round < 40; round++) {
      const page = newPageId();
      const heads = await Promise.all(
        stores.map((s, i) => s.openPage(page, i % 2 === 0 ? 'blocks' : 'ydoc')),
      );
      const kind = heads[0]?.kind;
      expect(kind).toBeDefined();
      for (const head of heads) expect(head).toEqual({ kind, epoch, head: 0, closed: false });
    }
    await Promise.all(stores.map((s) => s.close()));
  });
}

function appendTests({ bench, store }: Context): void {
  test('S2 C5 seqs count from 1 without gaps, over several appends', async () => {
    const [page] = (await newPages(store(), 1)) as [PageId];
    expect(pagesOf(await store().append([batch(page, 0, 3)]))).toEqual(new Set([page]));
    expect(pagesOf(await store().append([batch(page, 3)]))).toEqual(new Set([page]));
    expect(pagesOf(await store().append([batch(page, 4, 200)]))).toEqual(new Set([page]));
    expect(await seqsOf(store(), page)).toEqual(upTo(204));
    expect(await store().openPage(page)).toEqual({ kind: 'blocks', epoch, head: 204, closed: false });
  });

  test('S2 an append that knows another head writes nothing', async () => {
    const [page] = (await newPages(store(), 1)) as [PageId];
    await store().append([batch(page, 0, 2)]);
    for (const known of [0, 1, 3, 100])
      expect(pagesOf(await store().append([batch(page, known)]))).toEqual(new Set());
    expect(await seqsOf(store(), page)).toEqual([1, 2]);
  });

  test('S2 of several pages in one append those that moved on are left out, with all their changes', async () => {
    const [a, b, c, closed] = (await newPages(store(), 4)) as [PageId, PageId, PageId, PageId];
    const unknown = newPageId();
    await store().append([batch(b, 0, 5)]);
    await bench().setClosed(closed, true);
    const moved = await store().append([
      batch(c, 0, 2),
      batch(closed, 0),
      batch(a, 0, 3),
      batch(unknown, 0),
      batch(b, 4, 7),
    ]);
    expect(pagesOf(moved)).toEqual(new Set([a, c]));
    expect(await seqsOf(store(), a)).toEqual([1, 2, 3]);
    expect(await seqsOf(store(), b)).toEqual(upTo(5));
    expect(await seqsOf(store(), c)).toEqual([1, 2]);
    expect(await seqsOf(store(), closed)).toEqual([]);
    expect(await seqsOf(store(), unknown)).toEqual([]);
  });

  test('S2 a closed page takes nothing until it is opened again', async () => {
    const [page] = (await newPages(store(), 1)) as [PageId];
    await store().append([batch(page, 0)]);
    await bench().setClosed(page, true);
    expect(await store().openPage(page)).toEqual({ kind: 'blocks', epoch, head: 1, closed: true });
    expect(pagesOf(await store().append([batch(page, 1)]))).toEqual(new Set());
    await bench().setClosed(page, false);
    expect(pagesOf(await store().append([batch(page, 1)]))).toEqual(new Set([page]));
  });

  test('S4 C6 what was stored is read back exactly', async () => {
    const [page] = (await newPages(store(), 1)) as [PageId];
    const bodies = [new Uint8Array(0), Uint8Array.from({ length: 256 }, (_, i) => i), random.bytes(300_000)];
    const changes: StoredChange[] = bodies.map((body, i) => change(i + 1, body));
    changes.push({ ...change(4), author: '' as UserId, hlcMs: 0, at: 0 });
    changes.push({ ...change(5), n: 2 ** 40, hlcMs: Number.MAX_SAFE_INTEGER, hlcCounter: 2 ** 31 - 1 });
    await store().append([{ page, epoch, known: seq(0), changes }]);
    const log = await store().readLog(page, seq(0), 100, ALL);
    expect(log).toEqual(changes.map((stored, i) => ({ ...stored, seq: i + 1 })));
  });

  test('S4 the bytes are taken at the call: the caller may reuse its buffer', async () => {
    const [page] = (await newPages(store(), 1)) as [PageId];
    const body = Uint8Array.of(1, 2, 3);
    const appended = store().append([{ page, epoch, known: seq(0), changes: [change(1, body)] }]);
    body.fill(99);
    await appended;
    expect((await store().readLog(page, seq(0), 1, ALL))[0]?.body).toEqual(Uint8Array.of(1, 2, 3));
  });

  test('S2 nothing to append is nothing appended; an empty batch or a page named twice is a bug', async () => {
    const [page] = (await newPages(store(), 1)) as [PageId];
    expect(pagesOf(await store().append([]))).toEqual(new Set());
    await expect(store().append([{ page, epoch, known: seq(0), changes: [] }])).rejects.toThrow(
      'needs a change',
    );
    await expect(store().append([batch(page, 0), batch(page, 0)])).rejects.toThrow('each page once');
    expect(await seqsOf(store(), page)).toEqual([]);
  });
}

function contestTests({ bench, store }: Context): void {
  test('S3 two nodes appending to the same pages in opposite order leave no gap, double or deadlock', async () => {
    const pages = await newPages(store(), 8);
    const nodes = [bench().open(), bench().open()];
    const wins = await Promise.all(
      nodes.map((node, i) => contest(node, i === 0 ? pages : [...pages].reverse())),
    );
    for (const page of pages) {
      const own = wins.reduce((sum, won) => sum + (won.get(page) ?? 0), 0);
      expect(await seqsOf(store(), page)).toEqual(upTo(own));
      expect((await store().openPage(page))?.head).toBe(own);
    }
    await Promise.all(nodes.map((node) => node.close()));
  });

  test('S3 of many stores that know the same heads one wins each page, in whatever order they name them', async () => {
    const stores = upTo(6).map(() => bench().open());
    const pages = await newPages(store(), 60);
    for (let known = 0; known < 60; known++) {
      const orders = stores.map((_, i) => (i % 2 === 0 ? pages : [...pages].reverse()));
      const appends = stores.map((s, i) => s.append(orders[i]!.map((page) => batch(page, known))));
      const outcomes = await Promise.all(appends);
      for (const page of pages) expect(outcomes.filter((moved) => moved.has(page))).toHaveLength(1);
    }
    for (const page of pages) expect(await seqsOf(store(), page)).toEqual(upTo(60));
    await Promise.all(stores.map((s) => s.close()));
  });
}

/** Appends to all pages again and again, catching up where another was first; returns the changes won per page. */
async function contest(node: LogStore, pages: readonly PageId[]): Promise<Map<PageId, number>> {
  const known = new Map(pages.map((page) => [page, 0]));
  const won = new Map<PageId, number>();
  for (let round = 0; round < ROUNDS; round++) {
    const count = 1 + (round % 3);
    const moved = await node.append(pages.map((page) => batch(page, known.get(page)!, count)));
    for (const page of pages) {
      if (moved.has(page)) {
        known.set(page, known.get(page)! + count);
        won.set(page, (won.get(page) ?? 0) + count);
      } else {
        known.set(page, (await node.openPage(page))!.head);
      }
    }
  }
  return won;
}

function readTests({ store }: Context): void {
  test('S5 the log is read in portions, by count and by bytes', async () => {
    const [page] = (await newPages(store(), 1)) as [PageId];
    const changes = upTo(10).map((n) => change(n, new Uint8Array(100).fill(n)));
    await store().append([{ page, epoch, known: seq(0), changes }]);
    const read = async (after: number, limit: number, bytesMax: number) =>
      (await store().readLog(page, seq(after), limit, bytesMax)).map((entry) => entry.seq);
    expect(await read(0, 4, ALL)).toEqual([1, 2, 3, 4]);
    expect(await read(4, 4, ALL)).toEqual([5, 6, 7, 8]);
    expect(await read(8, 4, ALL)).toEqual([9, 10]);
    expect(await read(10, 4, ALL)).toEqual([]);
    expect(await read(99, 4, ALL)).toEqual([]);
    expect(await read(0, 100, 300)).toEqual([1, 2, 3]);
    expect(await read(2, 100, 399)).toEqual([3, 4, 5]);
  });

  test('S5 one entry always comes, however large', async () => {
    const [page] = (await newPages(store(), 1)) as [PageId];
    const changes = [change(1, new Uint8Array(50_000)), change(2)];
    await store().append([{ page, epoch, known: seq(0), changes }]);
    expect((await store().readLog(page, seq(0), 10, 100)).map((entry) => entry.seq)).toEqual([1]);
    expect((await store().readLog(page, seq(1), 10, 0)).map((entry) => entry.seq)).toEqual([2]);
  });
}

function epochTests({ bench, store }: Context): void {
  test('S121 the end of the log comes with head, epoch and whether the page is closed, of one moment', async () => {
    const [page] = (await newPages(store(), 1)) as [PageId];
    expect(await store().readTail(page, seq(0), 10, ALL)).toEqual({ epoch, head: 0, closed: false, entries: [] });
    await store().append([batch(page, 0, 5)]);
    await bench().setClosed(page, true);
    const whole = await store().readLog(page, seq(0), 10, ALL);
    const read = (after: number, limit: number, bytesMax = ALL) => store().readTail(page, seq(after), limit, bytesMax);
    expect(await read(0, 10)).toEqual({ epoch, head: 5, closed: true, entries: whole });
    expect(await read(1, 2)).toEqual({ epoch, head: 5, closed: true, entries: whole.slice(1, 3) });
    expect(await read(2, 10, 1)).toEqual({ epoch, head: 5, closed: true, entries: whole.slice(2, 3) });
    for (const after of [5, 7]) expect(await read(after, 10)).toEqual({ epoch, head: 5, closed: true, entries: [] });
    expect(await store().readTail(newPageId(), seq(0), 10, ALL)).toBeUndefined();
  }); // prettier-ignore

  test('S125 an append tells of each page whether somebody has lost a race for it since the one before', async () => {
    const [page, other] = (await newPages(store(), 2)) as [PageId, PageId];
    const append = async (known: number) => [...(await store().append([batch(page, known), batch(other, known)]))].sort();
    const told = (isWanted: boolean) => [[page, isWanted], [other, false]].sort();
    expect(await append(0)).toEqual(told(false));
    expect(await append(1)).toEqual(told(false));
    for (let i = 0; i < 2; i++) expect((await store().readTail(page, seq(2), 1, ALL, true))?.head).toBe(2);
    await store().readTail(other, seq(2), 1, ALL);
    expect(await append(2)).toEqual(told(true));
    expect(await append(3)).toEqual(told(false));
  }); // prettier-ignore

  test('S120 S122 in a new epoch nothing of an old one is stored, and all that is read names the new one', async () => {
    const [page, other] = (await newPages(store(), 2)) as [PageId, PageId];
    await store().append([batch(page, 0, 3)]);
    const kept = snapshot(2);
    await store().saveSnapshot(page, epoch, kept);
    const old = epoch;
    await store().renewEpoch(old);
    epoch = await store().epoch();
    expect(epoch).not.toBe(old);
    // Who is late with the same news changes nothing.
    await store().renewEpoch(old);
    expect(await store().epoch()).toBe(epoch);
    expect(pagesOf(await store().append([{ ...batch(page, 3), epoch: old }, batch(other, 0)]))).toEqual(new Set([other]));
    await store().saveSnapshot(page, old, snapshot(3));
    expect(await store().readSnapshots(page)).toEqual([kept]);
    const read = [await store().openPage(page), await store().readTail(page, seq(3), 1, ALL), ...(await store().readHeads([page]))];
    expect(read.map((one) => [one?.epoch, one?.head])).toEqual(Array(3).fill([epoch, 3]));
    expect(pagesOf(await store().append([batch(page, 3)]))).toEqual(new Set([page]));
    await store().saveSnapshot(page, epoch, snapshot(3));
    expect((await store().readSnapshots(page)).map((one) => one.seq)).toEqual([3, 2]);
  }); // prettier-ignore
}

function snapshotTests({ bench, store }: Context): void {
  test('S6 the newest two snapshots are kept, newest first, byte for byte', async () => {
    const [page] = (await newPages(store(), 1)) as [PageId];
    expect(await store().readSnapshots(page)).toEqual([]);
    const [first, second, third] = [snapshot(10), snapshot(20, 200_000), snapshot(30, 0)];
    await store().saveSnapshot(page, epoch, first);
    expect(await store().readSnapshots(page)).toEqual([first]);
    await store().saveSnapshot(page, epoch, second);
    expect(await store().readSnapshots(page)).toEqual([second, first]);
    await store().saveSnapshot(page, epoch, third);
    expect(await store().readSnapshots(page)).toEqual([third, second]);
  });

  test('S6 a snapshot of the same seq replaces, one older than two others is dropped', async () => {
    const [page] = (await newPages(store(), 1)) as [PageId];
    const [older, newer, again] = [snapshot(20), snapshot(30), snapshot(30)];
    for (const each of [older, newer, again, again, snapshot(10)])
      await store().saveSnapshot(page, epoch, each);
    expect(await store().readSnapshots(page)).toEqual([again, older]);
  });

  test('S7 a damaged snapshot is skipped and reported, and healed by saving it again', async () => {
    const lines: { fields: object; message: string }[] = [];
    const quiet = () => {};
    const error = (fields: object, message: string) => void lines.push({ fields, message });
    const other = bench().open({ debug: quiet, info: quiet, warn: quiet, error });
    const [page] = (await newPages(other, 1)) as [PageId];
    const [older, newer] = [snapshot(5), snapshot(7)];
    await other.saveSnapshot(page, epoch, older);
    await other.saveSnapshot(page, epoch, newer);
    await bench().damageSnapshot(page, newer.seq);
    expect(await other.readSnapshots(page)).toEqual([older]);
    expect(lines).toHaveLength(1);
    expect(lines[0]).toMatchObject({ fields: { page, seq: 7, repair: `octavo rebuild ${page}` } });
    await other.saveSnapshot(page, epoch, newer);
    expect(await other.readSnapshots(page)).toEqual([newer, older]);
    await other.close();
  });
}

function repairTests({ bench, store }: Context): void {
  test('S60 all pages are listed in portions, in the order of their ids', async () => {
    const pages = await newPages(store(), 7);
    const listed: PageId[] = [];
    for (let after: PageId | null = null; ; after = listed.at(-1)!) {
      const portion = await store().pagesAfter(after, 3);
      expect(portion.length).toBeLessThanOrEqual(3);
      listed.push(...portion);
      if (portion.length < 3) break;
    }
    expect(listed).toEqual([...listed].sort());
    expect(new Set(listed).size).toBe(listed.length);
    expect(listed).toEqual(expect.arrayContaining(pages));
  });

  test('S61 what is stored is seen as it is, bad snapshots too', async () => {
    const [page] = (await newPages(store(), 1)) as [PageId];
    expect(await store().snapshotSeqs(page)).toEqual([]);
    expect(await store().findSnapshot(page, seq(5))).toBeUndefined();
    const [older, newer] = [snapshot(5), snapshot(7)];
    await store().saveSnapshot(page, epoch, older);
    await store().saveSnapshot(page, epoch, newer);
    await bench().damageSnapshot(page, newer.seq);
    expect(await store().snapshotSeqs(page)).toEqual([5, 7]);
    expect(await store().findSnapshot(page, seq(5))).toMatchObject({ ...older, checksumGood: true });
    expect(await store().findSnapshot(page, seq(7))).toMatchObject({ seq: 7, checksumGood: false });
  });

  test('S62 a snapshot is taken away only while it is the one that was looked at', async () => {
    const [page] = (await newPages(store(), 1)) as [PageId];
    await store().saveSnapshot(page, epoch, snapshot(5));
    const seen = (await store().findSnapshot(page, seq(5)))!;
    const fresh = snapshot(5);
    await store().saveSnapshot(page, epoch, fresh);
    const good = (await store().findSnapshot(page, seq(5)))!;
    await bench().damageSnapshot(page, seq(5));
    const damaged = (await store().findSnapshot(page, seq(5)))!;
    await store().saveSnapshot(page, epoch, fresh);
    // Healed by the same bytes: the checksum alone would not tell.
    expect(damaged.checksum).toEqual(good.checksum);
    expect(await store().removeSnapshot(page, damaged)).toBe(false);
    expect(await store().removeSnapshot(page, seen)).toBe(false);
    expect(await store().readSnapshots(page)).toEqual([fresh]);
    const again = (await store().findSnapshot(page, seq(5)))!;
    expect(await store().removeSnapshot(page, again)).toBe(true);
    expect(await store().snapshotSeqs(page)).toEqual([]);
  });
}

function lifeTests({ bench, store }: Context): void {
  test('S8 the epoch is one id, the same for every store of a database', async () => {
    const other = bench().open();
    const epoch = await store().epoch();
    expect(epoch).toMatch(/^[0-9a-f-]{36}$/);
    expect(await other.epoch()).toBe(epoch);
    await other.close();
  });

  test('S9 close waits for what is under way; afterwards every call is refused', async () => {
    const [page] = (await newPages(store(), 1)) as [PageId];
    const other = bench().open();
    await other.ping();
    const appended = other.append([batch(page, 0)]);
    const read = other.readLog(page, seq(0), 1, ALL);
    await other.close();
    expect(pagesOf(await appended)).toEqual(new Set([page]));
    await read;
    await other.close();
    for (const refused of [
      other.ping(),
      other.append([batch(page, 1)]),
      other.openPage(page),
      other.epoch(),
    ]) {
      await expect(refused).rejects.toMatchObject({ name: 'StoreError', code: 'closed', retryable: false });
    }
  });
}
