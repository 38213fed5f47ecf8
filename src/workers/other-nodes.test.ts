/**
 * Two shards, as of two nodes, on one page: what one appends the other hears by the bus; what the bus loses, from the log.
 */
import { describe, expect, test } from 'vitest';
import { EPOCH } from '../../test/support/pages.ts';
import * as Y from 'yjs';
import { startWriter } from '../../test/support/shard-writer.ts';
import { until } from '../../test/support/wait.ts';
import type { PresenceNews } from '../actors/presence.ts';
import type { ToldMessage } from '../actors/world.ts';
import { silentLog } from '../base/log.ts';
import { seededRandom } from '../base/random.ts';
import { sleep, systemClock } from '../base/time.ts';
import type { BusEvents, OpenBus } from '../cluster/bus.ts';
import { MemoryBusHub } from '../cluster/memory-bus.ts';
import { MemoryDatabase, MemoryLogStore } from '../persistence/memory-log-store.ts';
import { encodeOps } from '../document/ops.ts';
import type { PageHeadAt } from '../persistence/log-store.ts';
import { encodeServerMessage } from '../protocol/encode.ts';
import {
  type BlockId,
  type EpochId,
  idToBytes,
  newId,
  type PageId,
  type ReplicaId,
  seq,
  type UserId,
} from '../protocol/ids.ts';
import { WIRE } from '../protocol/limits.ts';
import { MsgpackWriter } from '../protocol/msgpack-writer.ts';
import { OtherNodes } from './other-nodes.ts';
import type { ShardOptions } from './shard-options.ts';

async function twoNodes(more: (index: number) => Partial<ShardOptions>) {
  const random = seededRandom(5);
  const database = new MemoryDatabase();
  const page = newId<PageId>(1_700_000_000_000, random);
  const start = (index: number) =>
    startWriter(new MemoryLogStore(database), random, page, `user${index}`, more(index));
  const nodes = [await start(0), await start(1)] as const;
  await until(() => nodes.every(({ heard }) => heard.some(({ kind }) => kind === 'subscribed')), () => 'SUBSCRIBED');
  return { nodes, stop: () => Promise.all(nodes.map(({ shard }) => shard.drain(1000))) };
} // prettier-ignore

/** A text, and what another wrote behind it. */
function continued(client = 7): [Uint8Array, Uint8Array] {
  const [first, second] = [new Y.Doc(), new Y.Doc()];
  [first.clientID, second.clientID] = [client, client + 1];
  first.getText('text').insert(0, 'their words');
  const theirs = Y.encodeStateAsUpdate(first);
  Y.applyUpdate(second, theirs);
  second.getText('text').insert(11, ', mine');
  return [theirs, Y.encodeStateAsUpdate(second, Y.encodeStateVector(first))];
}

