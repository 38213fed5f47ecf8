/**
 * The bytes of a change on their way through an actor: appended, told and told again are those that came, also where our
 * own encoder would have written them otherwise.
 */
import { expect, test } from 'vitest';
import { ActorBench, entry } from '../../test/support/actor-world.ts';
import { decodeOps, encodeOps } from '../document/ops.ts';
import { idToBytes, type Seq, seq } from '../protocol/ids.ts';
import { replicaId, ROOT, userId } from '../../test/support/pages.ts';

/** [[3, root, 'new']]: an array of 32 bits, one of 16, a kind of 64, and an element that no version knows. */
const WIDE = Uint8Array.from([
  [0xdd, 0, 0, 0, 1],
  [0xdc, 0, 3],
  [0xcf, 0, 0, 0, 0, 0, 0, 0, 3],
  [0xc4, 16, ...idToBytes(ROOT)],
  [0xa3, 0x6e, 0x65, 0x77],
].flat()); // prettier-ignore

/** Like `bench.subscribe`, but what comes of it stays to be taken. */
function subscribe(bench: ActorBench, connection: number, since: Seq | null = null): void {
  const subscriber = { connection, ch: 1, user: userId('ann'), replica: replicaId(connection), role: 'editor' as const };
  bench.actor.receive({ type: 'subscribe', request: { subscriber, since, epoch: null, create: null, at: 0 } });
} // prettier-ignore

/** The ops of all changes that these were told from here on, in windows if it comes in windows. */
function told(bench: ActorBench, connections: readonly number[] = []): Uint8Array[] {
  const effects = bench.take();
  for (const connection of connections) {
    for (let offered = true; offered;) {
      bench.actor.receive({ type: 'pull', connection });
      const more = bench.take();
      offered = more.some(({ effect }) => effect === 'offer');
      effects.push(...more);
    }
  }
  return effects.flatMap((effect) =>
    'message' in effect && effect.message.kind === 'changes'
      ? effect.message.changes.map(({ ops }) => ops)
      : [],
  );
}

test('C6 ops are appended and told byte for byte as they were sent, to those who come later too', () => {
  const decoded = decodeOps(WIDE);
  if ('malformed' in decoded) return expect.fail(decoded.malformed);
  expect(encodeOps(decoded as never)).not.toEqual(WIDE);

  const bench = new ActorBench();
  bench.load();
  subscribe(bench, 1);
  // Sent within a batch that is written over afterwards.
  const batch = Uint8Array.of(1, 2, 3, ...WIDE, 4);
  const ops = batch.subarray(3, 3 + WIDE.length);
  const hlc = { ms: bench.now, counter: 0 };
  bench.actor.receive({ type: 'change', connection: 1, n: 1, hlc, ops, replica: null, userWaitMs: 0 });
  batch.fill(0);
  expect(bench.actor.takeBatch()!.changes.map(({ body }) => body)).toEqual([WIDE]);
  bench.take();
  bench.actor.receive({ type: 'appended' });
  expect(told(bench)).toEqual([WIDE]);
  subscribe(bench, 2);
  subscribe(bench, 3, seq(0));
  bench.actor.receive({ type: 'sync', connection: 1, since: seq(0) });
  expect(told(bench, [2, 3])).toEqual([WIDE, WIDE, WIDE]);
}); // prettier-ignore

test('C6 what the log brings is told byte for byte', () => {
  const bench = new ActorBench();
  bench.load([{ ...entry(1, 9, 1), body: WIDE }]);
  subscribe(bench, 2);
  expect(told(bench, [2])).toEqual([WIDE]);
}); // prettier-ignore
