/**
 * The database put back to an earlier state, in each of the ways in which that happens, under servers and clients that
 * remember more: what was acknowledged since the backup is gone, and nothing else goes wrong. And a database that takes
 * nothing for a while.
 */
import { execFileSync } from 'node:child_process';
import { chmod, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type Client, connect, type Page } from '../../src/client/index.ts';
import { clusterDirectory } from '../../src/persistence/embedded/cluster.ts';
import type { PageId } from '../../src/protocol/ids.ts';
import { octavo } from '../support/command.ts';
import { expectAllEqual } from '../support/compare.ts';
import { OwnPostgres } from '../support/own-postgres.ts';
import { newPage } from '../support/raw-client.ts';
import { foldLog, logFaults, readWholeLog } from '../support/replay.ts';
import { startServer, testToken, type TestServer } from '../support/server.ts';
import { until } from '../support/wait.ts';

let id: PageId;
let postgres: OwnPostgres;
let servers: TestServer[];
let clients: Client[];
let pages: Page[];

beforeEach(async () => {
  id = newPage();
  [servers, clients, pages] = [[], [], []];
  postgres = await OwnPostgres.start();
  for (let i = 0; i < 2; i++)
    servers.push(await startServer({ env: { COMMIT_STALL_MS: '100' }, databaseUrl: postgres.url }));
  await enter('ann', 0);
  await enter('bob', 1);
}, 120_000);

afterEach(async () => {
  await Promise.all(clients.map((client) => client.close()));
  await Promise.all(servers.map((server) => server.dispose()));
  await postgres.dispose();
}, 120_000);

async function enter(name: string, server: number): Promise<Page> {
  const client = connect({ url: servers[server]!.url, token: await testToken(name) });
  const page = await client.open(id, { create: 'blocks' });
  clients.push(client);
  pages.push(page);
  return page;
}

/** Each writes so many numbers, under a name of its own, one after the other so that each is a change. */
async function write(name: string, count: number, by = pages): Promise<void> {
  for (let n = 1; n <= count; n++) {
    for (const [i, page] of by.entries()) page.update(page.root.id, { [`${name}${i}`]: n });
    await Promise.all(by.map((page) => page.whenSaved(60_000)));
  }
}

const prop = (page: Page, key: string) => page.root.props[key];

/** Everybody is live and has nothing pending; all copies are what the log says, each change in it once. */
async function settled(): Promise<void> {
  const said = () =>
    pages.map((page) => `${page.live} ${page.saved} ${page.seq} ${JSON.stringify(page.root.props)}`).join('\n');
  const head = async () => (await readWholeLog(postgres.url, id)).length;
  const isQuiet = async () => {
    const end = await head();
    return pages.every((page) => page.live && page.saved && page.seq === end);
  };
  await until(isQuiet, () => `all to be at the head:\n${said()}\n${servers.map((server) => server.log()).join('\n')}`, 60_000);
  const log = await readWholeLog(postgres.url, id);
  expect(logFaults(log)).toEqual([]);
  expectAllEqual(pages, foldLog(id, log));
  // Nothing broke on the way: pages were let go of in good order.
  for (const server of servers) expect(server.log()).not.toMatch(/an error ended a page|broken invariant/);
} // prettier-ignore

const directory = () => clusterDirectory(postgres.dataDir);
const backup = () => `${directory()}.backup`;
const copy = (from: string, to: string) => execFileSync('cp', ['-a', from, to]);
const epoch = async () => JSON.stringify(await postgres.query('select id from epoch'));

/** As a crash of the machine would leave it. */
async function makeBackup(): Promise<void> {
  await postgres.kill();
  copy(directory(), backup());
  await postgres.start();
}

async function putBack(): Promise<void> {
  await postgres.kill();
  await rm(directory(), { recursive: true });
  copy(backup(), directory());
}

test('C108 a disk that was put back and octavo epoch --new: clients of before go on from what the backup has', async () => {
  await write('early', 3);
  await makeBackup();
  await write('late', 8);
  const [ann, bob] = pages as [Page, Page];
  await until(() => prop(ann, 'late1') === 8 && prop(bob, 'late0') === 8, () => 'both see all');
  const first = await epoch();

  for (const server of servers) server.kill('SIGTERM');
  await Promise.all(servers.map((server) => server.exited));
  ann.update(ann.root.id, { pending: 'of ann' });
  await putBack();
  await postgres.start();
  const made = await octavo(['epoch', '--new'], { DATABASE_URL: postgres.url });
  expect([made.code, made.stderr]).toEqual([0, '']);
  expect(made.stdout).toContain('pages are loaded anew');
  expect(await epoch()).not.toBe(first);

  // Somebody else is first: the log goes on past where ann and bob stand.
  await servers[0]!.restart();
  const carol = await enter('carol', 0);
  await write('carol', 30, [carol]);
  await servers[1]!.restart();
  await settled();
  for (const page of pages) {
    expect(page.root.props).toMatchObject({ early0: 3, early1: 3, carol0: 30, pending: 'of ann' });
    expect([prop(page, 'late0'), prop(page, 'late1')]).toEqual([undefined, undefined]);
  }
  await write('again', 2);
  await settled();
}, 240_000); // prettier-ignore

test('C109 a standby that lags takes over under running servers: its epoch is another one, and all go on by themselves', async () => {
  await write('early', 3);
  await makeBackup();
  await write('late', 5);
  const first = await epoch();
  await putBack();
  const signal = join(directory(), 'standby.signal');
  await writeFile(signal, '');
  await chmod(signal, 0o666);
  await postgres.start();
  expect(await postgres.query('select pg_is_in_recovery() as standby')).toEqual([{ standby: true }]);
  // A standby is not served from, and what is written meanwhile waits.
  const [ann] = pages as [Page];
  ann.update(ann.root.id, { pending: 'of ann' });
  await until(() => servers[0]!.log().includes('is a standby'), () => `the standby to be refused:\n${servers[0]!.log()}`, 60_000);
  expect(ann.saved).toBe(false);
  await postgres.query('select pg_promote()');
  await settled();
  expect(await epoch()).not.toBe(first);
  for (const page of pages) {
    expect(page.root.props).toMatchObject({ early0: 3, early1: 3, pending: 'of ann' });
    expect([prop(page, 'late0'), prop(page, 'late1')]).toEqual([undefined, undefined]);
  }
  await write('again', 2);
  await settled();
}, 240_000); // prettier-ignore

test('C109 read-only for a while, and then restarted: everything is stored afterwards, once, in the same epoch', async () => {
  await write('early', 2);
  const first = await epoch();
  await postgres.query('alter system set default_transaction_read_only = on');
  await postgres.query('select pg_reload_conf()');
  for (const [i, page] of pages.entries()) {
    for (let n = 1; n <= 20; n++) page.update(page.root.id, { [`during${i}`]: n });
  }
  await until(() => servers.every((server) => server.log().includes('25006')), () => 'the refusals', 60_000);
  expect(pages.map((page) => page.saved)).toEqual([false, false]);
  await postgres.query('alter system reset default_transaction_read_only');
  await postgres.query('select pg_reload_conf()');
  await settled();
  for (const page of pages) page.update(page.root.id, { restarted: true });
  await postgres.kill();
  for (const [i, page] of pages.entries()) page.update(page.root.id, { [`down${i}`]: true });
  await postgres.start();
  await settled();
  expect(await epoch()).toBe(first);
  for (const page of pages) {
    expect(page.root.props).toMatchObject({ during0: 20, during1: 20, restarted: true, down0: true, down1: true });
  }
}, 240_000); // prettier-ignore
