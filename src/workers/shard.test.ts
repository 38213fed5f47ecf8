/**
 * Two shards, as of two nodes, write one page through a store that fails at random: before it has done anything, or after
 * it has committed, so that nobody knows the outcome. Every change is in the log exactly once, every shard has told the
 * whole log in order, and a shard that starts anew knows a duplicate when it sees one.
 */
import { describe, expect, test } from 'vitest';
import { silentLog } from '../base/log.ts';
import { type Random, randomBelow, seededRandom } from '../base/random.ts';
import { sleep, systemClock } from '../base/time.ts';
import { encodeOps } from '../document/ops.ts';
import { MemoryDatabase, MemoryLogStore } from '../persistence/memory-log-store.ts';
import type { LogStore } from '../persistence/log-store.ts';
import { decodeServerMessage, isMalformed } from '../protocol/decode.ts';
import { encodeClientMessage } from '../protocol/encode.ts';
import { type BlockId, newId, type PageId, type ReplicaId, seq, type UserId } from '../protocol/ids.ts';
import { defaultLimits } from '../protocol/limits.ts';
import type { ServerMessage } from '../protocol/messages.ts';
import { EnvelopeWriter, FROM_SHARD, readEnvelope, TO_SHARD } from './envelope.ts';
import { writeSubscribeHead } from './records.ts';
import { Shard } from './shard.ts';

const CHANGES = 200;

/** A store whose appends fail: the first after it was done, the second before, then now and then in either way. */
class FailingStore extends MemoryLogStore {
  appends = 0;
  readonly #random: Random;

  constructor(database: MemoryDatabase, random: Random) {
    super(database);
    this.#random = random;
  }

  override async append(batches: Parameters<LogStore['append']>[0]): Promise<ReadonlySet<PageId>> {
    const dice = this.appends < 2 ? 1 - this.appends : randomBelow(this.#random, 10);
    this.appends++;
    if (dice === 0) throw new Error('lost before it was done');
    const appended = await super.append(batches);
    if (dice === 1) throw new Error('lost after it was done');
    return appended;
  }
}

/** One writer on a shard of its own. */
async function startWriter(store: LogStore, random: Random, page: PageId, user: string) {
  const replica = newId<ReplicaId>(Date.now(), random);
  const told: number[] = [];
  const heard: ServerMessage[] = [];
  const limits = { ...defaultLimits, pageChangesPerSecond: 1_000_000 };
  const shard = new Shard({
    store,
    limits,
    random,
    epoch: await store.epoch(),
    clock: systemClock,
    log: silentLog,
    evictIdleMs: 60_000,
    memoryBytesMax: 1 << 26,
    emit: (batch) =>
      readEnvelope(batch, (type, _connection, bytes) => {
        const isFrame = type === FROM_SHARD.send || type === FROM_SHARD.bulk || type === FROM_SHARD.publish;
        if (!isFrame) return;
        const message = decodeServerMessage(type === FROM_SHARD.publish ? bytes.subarray(16) : bytes);
        if (isMalformed(message)) throw new Error(message.malformed);
        heard.push(message);
        if (message.kind === 'changes') message.changes.forEach((_, i) => told.push(message.firstSeq + i));
      }),
  });
  const post = (type: number, bytes: Uint8Array) => {
    const out = new EnvelopeWriter();
    out.add(type, 1, bytes);
    shard.receive(out.take());
  };
  const frame = encodeClientMessage({
    kind: 'subscribe',
    ch: 1,
    page,
    since: null,
    epoch: null,
    create: 'blocks',
  });
  post(TO_SHARD.subscribe, writeSubscribeHead({ user: user as UserId, role: 'editor', replica, frame }));
  const write = (n: number, by = replica) => {
    const block = page as string as BlockId;
    const ops = encodeOps([{ op: 'update', block, props: { [user]: n }, type: null }]);
    const hlc = { ms: Date.now(), counter: 0 };
    post(TO_SHARD.frame, encodeClientMessage({ kind: 'change', ch: 1, n, hlc, ops, replica: by }));
  };
  return { shard, replica, told, heard, write };
}

async function until(condition: () => boolean): Promise<void> {
  for (const started = performance.now(); !condition(); await sleep(2)) {
    if (performance.now() - started > 20_000) throw new Error('waited in vain');
  }
}

describe('a shard whose appends fail', () => {
  test.each([1, 2, 3])('puts every change into the log exactly once, seed %i', async (seed) => {
    const random = seededRandom(seed);
    const database = new MemoryDatabase();
    const page = newId<PageId>(Date.now(), random);
    const stores = [new FailingStore(database, random), new FailingStore(database, random)];
    const writers = [await startWriter(stores[0]!, random, page, 'ann'), await startWriter(stores[1]!, random, page, 'bob')];
    await until(() => writers.every(({ heard }) => heard.some(({ kind }) => kind === 'subscribed')));
    for (let n = 1; n <= CHANGES; n++) {
      for (const { write } of writers) write(n);
      if (randomBelow(random, 4) === 0) await sleep(randomBelow(random, 3));
    }
    const mine = ({ heard, replica }: (typeof writers)[0]) =>
      heard.flatMap((message) => (message.kind === 'changes' ? message.changes : [])).filter((change) => change.replica === replica);
    await until(() => writers.every((writer) => mine(writer).length === CHANGES));

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
    await until(() => late.heard.some(({ kind }) => kind === 'subscribed'));
    late.write(CHANGES, writers[0]!.replica);
    await until(() => late.heard.some((message) => message.kind === 'ack' && message.n === CHANGES));
    expect(await new MemoryLogStore(database).readLog(page, seq(0), 10_000, 1 << 30)).toHaveLength(2 * CHANGES);
    await late.shard.drain(1000);
  });
}); // prettier-ignore
