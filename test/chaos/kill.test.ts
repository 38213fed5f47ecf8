/**
 * kill -9 of the server at random moments while four clients write. After every restart each acknowledged change is in
 * the log exactly once, at the place that was acknowledged; what was not acknowledged arrives by itself; at the end all
 * clients show the replay of the log. With a database of its own beside the server, and with the embedded one, which
 * dies and comes back with it; and when all is told before its commit. `npm run test:long` kills more often.
 */
import { describe, expect, test } from 'vitest';
import { randomBelow, seededRandom, systemRandom } from '../../src/base/random.ts';
import { sleep } from '../../src/base/time.ts';
import { connect, type Page } from '../../src/client/index.ts';
import { newId, type PageId, type ReplicaId } from '../../src/protocol/ids.ts';
import { expectAllEqual } from '../support/compare.ts';
import { randomEdit } from '../support/random-edits.ts';
import { foldLog, logFaults, readWholeLog } from '../support/replay.ts';
import { startServer, type ServerOptions, testToken, type TestServer } from '../support/server.ts';
import { until } from '../support/wait.ts';

const LONG = process.env['OCTAVO_TEST_LONG'] !== undefined;
const WRITERS = 4;
const PAGES = 3;

/** What the server has promised: per page, (replica, n) → seq, where it was told. */
type Promises = Map<string, number | null>;

interface Scene {
  readonly server: TestServer;
  readonly ids: readonly PageId[];
  /** By writer, then by page. */
  readonly pages: readonly (readonly Page[])[];
  readonly promised: readonly Promises[];
  readonly refused: string[];
  /** How often somebody was shown what was not in the log yet. */
  readonly unsettled: () => number;
}

const databaseOf = async (server: TestServer): Promise<string> => {
  if (server.databaseUrl) return server.databaseUrl;
  // The embedded one: its address is in no file, but the password and the port are the server's to find.
  return embeddedUrl(server.dataDir);
};

async function embeddedUrl(dataDir: string): Promise<string> {
  const { readFile } = await import('node:fs/promises');
  const { join } = await import('node:path');
  const pidFile = await readFile(join(dataDir, 'postgres', 'postmaster.pid'), 'utf8');
  const password = (await readFile(join(dataDir, 'postgres-password'), 'utf8')).trim();
  return `postgres://octavo:${password}@127.0.0.1:${pidFile.split('\n')[3]}/octavo`;
}

async function setScene(server: TestServer): Promise<Scene> {
  const ids = Array.from({ length: PAGES }, () => newId<PageId>(Date.now(), systemRandom));
  const promised = ids.map(() => new Map<string, number | null>());
  const refused: string[] = [];
  let unsettled = 0;
  const pages = await Promise.all(
    Array.from({ length: WRITERS }, async (_, who) => {
      const client = connect({ url: server.url, token: await testToken(`writer-${who}`) });
      const opened = await Promise.all(ids.map((id) => client.open(id, { create: 'blocks' })));
      opened.forEach((page, i) => {
        page.on('confirmed', ({ n, seq }) => promised[i]!.set(`${client.replica} ${n}`, seq));
        page.on('settled', (settled) => void (unsettled += settled ? 0 : 1));
        page.on('rejected', ({ code, message }) => refused.push(`${code}: ${message}`));
        page.on('error', (error) => refused.push(`${error.code}: ${error.message}`));
      });
      return opened;
    }),
  );
  return { server, ids, pages, promised, refused, unsettled: () => unsettled };
}

async function checkPromises({ server, ids, promised }: Scene): Promise<void> {
  const url = await databaseOf(server);
  for (let i = 0; i < ids.length; i++) {
    const log = await readWholeLog(url, ids[i]!);
    expect(logFaults(log)).toEqual([]);
    const seqOf = new Map(log.map(({ replica, n, seq }) => [`${replica as ReplicaId} ${n}`, seq]));
    for (const [change, seq] of promised[i]!)
      expect([change, seqOf.get(change)]).toEqual([change, seq ?? expect.any(Number)]);
  }
}

function isEqual(compare: () => void): boolean {
  try {
    compare();
    return true;
  } catch {
    return false;
  }
}

async function checkEnd({ server, ids, pages, refused }: Scene): Promise<number> {
  await Promise.all(pages.flat().map((page) => page.whenSaved(60_000)));
  expect(refused).toEqual([]);
  const url = await databaseOf(server);
  let total = 0;
  for (let i = 0; i < ids.length; i++) {
    const log = await readWholeLog(url, ids[i]!);
    expect(logFaults(log)).toEqual([]);
    const copies = pages.map((opened) => opened[i]!);
    await until(() => copies.every((page) => page.seq === log.length), () => `${copies.map((page) => page.seq)} of ${log.length}`);
    const folded = foldLog(ids[i]!, log);
    // Live texts that were told of what never came are replaced within a second or two.
    await until(() => isEqual(() => expectAllEqual(copies, folded)), () => 'copies differ from the log', 5000).catch(() => {});
    expectAllEqual(copies, folded);
    total += log.length;
  }
  return total;
} // prettier-ignore

async function killAgainAndAgain(options: ServerOptions, kills: number, seed: number): Promise<void> {
  const random = seededRandom(seed);
  const server = await startServer(options);
  const scene = await setScene(server);
  let writing = true;
  const writers = scene.pages.map(async (pages, who) => {
    const own = seededRandom(seed + who + 1);
    const deleted = pages.map(() => [] as string[]);
    while (writing) {
      const which = randomBelow(own, pages.length);
      // A bound on what waits, so that a slow restart does not make hours of work.
      if (pages[which]!.pendingChanges < 200) randomEdit(pages[which]!, own, deleted[which]!);
      await sleep(randomBelow(own, 4));
    }
  });
  const promisedCount = () => scene.promised.reduce((sum, promises) => sum + promises.size, 0);
  try {
    for (let kill = 0; kill < kills; kill++) {
      // Somewhere in the middle of work: after some more acknowledgements, and a random moment.
      const before = promisedCount();
      await until(() => promisedCount() > before + 20, () => `acknowledgements after kill ${kill}`, 60_000);
      await sleep(randomBelow(random, 60));
      server.kill('SIGKILL');
      await server.restart();
      await checkPromises(scene);
    }
    writing = false;
    await Promise.all(writers);
    const total = await checkEnd(scene);
    await checkPromises(scene);
    expect(total).toBeGreaterThan(kills * 20);
    if (options.env?.['COMMIT_STALL_MS'] === '0') expect(scene.unsettled()).toBeGreaterThan(kills);
    process.stdout.write(`${kills} kills, ${total} changes in the log, ${promisedCount()} acknowledged and found, ${scene.unsettled()} times shown before\n`);
  } finally {
    writing = false;
    await server.dispose();
  }
} // prettier-ignore

describe('kill -9 while four clients write', () => {
  test('C3 C4 the server, its database living on', () => killAgainAndAgain({}, LONG ? 60 : 4, 1), 600_000);
  test(
    'C3 C4 the server with its embedded database',
    () => killAgainAndAgain({ embedded: true }, LONG ? 20 : 2, 2),
    600_000,
  );

  test(
    'C62 C3 C4 the server, when every change is told before its commit',
    () => killAgainAndAgain({ env: { COMMIT_STALL_MS: '0' } }, LONG ? 60 : 3, 3),
    600_000,
  );
});
