/**
 * A shard that dies is started again; what was acknowledged is there, and the gateway is told to send its clients back.
 */
import { expect, test } from 'vitest';
import { silentLog } from '../../src/base/log.ts';
import { systemRandom } from '../../src/base/random.ts';
import { systemClock } from '../../src/base/time.ts';
import { encodeOps } from '../../src/document/ops.ts';
import { prepareDatabase } from '../../src/persistence/prepare-database.ts';
import { decodeServerMessage } from '../../src/protocol/decode.ts';
import { encodeClientMessage } from '../../src/protocol/encode.ts';
import {
  type BlockId,
  newId,
  type PageId,
  type ReplicaId,
  type ShardIndex,
  type UserId,
} from '../../src/protocol/ids.ts';
import { defaultLimits } from '../../src/protocol/limits.ts';
import { FROM_SHARD, TO_SHARD } from '../../src/workers/envelope.ts';
import { writeSubscribeHead } from '../../src/workers/records.ts';
import { ShardPool } from '../../src/workers/shard-pool.ts';
import { createTestDatabase } from '../support/database.ts';
import { until } from '../support/wait.ts';

test('G19 a shard that dies comes back with all that was committed', async () => {
  const database = await createTestDatabase();
  await prepareDatabase({ url: database.url, log: silentLog });
  const heads: number[] = [];
  let published = 0;
  const lost: ShardIndex[] = [];
  const pool = new ShardPool(
    {
      shards: 0,
      clock: systemClock,
      random: systemRandom,
      log: silentLog,
      config: { databaseUrl: database.url, limits: defaultLimits, evictIdleMs: 60_000, memoryBytesMax: 1 << 26, heapMb: 256, commitStallMs: 100, headPollMs: 500, redis: null, logLevel: 'silent', traced: false },
    },
    {
      record(type, _connection, bytes) {
        if (type === FROM_SHARD.publish) published++;
        if (type !== FROM_SHARD.send) return;
        const message = decodeServerMessage(bytes);
        if ('kind' in message && message.kind === 'subscribed') heads.push(message.head);
      },
      batchDone: () => {},
      shardLost: (shard) => lost.push(shard),
    },
  );
  try {
    const page = newId<PageId>(Date.now(), systemRandom);
    const replica = newId<ReplicaId>(Date.now(), systemRandom);
    const shard = pool.shardOf(page);
    const subscribe = () => {
      const frame = encodeClientMessage({ kind: 'subscribe', ch: 1, page, since: null, epoch: null, create: 'blocks' });
      pool.post(shard, TO_SHARD.subscribe, 7, writeSubscribeHead({ user: 'ann' as UserId, role: 'editor', replica, frame }));
    };
    subscribe();
    await until(() => heads.length === 1, () => 'no answer to the first subscription');
    const block = newId<BlockId>(Date.now(), systemRandom);
    const ops = encodeOps([{ op: 'insert', block, parent: page as string as BlockId, key: 'a0', type: 'paragraph', props: {}, text: null }]);
    const hlc = { ms: Date.now(), counter: 0 };
    pool.post(shard, TO_SHARD.frame, 7, encodeClientMessage({ kind: 'change', ch: 1, n: 1, hlc, ops, replica: null }));
    await until(() => published === 1, () => 'the change was not told');

    await pool.kill(shard);
    await until(() => lost.length === 1, () => 'nobody was told that the shard died');
    subscribe();
    await until(() => heads.length === 2, () => 'no answer after the restart');
    expect(heads).toEqual([0, 1]);
  } finally {
    await pool.drain(2000);
    await database.drop();
  }
}); // prettier-ignore
