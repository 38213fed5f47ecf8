/**
 * What a shard makes of the traced when things do not go straight: refusals, duplicates, appends that fail or lose, readers
 * who take a snapshot in windows or leave, and nothing heard at all. And that it is as it was where nothing is traced.
 */
import { expect, test } from 'vitest';
import { FakeClock } from '../../test/support/client-stage.ts';
import { PAGE, replicaId, uuid } from '../../test/support/pages.ts';
import { seededRandom } from '../base/random.ts';
import type { AppendBatch, LogEntry } from '../persistence/log-store.ts';
import { encodeServerMessage } from '../protocol/encode.ts';
import { seq } from '../protocol/ids.ts';
import type { Span } from '../tracing/span.ts';
import { ChangeTraces } from './change-traces.ts';
import { JoinTraces } from './join-traces.ts';
import { ShardOut } from './shard-out.ts';
import type { ShardOptions } from './shard-options.ts';
import { ShardTraces } from './shard-traces.ts';
import { readTraced, type TraceHead, writeTraced } from './trace-records.ts';
import { openShardOut } from './traced-out.ts';

const replica = replicaId(1);
const head: TraceHead = {
  traceId: 'a'.repeat(32),
  spanId: 'b'.repeat(16),
  parentId: null,
  at: 0,
  sent: 1,
  replica,
};
const OPS = Uint8Array.of(0x92, 0xc0, 0xc0);

function stage() {
  const clock = new FakeClock();
  const spans: Span[] = [];
  const done = (more: readonly Span[]) => void spans.push(...more);
  const random = seededRandom(3);
  const changes = new ChangeTraces(clock, random, done);
  const joins = new JoinTraces(clock, random, done);
  const come = (n: number, handle = () => {}) =>
    changes.handle(head, { connection: 7, page: PAGE, replica, n, ops: OPS }, handle);
  const batch = (...ns: number[]) => [{ page: PAGE, changes: ns.map((n) => ({ replica, n, body: OPS })) }] as unknown as AppendBatch[];
  const take = () => spans.splice(0).map(({ name, attributes, failed, links }) => [name, attributes['octavo.outcome'] ?? failed, ...(links ? [links.length] : [])].filter((one) => one !== undefined).join(' '));
  return { clock, changes, joins, come, batch, take, spans };
} // prettier-ignore

test('G145 an append that failed and turned out to be in the log: both attempts are linked, and the change ends when it is told', async () => {
  const { changes, come, batch, take, clock } = stage();
  come(1);
  come(2);
  changes.published(PAGE);
  expect(take()).toEqual([]);
  changes.appended(changes.appending(batch(1, 2))!, null, '08006');
  expect(take()).toEqual(['append 08006 2']);
  // Lost: another node was first.
  changes.appended(changes.appending(batch(1, 2))!, new Map());
  expect(take()).toEqual(['append 2']);
  changes.logged(PAGE, [{ replica, n: 1, seq: seq(5) }] as LogEntry[]);
  changes.published(PAGE);
  expect(take()).toEqual(['change committed', 'gateway', 'shard.queue', 'actor', 'commit 2', 'broadcast']);
  changes.appended(changes.appending(batch(2))!, new Map([[PAGE, false]]));
  // Told nobody: its page is gone.
  await clock.advance(30_001);
  changes.expire();
  expect(take()).toEqual([
    'append 1',
    'change committed',
    'gateway',
    'shard.queue',
    'actor',
    'commit 3',
    'broadcast',
  ]);
  expect(changes.size).toBe(0);
  expect(changes.appending(batch(1, 2))).toBe(undefined);
});

test('G145 what is refused, is a duplicate, or is never heard of again ends so', async () => {
  const { changes, come, take, clock, spans } = stage();
  come(3, () =>
    changes.answered({ kind: 'reject', ch: 1, n: 3, code: 'busy', message: '', retryAfterMs: 1, replica }),
  );
  expect(spans[0]).toMatchObject({
    failed: 'busy',
    attributes: { 'octavo.ops': 2, 'octavo.bytes': 3, 'octavo.code': 'busy', 'octavo.connection': 7 },
  });
  expect(take()).toEqual(['change refused', 'gateway', 'shard.queue', 'actor']);
  come(1);
  come(4);
  changes.answered({ kind: 'ack', ch: 1, n: 2, seq: seq(9), replica });
  expect(take()).toEqual(['change duplicate', 'gateway', 'shard.queue', 'actor']);
  await clock.advance(30_001);
  changes.expire();
  expect(take()).toEqual(['change unknown', 'gateway', 'shard.queue', 'actor']);
  // Bounded: what is past it goes its way untraced.
  let handled = 0;
  for (let n = 1; n <= 1500; n++) come(n, () => handled++);
  expect([changes.size, handled]).toEqual([1000, 1500]);
});

test('G145 a join ends with its last window, its refusal, or when its reader is not heard of any more', async () => {
  const { joins, take, spans, clock } = stage();
  const part = encodeServerMessage({ kind: 'snapshot', ch: 2, seq: seq(1), encoding: 1, part: 0, parts: 2, bytes: new Uint8Array(100) }); // prettier-ignore
  joins.handle(head, 7, 2, PAGE, () => {});
  joins.offered(7, 2);
  joins.joined(7, PAGE);
  joins.bulk(7, part);
  joins.offered(7, 2);
  joins.pulled(7, 2);
  expect(take()).toEqual([]);
  joins.bulk(7, part);
  joins.pulled(7, 2);
  expect(spans[0]!.attributes).toMatchObject({ 'octavo.join.from': 'database', 'octavo.join.snapshot_bytes': 2 * part.length }); // prettier-ignore
  expect(take()).toEqual(['join joined', 'gateway', 'shard.queue', 'load', 'send']);
  joins.handle(head, 7, 3, uuid(9), () => joins.joined(7, uuid(9)));
  expect(take()).toEqual(['join joined', 'gateway', 'shard.queue', 'send']);
  joins.handle(head, 7, 4, PAGE, () => {});
  joins.answered(7, { kind: 'error', code: 'unavailable', message: '', retryAfterMs: null, ch: 4 });
  joins.forgotten(7, 4);
  expect(take()).toEqual(['join refused', 'gateway', 'shard.queue']);
  joins.handle(head, 7, 5, PAGE, () => {});
  await clock.advance(30_001);
  joins.expire();
  expect(take()).toEqual(['join unknown', 'gateway', 'shard.queue']);
  expect(joins.size).toBe(0);
});

test('G144 a shard that traces nothing sends by what it did before; a traced record is the same record with a head', () => {
  const clock = new FakeClock();
  const options = { clock, emit: () => {} } as unknown as ShardOptions;
  expect(openShardOut(options).constructor).toBe(ShardOut);
  const traces = new ShardTraces({ clock, random: seededRandom(1) });
  expect(openShardOut({ ...options, traces }).constructor).not.toBe(ShardOut);
  const links = [{ traceId: 'c'.repeat(32), spanId: 'd'.repeat(16) }];
  const read = readTraced(writeTraced({ ...head, links }, 5, OPS));
  expect([read.head, read.type, [...read.record]]).toEqual([{ ...head, links }, 5, [...OPS]]);
});
