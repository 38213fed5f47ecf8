/**
 * Revocation as an operator does it: the command, two server processes on one database, sockets that are open meanwhile,
 * tokens from before and after, and the SDK with edits under way.
 */
import pg from 'pg';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { sleep } from '../../src/base/time.ts';
import { type Client, connect, type OctavoError, type RejectedEvent } from '../../src/client/index.ts';
import { decodeOps, type Op } from '../../src/document/ops.ts';
import type { PageId } from '../../src/protocol/ids.ts';
import { octavo } from '../support/command.ts';
import { openCutProxy } from '../support/cut-proxy.ts';
import { enter, type RawClient } from '../support/raw-client.ts';
import { headOf, insert, makePage } from '../support/raw-page.ts';
import { readWholeLog } from '../support/replay.ts';
import { startServer, testToken, type TestServer } from '../support/server.ts';
import { until } from '../support/wait.ts';

let nodes: readonly [TestServer, TestServer];
let database: string;
let user: string;
let users = 0;

beforeAll(async () => {
  const first = await startServer({ env: { SHARDS: '2' } });
  database = first.databaseUrl!;
  nodes = [first, await startServer({ env: { DATABASE_URL: database } })];
});

// Each test revokes a user of its own.
beforeEach(() => {
  user = `user-${++users}`;
});

afterAll(async () => {
  await nodes?.[1].dispose();
  await nodes?.[0].dispose();
});

const command = (...args: string[]) => octavo(['revoke', ...args], { DATABASE_URL: database });

async function revoke(...args: string[]): Promise<void> {
  const { code, stdout, stderr } = await command('--user', user, ...args);
  expect([code, stderr]).toEqual([0, '']);
  expect(stdout).toContain(user);
}

/** The user on the page, on each node. */
async function onBoth(page: PageId, token: string): Promise<RawClient[]> {
  const clients = await Promise.all(nodes.map((node) => enter(node.url, token)));
  for (const client of clients) expect((await client.subscribe(1, page)).role).toBe('editor');
  return clients;
}

const closeAll = (clients: readonly RawClient[]) => Promise.all(clients.map((client) => client.close()));

/** A second after now, and everything revoked by now was revoked in an earlier one. */
async function nextSecond(): Promise<number> {
  const second = Math.floor(Date.now() / 1000) + 1;
  await until(() => Date.now() >= second * 1000, () => 'the clock stands'); // prettier-ignore
  return second;
}

describe('sockets that are open', () => {
  test('G61 a lowered role is told on every node, what follows is refused by name, and lifting gives it back', async () => {
    const { page } = await makePage(nodes[0]);
    const clients = await onBoth(page, await testToken(user));
    await revoke('--role', 'viewer');
    for (const client of clients) {
      expect(await client.next('role')).toMatchObject({ ch: 1, role: 'viewer' });
      client.change(1, 1, [insert(page)]);
      expect(await client.next('reject')).toMatchObject({ ch: 1, n: 1, code: 'forbidden' });
    }
    expect(await headOf(nodes[0], page)).toBe(1);
    await revoke('--lift');
    for (const client of clients) {
      expect(await client.next('role')).toMatchObject({ ch: 1, role: 'editor' });
      client.change(1, 1, [insert(page)]);
      await client.echo(page, 1);
    }
    expect((await readWholeLog(database, page)).length).toBe(3);
    await closeAll(clients);
  });

  test('G62 a page that is taken away ends at once, no frame of it comes, and others stay', async () => {
    const [{ page }, other] = [await makePage(nodes[0]), await makePage(nodes[0])];
    const clients = await onBoth(page, await testToken(user));
    for (const client of clients) await client.subscribe(2, other.page);
    await revoke('--page', page);
    const writer = await enter(nodes[0].url, await testToken('writer'));
    await writer.subscribe(1, page);
    for (const client of clients) {
      expect(await client.next('role')).toMatchObject({ ch: 1, role: null });
      expect(await client.next('error')).toMatchObject({ ch: 1, code: 'forbidden' });
      client.inbox.length = 0;
      client.change(1, 1, [insert(page)]);
      expect(await client.next('error')).toMatchObject({ ch: 1, code: 'not_open' });
      client.ask(3, page);
      expect(await client.next('error')).toMatchObject({ ch: 3, code: 'forbidden' });
    }
    await writer.write(1, page, [insert(page)]);
    for (const client of clients) {
      await client.write(2, other.page, [insert(other.page)]);
      await client.quiet();
    }
    expect(await headOf(nodes[0], page)).toBe(2);
    await closeAll([...clients, writer]);
  });

  test('G65 nodes whose listening connections were killed hear of it all the same', async () => {
    const { page } = await makePage(nodes[0]);
    const clients = await onBoth(page, await testToken(user));
    const admin = new pg.Client(database);
    await admin.connect();
    const kill = `select pg_terminate_backend(pid) from pg_stat_activity
                  where application_name = 'octavo revocations' and datname = current_database()`;
    expect((await admin.query(kill)).rowCount).toBe(2);
    await revoke('--role', 'commenter');
    for (const client of clients)
      expect(await client.next('role')).toMatchObject({ ch: 1, role: 'commenter' });
    await admin.end();
    await closeAll(clients);
  });
});

