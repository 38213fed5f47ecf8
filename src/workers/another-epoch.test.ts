/**
 * Nodes that run on while their database is put back: what they hold is of another log from then on, and neither gets into
 * the new one nor takes anything from it. Two nodes that have five changes; the database goes back to three.
 */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { startWriter } from '../../test/support/shard-writer.ts';
import { until } from '../../test/support/wait.ts';
import { seededRandom } from '../base/random.ts';
import { MemoryDatabase, MemoryLogStore } from '../persistence/memory-log-store.ts';
import { type EpochId, newId, type PageId, seq } from '../protocol/ids.ts';
import type { ShardOptions } from './shard-options.ts';

type Node = Awaited<ReturnType<typeof startWriter>>;

const POLLED: Partial<ShardOptions> = { headPollMs: 5 };

let database: MemoryDatabase;
let page: PageId;
let seed = 0;
let nodes: Node[];

beforeEach(() => {
  database = new MemoryDatabase();
  page = newId<PageId>(1_700_000_000_000, seededRandom(seed));
  nodes = [];
});
afterEach(() => Promise.all(nodes.map(({ shard }) => shard.drain(1000))));

async function join(more: Partial<ShardOptions> = {}): Promise<Node> {
  const node = await startWriter(
    new MemoryLogStore(database),
    seededRandom(++seed),
    page,
    `user${seed}`,
    more,
  );
  nodes.push(node);
  await until(
    () => node.heard.some(({ kind }) => kind === 'subscribed'),
    () => 'SUBSCRIBED',
  );
  return node;
}

const log = () => database.pages.get(page)!.log;
const told = (node: Node, head: number) =>
  until(
    () => node.told.at(-1) === head,
    () => `told up to ${head}, got ${String(node.told)}`,
  );
const refused = (node: Node) => node.heard.flatMap((one) => (one.kind === 'error' ? [one.code] : []));
const isRefused = (node: Node) =>
  until(
    () => refused(node).length > 0,
    () => 'the refusal',
  );

async function five(first: Node): Promise<void> {
  for (let n = 1; n <= 5; n++) first.write(n);
  await told(first, 5);
}

/** Asks again as a client would: from where it stands. */
async function comeBack(node: Node, epoch: EpochId) {
  const { length } = node.heard;
  node.subscribe(2, { since: seq(5), epoch });
  await until(
    () => node.heard.slice(length).some(({ kind }) => kind === 'subscribed'),
    () => 'SUBSCRIBED again',
  );
  return node.heard.slice(length).find((one) => one.kind === 'subscribed')!;
}

describe('a database that was put back and has a new epoch', () => {
  test('C105 a node that held more takes nothing of the new log, though its seqs go on from there; its clients come back to all of it', async () => {
    const [old, first] = [await join(POLLED), database.epoch];
    await five(old);
    database.goBack(2);
    database.newEpoch();
    const other = await join();
    for (let n = 1; n <= 10; n++) other.write(n);
    await told(other, 13);
    await isRefused(old);
    expect(refused(old)).toEqual(['unavailable']);
    // Nothing past 5 was told as if it followed what this node's clients have.
    expect(old.told).toEqual([1, 2, 3, 4, 5]);
    const answer = await comeBack(old, first);
    expect(answer).toMatchObject({ head: 13, lastN: 3, epoch: database.epoch });
    old.write(4, old.replica, 2);
    await told(old, 14);
    expect(log().map(({ n }) => n)).toEqual([1, 2, 3, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 4]);
  });

  test('C105 what a node appends to a log that has come to the very same head is not taken', async () => {
    const old = await join();
    await five(old);
    database.goBack(2);
    database.newEpoch();
    const other = await join();
    for (let n = 1; n <= 2; n++) other.write(n);
    await told(other, 5);
    old.write(6);
    await isRefused(old);
    expect(log().map(({ replica, n }) => [replica === old.replica, n])).toEqual([
      [true, 1],
      [true, 2],
      [true, 3],
      [false, 1],
      [false, 2],
    ]);
  });

  test('C107 a client that knows the new epoch is not answered out of the old one', async () => {
    const old = await join();
    await five(old);
    database.goBack(2);
    database.newEpoch();
    const { length } = old.heard;
    old.subscribe(2, { since: seq(3), epoch: database.epoch });
    await isRefused(old);
    expect(old.heard.slice(length).filter(({ kind }) => kind === 'subscribed')).toEqual([]);
  });

  test('C105 no snapshot of the old log is stored beside the new one', async () => {
    const old = await join();
    await five(old);
    database.goBack(2);
    database.newEpoch();
    await old.shard.drain(1000);
    expect(await new MemoryLogStore(database).readSnapshots(page)).toEqual([]);
  });

  test('C105 a page that the backup did not have yet is made again by who may', async () => {
    const old = await join(POLLED);
    await five(old);
    database.pages.clear();
    database.newEpoch();
    old.write(6);
    await isRefused(old);
    expect(await comeBack(old, database.epoch)).toMatchObject({ head: 0, lastN: 0 });
  });
});

describe('a database that was put back unsaid', () => {
  test('C106 the first node that misses what it knew ends the epoch, for the others too', async () => {
    const [one, two] = [await join(POLLED), await join(POLLED)];
    const first = database.epoch;
    await five(one);
    await told(two, 5);
    database.goBack(2);
    await Promise.all([isRefused(one), isRefused(two)]);
    expect(database.epoch).not.toBe(first);
    for (const node of [one, two]) {
      expect(await comeBack(node, first)).toMatchObject({ head: 3, epoch: database.epoch });
    }
  });

  test('C106 a node whose own append meets it does so too, and its change is not lost to its client', async () => {
    const old = await join();
    const first = database.epoch;
    await five(old);
    database.goBack(2);
    old.write(6);
    await isRefused(old);
    expect(database.epoch).not.toBe(first);
    expect(await comeBack(old, first)).toMatchObject({ head: 3, lastN: 3 });
    old.write(4, old.replica, 2);
    await told(old, 4);
  });

  test('C106 a head that was asked for before an append is none that has gone back', async () => {
    const node = await join({ headPollMs: 1 });
    const first = database.epoch;
    for (let n = 1; n <= 300; n++) {
      node.write(n);
      if (n % 10 === 0) await told(node, n);
    }
    await told(node, 300);
    expect([database.epoch, refused(node)]).toEqual([first, []]);
  });
});
