/**
 * `octavo verify` and `octavo rebuild` on rows that are really damaged, in PostgreSQL: beside a running server, with a
 * database of one's own, and with the embedded one, running and stopped.
 */
import { rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { PageId } from '../../src/protocol/ids.ts';
import type { PageReport } from '../../src/repair/verify-page.ts';
import { octavo } from '../support/command.ts';
import { enter, newBlock, newPage } from '../support/raw-client.ts';
import { headOf, insert, textUpdates } from '../support/raw-page.ts';
import { startServer, testToken, type TestServer } from '../support/server.ts';
import { until } from '../support/wait.ts';

const CHANGES = 12;
const PAGES = 14;

/** A page with some text, which the server has in memory. */
async function writePage(server: TestServer): Promise<PageId> {
  const client = await enter(server.url, await testToken('ann'));
  const [page, block] = [newPage(), newBlock()];
  await client.subscribe(1, page, { create: 'blocks' });
  await client.write(1, page, [insert(page, block)]);
  for (const update of textUpdates(
    9,
    Array.from({ length: CHANGES - 1 }, (_, i) => `word ${i} `),
  ))
    await client.write(1, page, [{ op: 'text', block, update }]);
  await client.close();
  return page;
}

/** Ends the server, which snapshots its pages on the way out, and starts it again. */
async function snapshotAll(server: TestServer): Promise<void> {
  server.kill('SIGTERM');
  await server.restart();
}

const LONG = process.env['OCTAVO_TEST_LONG'] !== undefined;

describe('with a database of one’s own', () => {
  let server: TestServer;
  let sql: pg.Client;
  let env: Record<string, string>;
  beforeAll(async () => {
    server = await startServer();
    env = { DATABASE_URL: server.databaseUrl!, DATA_DIR: server.dataDir };
    sql = new pg.Client(server.databaseUrl!);
    await sql.connect();
    for (let i = 0; i < PAGES; i++) pages.push(await writePage(server));
    await snapshotAll(server);
  });
  afterAll(async () => {
    await sql?.end();
    await server?.dispose();
  });

  const pages: PageId[] = [];
  /** A page that has a snapshot and is in nobody's memory. */
  const snapshottedPage = () => pages.pop()!;
  const verify = async (page: PageId) => {
    const { code, stdout, stderr } = await octavo(['verify', page, '--json'], env);
    expect(stderr).toBe('');
    return { code, report: JSON.parse(stdout) as PageReport };
  };

  test('S66 a good page: exit 0, in words and as JSON', async () => {
    const page = snapshottedPage();
    const { code, stdout, stderr } = await octavo(['verify', page], env);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toContain(`page ${page}: good`);
    expect(stdout).toContain(`snapshot   at ${CHANGES}: good`);
    const { report } = await verify(page);
    expect(report).toMatchObject({ page, verdict: 'good', kind: 'blocks', seq: CHANGES, replicas: 1, blocks: 2, faultCount: 0 });
    expect(report.snapshots).toEqual([{ seq: CHANGES, verdict: 'good', why: [] }]);
  }); // prettier-ignore

  const damages: [string, string, string][] = [
    ['a change that is gone', 'delete from changes where page_id = $1 and seq = 5', 'the log lacks change 5'],
    [
      'a change whose body cannot be read',
      `update changes set body = '\\x9192c1' where page_id = $1 and seq = 5`,
      'the body cannot be read',
    ],
    [
      'a change cut short',
      'update changes set body = substring(body from 1 for 20) where page_id = $1 and seq = 5',
      'the body cannot be read',
    ],
    [
      'a change under another n',
      'update changes set n = 99 where page_id = $1 and seq = 5',
      'n is 99, but 5 is the next',
    ],
    [
      'a change of another author',
      `update changes set author = 'eve' where page_id = $1 and seq = 5`,
      'belongs to "ann", not to "eve"',
    ],
    [
      'a head that is too far on',
      'update page_heads set seq = seq + 3 where page_id = $1',
      `the log ends at ${CHANGES}, but the head says ${CHANGES + 3}`,
    ],
    [
      'a head that fell back',
      'update page_heads set seq = seq - 3 where page_id = $1',
      `the log goes on to ${CHANGES}, but the head says ${CHANGES - 3}`,
    ],
    ['a head that is gone', 'delete from page_heads where page_id = $1', 'has no row in "page_heads"'],
    ['a page that is gone', 'delete from pages where id = $1', 'there is a log, but no such page'],
  ];
  // Each kind of damage is under test beside the code; here as many as show that the commands are wired to it.
  test.each(LONG ? damages : damages.slice(0, 1))('S66 %s: exit 1, and rebuild leaves everything as it is', async (_, statement, named) => {
    const page = snapshottedPage();
    await sql.query(statement, [page]);
    const { code, report } = await verify(page);
    expect(code).toBe(1);
    expect(report.verdict).toBe('damaged');
    expect(report.faults.map(({ what }) => what).join('; ')).toContain(named);
    const people = await octavo(['verify', page], env);
    expect(people.code).toBe(1);
    expect(people.stdout).toMatch(/FAULT .*\n[^]*remedy .*backup/);
    const stored = async () => (await sql.query('select seq, checksum from snapshots where page_id = $1', [page])).rows;
    const before = await stored();
    const rebuilt = await octavo(['rebuild', page], env);
    expect(rebuilt.code).toBe(1);
    expect(rebuilt.stderr).toContain('is not rebuilt: its log is damaged');
    expect(await stored()).toEqual(before);
  }); // prettier-ignore

  test('S67 a snapshot whose bits fell over is found, and rebuilt beside the running server', async () => {
    const page = snapshottedPage();
    await sql.query('update snapshots set body = set_byte(body, 30, get_byte(body, 30) # 4) where page_id = $1', [page]);
    const { code, report } = await verify(page);
    expect(code).toBe(1);
    expect(report.snapshots).toEqual([{ seq: CHANGES, verdict: 'damaged', why: ['the checksum does not fit'] }]);
    expect((await octavo(['verify', page], env)).stdout).toContain(`octavo rebuild ${page}`);
    // The server serves it all the same: from the log.
    expect(await headOf(server, page)).toBe(CHANGES);
    const rebuilt = await octavo(['rebuild', page], env);
    expect(rebuilt).toMatchObject({ code: 0, stderr: '' });
    expect(rebuilt.stdout).toBe(`removed the snapshot at ${CHANGES}\nstored a snapshot of changes 1 to ${CHANGES}\n`);
    expect((await verify(page)).code).toBe(0);
    await snapshotAll(server);
    expect(await headOf(server, page)).toBe(CHANGES);
    expect((await verify(page)).code).toBe(0);
  }); // prettier-ignore

  test('S67 a snapshot of another page, with a good checksum, is found and rebuilt', async () => {
    const page = snapshottedPage();
    const other = snapshottedPage();
    await sql.query('delete from snapshots where page_id = $1', [page]);
    await sql.query(
      `insert into snapshots (page_id, seq, model_version, checksum, body, private)
       select $1, seq, model_version, checksum, body, private from snapshots where page_id = $2`,
      [page, other],
    );
    const { code, report } = await verify(page);
    expect([code, report.verdict]).toEqual([1, 'damaged']);
    expect((await octavo(['rebuild', page], env)).code).toBe(0);
    expect((await verify(page)).code).toBe(0);
  });

  test('S69 a page whose log is damaged is unavailable, and the log of the server says how to go on; when mended it is back', async () => {
    const page = snapshottedPage();
    const { rows } = await sql.query<{ body: Buffer }>(
      'select body from changes where page_id = $1 and seq = 5',
      [page],
    );
    await sql.query('delete from snapshots where page_id = $1', [page]);
    await sql.query(`update changes set body = '\\x9192c1' where page_id = $1 and seq = 5`, [page]);
    const client = await enter(server.url, await testToken('ann'));
    client.ask(1, page);
    const refusal = await client.next('error');
    expect(refusal).toMatchObject({ code: 'unavailable', ch: 1 });
    const line = server
      .log()
      .split('\n')
      .find((one) => one.includes('a page is damaged'))!;
    expect(JSON.parse(line)).toMatchObject({ page, seq: 5, repair: `octavo verify ${page}` });
    expect((await octavo(['verify', page], env)).code).toBe(1);
    await client.quiet();
    await client.close();
    await sql.query('update changes set body = $2 where page_id = $1 and seq = 5', [page, rows[0]!.body]);
    await until(
      async () => (await asked(page)) === 'subscribed',
      () => 'the page is back',
    );
    expect((await verify(page)).code).toBe(0);
  });

  async function asked(page: PageId): Promise<string> {
    const client = await enter(server.url, await testToken('ann'));
    client.ask(1, page);
    const { kind } = await client.take(
      'an answer',
      (m): m is typeof m => m.kind === 'error' || m.kind === 'subscribed',
    );
    await client.close();
    return kind;
  }

  test('S66 --all walks every page: a summary, and those that are damaged', async () => {
    const own = await startServer();
    const ownSql = new pg.Client(own.databaseUrl!);
    const ownEnv = { DATABASE_URL: own.databaseUrl! };
    try {
      const pages = [await writePage(own), await writePage(own), await writePage(own)];
      expect(await octavo(['verify', '--all'], ownEnv)).toMatchObject({ code: 0, stdout: '3 good, 0 damaged, 0 that cannot be checked\n' });
      await ownSql.connect();
      await ownSql.query('delete from changes where page_id = $1 and seq = 5', [pages[1]]);
      const { code, stdout } = await octavo(['verify', '--all'], ownEnv);
      expect(code).toBe(1);
      expect(stdout).toContain(`page ${pages[1]}: damaged`);
      expect(stdout).not.toContain(pages[0]);
      expect(stdout).toMatch(/\n2 good, 1 damaged, 0 that cannot be checked\n$/);
      const json = await octavo(['verify', '--all', '--json'], ownEnv);
      const reports = json.stdout.trim().split('\n').map((line) => JSON.parse(line) as PageReport);
      expect(reports.map(({ page, verdict }) => [page, verdict])).toEqual(
        [...pages].sort().map((page) => [page, page === pages[1] ? 'damaged' : 'good']),
      );
    } finally {
      await ownSql.end();
      await own.dispose();
    }
  }); // prettier-ignore

  test('S66 what cannot be checked is exit 2: no such page, no such database, one without tables', async () => {
    const page = newPage();
    const absent = await octavo(['verify', page], env);
    expect(absent).toMatchObject({
      code: 2,
      stdout: expect.stringContaining('there is no such page') as string,
    });
    const nowhere = await octavo(['verify', page], {
      DATABASE_URL: 'postgres://me:sekret@127.0.0.1:1/octavo',
    });
    expect(nowhere).toMatchObject({ code: 2, stdout: '' });
    expect(nowhere.stderr).toContain('cannot connect');
    expect(nowhere.stderr).not.toContain('sekret');
    const empty = await octavo(['verify', page], { DATA_DIR: join(server.dataDir, 'nothing-here') });
    expect(empty).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('there is no database') as string,
    });
    expect((await octavo(['rebuild', page], env)).code).toBe(1);
  });

  test('a server with a database of its own does not write that one’s address down', async () => {
    const { code, stderr } = await octavo(['verify', newPage()], { DATA_DIR: server.dataDir });
    expect(code).toBe(2);
    expect(stderr).toContain('set DATABASE_URL as it has it');
  });
});