describe('tokens', () => {
  test('G63 those from before have lost the grant on new sockets and by AUTH; those from after have it', async () => {
    const { page } = await makePage(nodes[0]);
    const old = await testToken(user);
    const [live] = await onBoth(page, old);
    await revoke();
    await live!.next('error');
    const fresh = await testToken(user, { issuedAt: await nextSecond() });
    for (const node of nodes) {
      for (const token of [old, await testToken(user, { issuedAt: null })]) {
        const client = await enter(node.url, token);
        client.ask(1, page);
        expect(await client.next('error')).toMatchObject({ code: 'forbidden', ch: 1 });
        client.send({ kind: 'auth', token: fresh });
        expect(await client.next('role')).toMatchObject({ ch: null });
        expect((await client.subscribe(2, page)).role).toBe('editor');
        // Back under the old one: the grant is gone again.
        client.send({ kind: 'auth', token: old });
        expect(await client.next('error')).toMatchObject({ code: 'forbidden', ch: 2 });
        await client.close();
      }
    }
    await live!.close();
  });

  test('G64 a node knows what was revoked before it takes sockets, and while its database is away', async () => {
    const { page } = await makePage(nodes[0]);
    await revoke();
    const proxy = await openCutProxy(Number(new URL(database).port || '5432'));
    const through = new URL(database);
    through.port = String(proxy.port);
    const node = await startServer({ env: { DATABASE_URL: through.href, SHARDS: '0' } });
    try {
      const [ann, bob] = [await enter(node.url, await testToken(user)), await enter(node.url, await testToken('bob'))];
      await bob.subscribe(1, page);
      await proxy.close();
      ann.ask(1, page);
      expect(await ann.next('error')).toMatchObject({ code: 'forbidden', ch: 1 });
      const again = await enter(node.url, await testToken(user));
      again.ask(1, page);
      expect(await again.next('error')).toMatchObject({ code: 'forbidden', ch: 1 });
      expect(bob.isClosed).toBe(false);
      await closeAll([ann, bob, again]);
    } finally {
      node.kill('SIGKILL');
      await node.dispose();
    }
  }); // prettier-ignore
});

