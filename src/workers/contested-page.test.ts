/**
 * One page written by several nodes at once, each as fast as it can, on a real PostgreSQL and without a bus: whoever wins a
 * race knows the new head first, and must not win for ever.
 */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createTestDatabase, type TestDatabase } from '../../test/support/database.ts';
import { startWriter } from '../../test/support/shard-writer.ts';
import { until } from '../../test/support/wait.ts';
import { seededRandom } from '../base/random.ts';
import { silentLog } from '../base/log.ts';
import { openPostgresLogStore } from '../persistence/postgres-log-store.ts';
import { prepareDatabase } from '../persistence/prepare-database.ts';
import type { LogEntry } from '../persistence/log-store.ts';
import { newId, type PageId, seq } from '../protocol/ids.ts';

const IN_FLIGHT = 16;
const EDITS_EACH = 500;
/** Of an equal share. */
const SHARE_MIN = 0.2;

let database: TestDatabase;
beforeAll(async () => {
  database = await createTestDatabase();
  await prepareDatabase({ url: database.url, log: silentLog });
});
afterAll(() => database.drop());

/** A node whose one client always has so many changes under way. */
async function startNode(page: PageId, name: string, seed: number) {
  const store = openPostgresLogStore({ url: database.url, log: silentLog });
  const writer = await startWriter(store, seededRandom(seed), page, name);
  let [sent, confirmed, isWriting] = [0, 0, false];
  const pump = () => {
    for (const message of writer.heard.splice(0)) {
      if (message.kind !== 'changes') continue;
      for (const { replica, n } of message.changes) if (replica === writer.replica) confirmed = n;
    }
    while (isWriting && sent - confirmed < IN_FLIGHT) writer.write(++sent);
  };
  await until(
    () => writer.heard.some(({ kind }) => kind === 'subscribed'),
    () => `${name} is on the page`,
  );
  const timer = setInterval(pump, 0);
  return {
    start: () => (isWriting = true),
    confirmed: () => confirmed,
    /** Returns the races that it lost. */
    async end(): Promise<number> {
      isWriting = false;
      await until(
        () => confirmed === sent,
        () => `${name} has everything confirmed`,
      );
      clearInterval(timer);
      const lost = writer.shard.metrics.registry.getSingleMetric('octavo_append_conflicts_total');
      const { values } = await lost!.get();
      await writer.shard.drain(5000);
      return values[0]?.value ?? 0;
    },
  };
}

/** How many edits of each node are in the log when all have made so many together. */
async function write(count: number): Promise<{ edits: number[]; log: LogEntry[]; conflicts: number }> {
  const page = newId<PageId>(1_700_000_000_000, seededRandom(count));
  const nodes: Awaited<ReturnType<typeof startNode>>[] = [];
  for (let i = 0; i < count; i++) nodes.push(await startNode(page, `node ${i}`, 10 * count + i));
  for (const node of nodes) node.start();
  const confirmed = () => nodes.map((node) => node.confirmed());
  const all = () => confirmed().reduce((sum, one) => sum + one);
  await until(() => all() >= count * EDITS_EACH, () => `the edits: ${String(confirmed())}`, 60_000);
  const edits = confirmed();
  const conflicts = await Promise.all(nodes.map((node) => node.end()));
  const reader = openPostgresLogStore({ url: database.url, log: silentLog });
  const log = await reader.readLog(page, seq(0), 1_000_000, 1 << 30);
  await reader.close();
  return { edits, log, conflicts: conflicts.reduce((sum, one) => sum + one) };
} // prettier-ignore

test('C100 C102 a page that several nodes write as fast as they can makes progress on all of them', async () => {
  for (const count of [2, 3]) {
    const { edits, log, conflicts } = await write(count);
    for (const one of edits) expect(one, String(edits)).toBeGreaterThan(SHARE_MIN * EDITS_EACH);
    expect(log.map((entry) => entry.seq)).toEqual(log.map((_, i) => i + 1));
    const names = log.map(({ replica, n }) => `${replica}.${n}`);
    expect(new Set(names).size).toBe(names.length);
    expect(conflicts).toBeGreaterThan(0);
  }
}, 120_000);