describe('two nodes', () => {
  test('A85 hear of each other by the bus', async () => {
    const hub = new MemoryBusHub();
    const { nodes, stop } = await twoNodes(() => ({ openBus: hub.open }));
    const [a, b] = nodes;
    for (let n = 1; n <= 20; n++) {
      a.write(n);
      await until(
        () => b.told.length === 2 * n - 1,
        () => `${b.told.length} told to b`,
      );
      b.write(n);
      await until(
        () => a.told.length === 2 * n,
        () => `${a.told.length} told to a`,
      );
    }
    expect(a.told).toEqual(Array.from({ length: 40 }, (_, i) => i + 1));
    expect(a.names(false)).toEqual(b.names(false));
    await stop();
  });

  test('A88 without a bus, from the heads', async () => {
    const { nodes, stop } = await twoNodes(() => ({ headPollMs: 5 }));
    nodes[0].write(1);
    await until(
      () => nodes[1].told.length === 1,
      () => 'told by the log',
    );
    await stop();
  });

  test('C82 a change is refused for what the page lacks only when the log was read: another node may have written it', async () => {
    const { nodes, stop } = await twoNodes(() => ({ headPollMs: 0 }));
    const [a, b] = nodes;
    const block = newId<BlockId>(1_700_000_000_000, seededRandom(8));
    const parent = b.page as string as BlockId;
    const [theirs, mine] = continued();
    a.write(1, a.replica, 1, [{ op: 'insert', block, parent, key: 'a1', type: 'paragraph', props: {}, text: theirs }]);
    await until(() => a.told.length === 1, () => 'told there');
    // It has heard nothing; what follows the change waits with it.
    b.write(1, b.replica, 1, [{ op: 'text', block, update: mine }]);
    b.write(2);
    await until(() => b.told.length === 3, () => `${b.told.length} told here`);
    expect(b.names(false)).toEqual([a.replica, b.replica, b.replica].map((id, i) => `${id.slice(-4)}.${[1, 1, 2][i]}`));
    expect(b.heard.filter(({ kind }) => kind === 'reject')).toEqual([]);
    // What the log lacks too is refused.
    b.write(3, b.replica, 1, [{ op: 'text', block, update: continued(77)[1] }]);
    await until(() => b.heard.some((m) => m.kind === 'reject' && m.n === 3 && m.code === 'missing'), () => 'REJECT');
    await stop();
  }); // prettier-ignore

  test('A88 when the bus comes back, from the heads at once', async () => {
    let ready = () => {};
    const silent: OpenBus = (topic, events) => {
      if (topic === 'changes') ready = events.ready;
      return { isUp: true, subscribe() {}, unsubscribe() {}, publish: () => true, close: async () => {} };
    };
    const { nodes, stop } = await twoNodes((index) => ({
      openBus: index === 1 ? silent : null,
    }));
    nodes[0].write(1);
    await until(
      () => nodes[0].told.length === 1,
      () => 'told here',
    );
    ready();
    await until(
      () => nodes[1].told.length === 1,
      () => 'told by the log',
    );
    await stop();
  });

  test('C60 C61 hear of each other’s volatile changes, and of their seqs', async () => {
    const hub = new MemoryBusHub();
    const { nodes, stop } = await twoNodes(() => ({ openBus: hub.open, commitStallMs: 0 }));
    const [a, b] = nodes;
    for (let n = 1; n <= 20; n++) {
      a.write(n);
      b.write(n);
    }
    await until(
      () => a.told.length === 40 && b.told.length === 40,
      () => `${a.told.length} and ${b.told.length} told`,
    );
    expect(a.told).toEqual(b.told);
    expect(b.names(true).length).toBeGreaterThan(20);
    await stop();
  });

  test('C69 a volatile change whose node is gone is appended by the other', async () => {
    const hub = new MemoryBusHub();
    class Stuck extends MemoryLogStore {
      override async append(): Promise<ReadonlyMap<PageId, boolean>> {
        await sleep(50);
        throw new Error('the database does not take it');
      }
    }
    const database = new MemoryDatabase();
    const random = seededRandom(6);
    const page = newId<PageId>(1_700_000_000_000, random);
    const options = { openBus: hub.open, commitStallMs: 10 };
    const a = await startWriter(new Stuck(database), random, page, 'ann', options);
    const b = await startWriter(new MemoryLogStore(database), random, page, 'bob', options);
    await until(
      () => [a, b].every(({ heard }) => heard.some(({ kind }) => kind === 'subscribed')),
      () => 'SUBSCRIBED',
    );
    a.write(1);
    await until(
      () => b.names(true).length === 1,
      () => 'told on the other node',
    );
    b.write(1);
    await until(
      () => a.told.length === 2 && b.told.length === 2,
      () => 'appended by the other node',
    );
    expect(database.pages.get(page)!.log.map(({ replica, n }) => [replica, n])).toEqual([
      [a.replica, 1],
      [b.replica, 1],
    ]);
    await b.shard.drain(1000);
  });
});