describe('the SDK', () => {
  /** The ids of blocks that were handed back. */
  const blocksOf = (events: readonly RejectedEvent[]) =>
    events.flatMap(({ ops }) => ops.flatMap((op) => (op.op === 'insert' ? [op.block as string] : [])));

  /** The ids of blocks that the log has an insert of. */
  const loggedBlocks = async (page: PageId): Promise<string[]> => {
    const log = await readWholeLog(database, page);
    const ops = log.flatMap(({ body }) => decodeOps(body) as Op[]);
    return ops.flatMap((op) => (op.op === 'insert' ? [op.block as string] : []));
  };

  test.each([
    ['lowered', ['--role', 'viewer']],
    ['taken away', []],
  ] as const)(
    'K60 typing on while the grant is %s: each edit is in the log or handed back',
    async (_, args) => {
      const { page: id } = await makePage(nodes[0]);
      const clients: Client[] = [];
      const made: string[] = [];
      const rejected: RejectedEvent[] = [];
      const surfaced: OctavoError[] = [];
      let refused = 0;
      for (const node of nodes) {
        const client = connect({ url: node.url, token: await testToken(user) });
        clients.push(client);
        const page = await client.open(id);
        page.on('rejected', (event) => rejected.push(event));
        page.on('error', (error) => surfaced.push(error));
        void (async () => {
          for (;;) {
            try {
              for (let i = 0; i < 5; i++) made.push(page.insert({ type: 'paragraph' }));
            } catch (error) {
              expect(error).toMatchObject({ code: 'forbidden' });
              refused++;
              return;
            }
            await sleep(1);
          }
        })();
      }
      await until(() => made.length > 200, () => `${made.length} edits`); // prettier-ignore
      await revoke(...args);
      const pages = await Promise.all(clients.map((client) => client.open(id).catch(() => undefined)));
      await until(() => refused === 2 && pages.every((page) => !page || page.saved), () => `${refused} of 2 noticed`); // prettier-ignore
      if (args.length > 0) {
        for (const page of pages) {
          await page!.whenSaved();
          expect(page!.role).toBe('viewer');
        }
      } else expect(surfaced.map(({ code }) => code)).toEqual(['forbidden', 'forbidden']);
      // What was queued when the grant went is committed by now.
      const logged = new Set<string>();
      await until(
        async () => {
          for (const block of await loggedBlocks(id)) logged.add(block);
          return made.every((block) => logged.has(block) || blocksOf(rejected).includes(block));
        },
        () => `${made.filter((block) => !logged.has(block)).length} not in the log, ${blocksOf(rejected).length} handed back`,
      ); // prettier-ignore
      for (const { code } of rejected) expect(code).toBe('forbidden');
      if (args.length > 0) expect(blocksOf(rejected).filter((block) => logged.has(block))).toEqual([]);
      for (const client of clients) await client.close();
    },
  );

  test.each([
    ['lowered', ['--role', 'viewer'], 'viewer'],
    ['taken away', [], null],
  ] as const)(
    'K60 edits made without a connection while the grant is %s are handed back, all of them, when it is back',
    async (_, args, role) => {
      const { page: id } = await makePage(nodes[0]);
      const proxy = await openCutProxy(Number(new URL(nodes[1].url).port));
      const client = connect({ url: `ws://127.0.0.1:${proxy.port}/v1/sync`, token: await testToken(user) });
      const page = await client.open(id);
      const rejected: RejectedEvent[] = [];
      const roles: unknown[] = [];
      page.on('rejected', (event) => rejected.push(event));
      page.on('role', (now) => roles.push(now));
      proxy.freeze();
      const made = Array.from({ length: 40 }, () => page.insert({ type: 'paragraph' }));
      page.text(made[0]!).insert(0, 'words');
      await revoke(...args);
      proxy.cut();
      await until(() => page.role === role, () => `the role is ${page.role}`); // prettier-ignore
      await until(() => page.pendingChanges === 0, () => `${page.pendingChanges} are pending`); // prettier-ignore
      expect(new Set(blocksOf(rejected))).toEqual(new Set(made));
      expect(rejected.some(({ ops }) => ops.some((op) => op.op === 'text'))).toBe(true);
      expect(roles).toEqual([role]);
      expect(page.root.children.length).toBe(1);
      expect(await headOf(nodes[0], id)).toBe(1);
      await client.close();
      await proxy.close();
    },
  );

  test('K62 with a token from after the revocation the page is opened again', async () => {
    const { page: id } = await makePage(nodes[0]);
    const client = connect({ url: nodes[0].url, token: await testToken(user) });
    const page = await client.open(id);
    const closed = new Promise<OctavoError>((resolve) => page.on('closed', resolve));
    await revoke();
    expect(await closed).toMatchObject({ code: 'forbidden', class: 'final' });
    await expect(client.open(id)).rejects.toMatchObject({ code: 'forbidden' });
    client.setToken(await testToken(user, { issuedAt: await nextSecond() }));
    let again = await client.open(id).catch(() => undefined);
    await until(async () => (again ??= await client.open(id).catch(() => undefined)) !== undefined, () => 'refused'); // prettier-ignore
    again!.insert({ type: 'paragraph' });
    await again!.whenSaved();
    expect(await headOf(nodes[0], id)).toBe(2);
    await client.close();
  });
});

describe('the command', () => {
  test('G66 says what it did, lists what is in force, lifts it once, and tells wrong usage from failure', async () => {
    const { page } = await makePage(nodes[0]);
    expect((await command('--user', user, '--page', page, '--role', 'commenter')).stdout).toMatch(
      new RegExp(`^${user} has at most the role commenter on page ${page} by tokens issued up to 2\\S+Z\\n$`),
    );
    expect((await command('--user', user)).stdout).toContain(`${user} has no role on workspace default`);
    const { stdout } = await command('--list', '--user', user);
    expect(stdout.trimEnd().split('\n').map((line) => line.slice(26))).toEqual([
      `none       ${user}  workspace default`,
      `commenter  ${user}  page ${page}`,
    ]); // prettier-ignore
    expect((await command('--list')).stdout).toContain(stdout);
    expect((await command('--user', user, '--lift')).stdout).toContain('lifted');
    expect((await command('--list', '--user', user)).stdout).not.toContain('workspace');
    const wrong = [
      [1, /nothing of .* was revoked/, ['--user', user, '--lift']],
      [2, /--user/, []],
      [2, /UUID/, ['--user', user, '--page', 'x']],
      [2, /editor, commenter, viewer/, ['--user', user, '--role', 'owner']],
      [2, /conflict|cannot be used/, ['--user', user, '--lift', '--list']],
      [2, /control character/, ['--user', 'a\nb']],
    ] as const;
    for (const [code, words, args] of wrong) {
      const result = await command(...args);
      expect([args, result.code]).toEqual([args, code]);
      expect(result.stderr).toMatch(words);
    }
    const away = await octavo(['revoke', '--user', user], {
      DATABASE_URL: 'postgres://me:sekret@127.0.0.1:1/x',
    });
    expect(away.code).toBe(1);
    expect(away.stderr).toMatch(/cannot connect to the database at 127\.0\.0\.1:1/);
    expect(away.stderr).not.toContain('sekret');
  });
});