test('S66 the embedded database is found while its server runs, and started while it does not', async () => {
  const server = await startServer({ embedded: true });
  const env = { DATA_DIR: server.dataDir };
  try {
    const page = await writePage(server);
    const running = await octavo(['verify', page], env);
    expect(running).toMatchObject({ code: 0, stderr: '' });
    expect((await stat(join(server.dataDir, 'server.json'))).mode & 0o777).toBe(0o600);
    server.kill('SIGTERM');
    await server.exited;
    const stopped = await octavo(['verify', page, '--json'], env, 60_000);
    expect(stopped).toMatchObject({ code: 0, stderr: '' });
    expect((JSON.parse(stopped.stdout) as PageReport).snapshots).toEqual([{ seq: CHANGES, verdict: 'good', why: [] }]);
    expect((await octavo(['rebuild', page], env, 60_000)).code).toBe(0);
    // A server that was killed has left its file behind.
    await server.restart();
    server.kill('SIGKILL');
    await server.exited;
    expect((await octavo(['verify', page], env, 60_000)).code).toBe(0);
    await rm(join(server.dataDir, 'server.json'), { force: true });
    await server.restart();
    expect(await headOf(server, page)).toBe(CHANGES);
  } finally {
    await server.dispose();
  }
}); // prettier-ignore