describe('what a shard tells other nodes', () => {
  const random = seededRandom(7);
  const page = newId<PageId>(1_700_000_000_000, random);
  const replica = newId<ReplicaId>(1_700_000_000_000, random);
  const user = 'ann' as UserId;

  function openNodes(
    openBus: OpenBus,
    readHeads: () => Promise<PageHeadAt[]> = async () => [],
    epoch = EPOCH,
  ) {
    const told: ToldMessage[] = [];
    const heads: number[] = [];
    const people: PresenceNews[] = [];
    const counted = { sent: 0, dropped: 0, received: 0 };
    const nodes = new OtherNodes({
      openBus,
      store: Object.assign(new MemoryLogStore(new MemoryDatabase()), { readHeads }),
      clock: systemClock,
      random,
      log: silentLog,
      metrics: {
        bus: () => ({
          published: (topic, taken) =>
            void (topic === 'changes' && (taken ? counted.sent++ : counted.dropped++)),
          received: (topic) => void (topic === 'changes' && counted.received++),
        }),
      },
      headPollMs: 0,
      pages: () => [page],
      told: (_, message) => void told.push(message),
      head: ({ head }) => void heads.push(head),
      presence: (_, news) => void (news.states.length > 0 && people.push(news)),
      turnEnded() {},
    });
    nodes.follow(page);
    nodes.loaded(page, epoch);
    return { nodes, told, heads, people, counted };
  }

  const changes = (firstSeq: number, bytes: number[]) =>
    encodeServerMessage({
      kind: 'changes',
      page,
      firstSeq: seq(firstSeq),
      changes: bytes.map((length, i) => {
        const block = page as string as BlockId;
        const ops = encodeOps([{ op: 'update', block, props: { text: 'x'.repeat(length) }, type: null }]);
        return { replica, n: i + 1, hlc: { ms: 1, counter: 0 }, author: user, at: 1, ops };
      }),
    });

  test('A100 of what is large, that it is in the log; what is not in the log, whole', async () => {
    const hub = new MemoryBusHub();
    const [a, b] = [openNodes(hub.open), openNodes(hub.open)];
    a.nodes.tell(page, changes(5, [10, 10]));
    a.nodes.tell(page, changes(7, [WIRE.changesBytes, 10]));
    a.nodes.tell(page, changes(0, [WIRE.changesBytes]));
    await until(() => b.told.length === 3, () => `${b.told.length} told`);
    expect(b.told.map(({ kind, firstSeq, changes }) => [kind, firstSeq, changes.length])).toEqual([
      ['changes', 5, 2],
      ['committed', 8, 1],
      ['changes', 0, 1],
    ]);
    expect(b.told[1]!.changes[0]).toMatchObject({ replica, n: 2 });
    expect([a.counted, b.counted]).toEqual([
      { sent: 3, dropped: 0, received: 0 },
      { sent: 0, dropped: 0, received: 3 },
    ]);
    await Promise.all([a.nodes.close(), b.nodes.close()]);
  }); // prettier-ignore

  test('A107 nothing is told or heard across epochs, neither changes nor people', async () => {
    const hub = new MemoryBusHub();
    const other = newId<EpochId>(1_700_000_000_000, random);
    const [a, b, c] = [openNodes(hub.open), openNodes(hub.open), openNodes(hub.open, undefined, other)];
    const people = [{ replica, user, state: new MsgpackWriter().str('here').take() }];
    c.nodes.tell(page, changes(1, [10]));
    c.nodes.sharePresence(page, 'change', people);
    a.nodes.tell(page, changes(2, [10]));
    a.nodes.sharePresence(page, 'change', people);
    await until(() => b.told.length === 1 && b.people.length === 1, () => 'one of each');
    expect([b.told[0]!.firstSeq, c.told, c.people]).toEqual([2, [], []]);
    // While a page is loaded anew nothing of it is taken; then what its own epoch says.
    b.nodes.follow(page);
    a.nodes.tell(page, changes(3, [10]));
    await until(() => b.counted.received === 3, () => 'three received');
    b.nodes.loaded(page, other);
    c.nodes.tell(page, changes(4, [10]));
    await until(() => b.told.length === 2, () => 'the other epoch’s');
    expect(b.told[1]!.firstSeq).toBe(4);
    await Promise.all([a, b, c].map(({ nodes }) => nodes.close()));
  }); // prettier-ignore

  test('A108 what was told while a page was loaded, or before it was heard of, is looked for in the log', async () => {
    let events: BusEvents;
    const bus: OpenBus = (topic, given) => {
      if (topic === 'changes') events = given;
      return { isUp: true, subscribe() {}, unsubscribe() {}, publish: () => true, close: async () => {} };
    };
    let looks = 0;
    const a = openNodes(bus, async () => [{ page, epoch: EPOCH, head: seq(++looks), closed: false }]);
    a.nodes.follow(page);
    events!.message(page, Uint8Array.from([...idToBytes(EPOCH), ...changes(1, [10])]));
    expect(a.told).toEqual([]);
    a.nodes.loaded(page, EPOCH);
    await until(() => a.heads.length === 1, () => 'a look');
    events!.following(page);
    await until(() => a.heads.length === 2, () => 'another');
    a.nodes.follow(page);
    events!.following(page);
    a.nodes.loaded(page, EPOCH);
    await a.nodes.close();
    expect(a.heads).toHaveLength(2);
  }); // prettier-ignore

  test('A101 a look at the heads that began before the bus came back is followed by another', async () => {
    let events: BusEvents;
    const bus: OpenBus = (topic, given) => {
      if (topic === 'changes') events = given;
      return { isUp: true, subscribe() {}, unsubscribe() {}, publish: () => false, close: async () => {} };
    };
    const answers: ((heads: PageHeadAt[]) => void)[] = [];
    const a = openNodes(bus, () => new Promise((resolve) => answers.push(resolve)));
    events!.ready();
    await until(() => answers.length === 1, () => 'a look');
    events!.ready();
    events!.ready();
    answers[0]!([{ page, epoch: EPOCH, head: seq(1), closed: false }]);
    await until(() => answers.length === 2, () => 'another');
    answers[1]!([{ page, epoch: EPOCH, head: seq(2), closed: false }]);
    await until(() => a.heads.length === 2, () => 'two heads');
    expect(answers).toHaveLength(2);
    await a.nodes.close();
  }); // prettier-ignore
});
