/**
 * Presence on two shards, as of two nodes: what the people of one show the others see, also one who comes late.
 */
import { afterEach, describe, expect, test } from 'vitest';
import { EPOCH } from '../../test/support/pages.ts';
import { startWriter } from '../../test/support/shard-writer.ts';
import { until } from '../../test/support/wait.ts';
import type { PresenceNews } from '../actors/presence.ts';
import { silentLog } from '../base/log.ts';
import { seededRandom } from '../base/random.ts';
import { systemClock } from '../base/time.ts';
import { MemoryBusHub } from '../cluster/memory-bus.ts';
import { MemoryDatabase, MemoryLogStore } from '../persistence/memory-log-store.ts';
import { newId, type PageId, type ReplicaId, type UserId } from '../protocol/ids.ts';
import { MsgpackWriter } from '../protocol/msgpack-writer.ts';
import { PresenceExchange } from './presence-exchange.ts';

const state = (value: string) => new MsgpackWriter().str(value).take();
const random = seededRandom(11);
const page = newId<PageId>(1_700_000_000_000, random);

type Writer = Awaited<ReturnType<typeof startWriter>>;

/** What a client of this one would show: user to state. */
function seen({ heard }: Writer): Record<string, string> {
  const shown = new Map<string, string>();
  for (const message of heard) {
    if (message.kind !== 'presence') continue;
    for (const { user, state } of message.states) {
      if (state) shown.set(user, new TextDecoder().decode(state.subarray(1)));
      else shown.delete(user);
    }
  }
  return Object.fromEntries(shown);
}

const sees = (writer: Writer, people: Record<string, string>) =>
  until(
    () => JSON.stringify(Object.entries(seen(writer)).sort()) === JSON.stringify(Object.entries(people).sort()),
    () => JSON.stringify(seen(writer)),
  ); // prettier-ignore

describe('presence between nodes', () => {
  const hub = new MemoryBusHub();
  const database = new MemoryDatabase();
  const writers: Writer[] = [];
  const start = async (user: string) => {
    const writer = await startWriter(new MemoryLogStore(database), random, page, user, { openBus: hub.open });
    writers.push(writer);
    await until(
      () => writer.heard.some(({ kind }) => kind === 'subscribed'),
      () => 'SUBSCRIBED',
    );
    return writer;
  };
  afterEach(() => Promise.all(writers.splice(0).map(({ shard }) => shard.drain(1000))));

  test('A102 A103 is seen by those there, by one who comes late, and gone with the person', async () => {
    const a = await start('ann');
    a.show(state('at the top'));
    const b = await start('bob');
    await sees(b, { ann: 'at the top' });
    b.show(state('below'));
    await sees(a, { ann: 'at the top', bob: 'below' });
    a.show(state('in the middle'));
    await sees(b, { ann: 'in the middle', bob: 'below' });
    const c = await start('cleo');
    await sees(c, { ann: 'in the middle', bob: 'below' });
    b.show(null);
    await sees(a, { ann: 'in the middle' });
    a.leave();
    await sees(c, {});
  });

  test('A102 what one turn brings is one frame', async () => {
    const [a, b] = [await start('ann'), await start('bob')];
    const before = b.heard.length;
    for (let i = 0; i < 50; i++) a.show(state(`line ${i}`));
    await sees(b, { ann: 'line 49' });
    expect(b.heard.length - before).toBeLessThanOrEqual(50);
    expect(b.heard.every((message) => message.kind !== 'presence' || message.states.length === 1)).toBe(true);
  });

  test('A103 is asked for again when a page is loaded anew', async () => {
    const a = await start('ann');
    const hasty = { openBus: hub.open, evictIdleMs: 0 };
    const b = await startWriter(new MemoryLogStore(database), random, page, 'bob', hasty);
    writers.push(b);
    a.show(state('here'));
    await sees(b, { ann: 'here' });
    b.leave();
    // Until the page has left memory.
    await until(
      async () =>
        (await b.shard.metrics.registry.getSingleMetricAsString('octavo_pages_live')).endsWith(' 0'),
      () => 'evicted',
    );
    b.heard.length = 0;
    b.subscribe(2);
    await sees(b, { ann: 'here' });
  });

  test('A104 a node that ends takes its people along', async () => {
    const [a, b] = [await start('ann'), await start('bob')];
    a.show(state('here'));
    await sees(b, { ann: 'here' });
    await writers.shift()!.shard.drain(1000);
    await sees(b, {});
  });
});

test('A102 a long list goes in several messages; of what cannot be read nothing is taken', async () => {
  const hub = new MemoryBusHub();
  const news: PresenceNews[] = [];
  const open = () =>
    new PresenceExchange({
      openBus: hub.open,
      clock: systemClock,
      random,
      log: silentLog,
      counts: { published() {}, received() {} },
      epochOf: () => EPOCH,
      heard: (_, heard) => void news.push(heard),
    });
  const [a, b] = [open(), open()];
  b.follow(page);
  await until(
    () => a.isUp && b.isUp,
    () => 'up',
  );
  const people = Array.from({ length: 300 }, (_, i) => ({
    replica: newId<ReplicaId>(1_700_000_000_000, random),
    user: `user${i}` as UserId,
    state: state('x'.repeat(1000)),
  }));
  a.share(page, 'list', people);
  const got = () => news.flatMap(({ states }) => states);
  await until(
    () => got().length === 300,
    () => `${got().length} people`,
  );
  expect(news.length).toBeGreaterThan(3);
  expect(got()).toEqual(people);
  const stranger = hub.open('presence', { message() {}, following() {}, ready() {} });
  news.length = 0;
  for (const bytes of [[], [1], [9, ...Array.from({ length: 60 }, () => 0)], Array.from({ length: 50 }, () => 1)]) {
    stranger.publish(page, Uint8Array.from(bytes));
  }
  a.share(page, 'change', [people[0]!]);
  await until(
    () => news.length === 1,
    () => 'the change',
  );
  expect(news[0]!.states).toEqual([people[0]]);
  await Promise.all([a.close(), b.close(), stranger.close()]);
}); // prettier-ignore
