/**
 * A rolling upgrade half way: a server of this version and one of the next, on one database. People of both versions are
 * on both servers; the newer ones use an op that the older server and SDK do not know.
 */
import pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import * as Y from 'yjs';
import { type Client, connect, type Page } from '../../src/client/index.ts';
import type { PageId } from '../../src/protocol/ids.ts';
import { octavo } from '../support/command.ts';
import { buildNewer, type NewerBuild, noteOps } from '../support/newer-build.ts';
import { enter, newBlock, newPage } from '../support/raw-client.ts';
import { startServer, testToken, type TestServer } from '../support/server.ts';
import { until } from '../support/wait.ts';

let newer: NewerBuild;
let oldServer: TestServer;
let newServer: TestServer;
let database: pg.Client;
const clients: Client[] = [];

beforeAll(async () => {
  newer = await buildNewer();
  oldServer = await startServer();
  newServer = await startServer({ databaseUrl: oldServer.databaseUrl!, cli: newer.cli });
  database = new pg.Client({ connectionString: oldServer.databaseUrl! });
  await database.connect();
});

afterAll(async () => {
  await Promise.all(clients.map((client) => client.close()));
  await database?.end();
  await newServer?.dispose();
  await oldServer?.dispose();
  newer?.remove();
});

type Connect = typeof connect;

async function join(user: string, server: TestServer, page: PageId, by: Connect = connect): Promise<Page> {
  const client = by({ url: server.url, token: await testToken(user) });
  clients.push(client);
  return client.open(page, { create: 'blocks' });
}

/** What the blocks say, in no order: both versions choose places by what they know. */
const texts = (page: Page) => page.root.children.map((child) => child.plainText).sort();
const shows = (page: Page, ...expected: string[]) =>
  until(
    () => JSON.stringify(texts(page)) === JSON.stringify(expected),
    () => `${JSON.stringify(texts(page))}, not ${JSON.stringify(expected)}`,
  );

/** [version, seq] of the stored snapshots. */
async function snapshots(page: PageId): Promise<[number, number][]> {
  const sql = 'select model_version, seq from snapshots where page_id = $1 order by seq';
  const { rows } = await database.query<{ model_version: number; seq: string }>(sql, [page]);
  return rows.map((row) => [row.model_version, Number(row.seq)]);
}

async function restart(server: TestServer): Promise<void> {
  server.kill('SIGTERM');
  await server.restart();
}

const textUpdate = (text: string): Uint8Array => {
  const doc = new Y.Doc();
  doc.getText('text').insert(0, text);
  return Y.encodeStateAsUpdate(doc);
};

test('G109 D100 A120 K103 K104 an op of the next version is passed on by the older server, written upon through it, and whole for who knows it', async () => {
  const id = newPage();
  const anna = await join('anna', oldServer, id);
  anna.insert({ type: 'paragraph', text: 'one' });
  await anna.whenSaved();
  const nina = await join('nina', newServer, id, newer.sdk.connect);
  // Of the newer version, on the older server.
  const nora = await join('nora', oldServer, id, newer.sdk.connect);
  const rita = await enter(newServer.url, await testToken('rita'));
  await rita.subscribe(1, id);
  const [block, root] = [newBlock(), anna.root.id];
  rita.change(1, 1, noteOps(block, root, 'a5', textUpdate('from the future')));
  const at = await rita.echo(id, 1);
  await Promise.all([shows(nina, 'from the future', 'one'), shows(nora, 'from the future', 'one')]);
  await until(() => anna.seq === at, () => `anna is at ${anna.seq}`);
  expect([anna.outdated, texts(anna), nora.outdated, nina.outdated]).toEqual([true, ['one'], false, false]);

  // All go on: text upon what the older server does not know, through it; others' edits behind it.
  const refused: string[] = [];
  for (const page of [anna, nora, nina]) page.on('rejected', ({ code }) => refused.push(code));
  for (const page of [anna, nora, nina]) page.on('notice', ({ code }) => refused.push(code));
  nora.text(block).insert('from the future'.length, ', and on');
  anna.insert({ type: 'paragraph', text: 'two' });
  await Promise.all([nora.whenSaved(), anna.whenSaved()]);
  const raw = await enter(oldServer.url, await testToken('raw'));
  await raw.subscribe(1, id);
  raw.change(1, 1, noteOps(newBlock(), root, 'a6', textUpdate('no')));
  expect(await raw.refusal()).toBe('unsupported');
  const whole = ['from the future, and on', 'one', 'two'];
  await Promise.all([shows(nina, ...whole), shows(nora, ...whole), shows(anna, 'one', 'two')]);

  // The older server stops, as it would for its upgrade, and comes back: it makes no snapshot past what it knows.
  await restart(oldServer);
  for (const [version, seq] of await snapshots(id)) expect([version, seq < at]).toEqual([2, true]);
  anna.insert({ type: 'paragraph', text: 'three' });
  nora.text(block).insert(0, '> ');
  await Promise.all([anna.whenSaved(), nora.whenSaved()]);
  const later = ['> from the future, and on', 'one', 'three', 'two'];
  await Promise.all([shows(nina, ...later), shows(nora, ...later), shows(anna, 'one', 'three', 'two')]);

  // What the older version has to say of the page: nothing wrong, as far as it can see; and it touches nothing.
  const env = { DATABASE_URL: oldServer.databaseUrl!, DATA_DIR: oldServer.dataDir };
  const verified = await octavo(['verify', id], env);
  expect([verified.code, verified.stdout]).toEqual([2, expect.stringContaining(`change ${at} has an op that this version does not know`)]);
  const rebuilt = await octavo(['rebuild', id], env);
  expect([rebuilt.code === 0, rebuilt.stdout + rebuilt.stderr]).toEqual([false, expect.stringContaining('does not know')]);

  // Snapshots of the newer version: nothing to the older server, which makes the page from its log.
  await restart(newServer);
  await until(async () => (await snapshots(id)).at(-1)?.[0] === 3, () => 'no snapshot of the newer version');
  await restart(oldServer);
  const otto = await join('otto', oldServer, id);
  expect([otto.outdated, texts(otto)]).toEqual([true, ['one', 'three', 'two']]);
  // An older client cannot read them: that is said by name.
  await expect(join('olga', newServer, id)).rejects.toMatchObject({ code: 'unsupported' });

  // The upgrade is done: the newer version finds all of it.
  const nils = await join('nils', newServer, id, newer.sdk.connect);
  expect(texts(nils)).toEqual(later);
  await shows(nina, ...later);
  expect(nils.toJSON().root).toEqual(nina.toJSON().root);
  expect((await octavo(['verify', id], env, 30_000, newer.cli)).code).toBe(0);
  expect(refused).toEqual([]);
}); // prettier-ignore
