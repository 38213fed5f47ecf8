/**
 * Revoked grants on a real PostgreSQL: what is written, that readers by version miss nothing, and that the feed hears of
 * everything, whatever becomes of its connection.
 */
import pg from 'pg';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { openCutProxy } from '../../test/support/cut-proxy.ts';
import { createTestDatabase, type TestDatabase } from '../../test/support/database.ts';
import { uuid } from '../../test/support/pages.ts';
import { until } from '../../test/support/wait.ts';
import { silentLog } from '../base/log.ts';
import { systemRandom } from '../base/random.ts';
import { systemClock } from '../base/time.ts';
import type { PageId, UserId } from '../protocol/ids.ts';
import {
  type GrantScope,
  liftRevocations,
  listRevocations,
  revokeGrant,
  type RevokedGrant,
} from './grants.ts';
import { prepareDatabase } from './prepare-database.ts';
import { RevocationFeed } from './revocation-feed.ts';
import { READ_REVOCATIONS } from './sql/grants.ts';

const PAGE = uuid<PageId>(1);
const scope = (user: string, page: PageId | null = null): GrantScope => ({ workspace: 'default', user: user as UserId, page }); // prettier-ignore

let database: TestDatabase;
let pool: pg.Pool;
const feeds: RevocationFeed[] = [];

beforeEach(async () => {
  database = await createTestDatabase();
  await prepareDatabase({ url: database.url, log: silentLog });
  pool = new pg.Pool({ connectionString: database.url, max: 8 });
  pool.on('error', () => {});
});

afterEach(async () => {
  for (const feed of feeds.splice(0)) await feed.stop();
  await pool.end();
  await database.drop();
});

/** Runs `work` on a connection of its own. */
async function on<T>(work: (client: pg.PoolClient) => Promise<T>): Promise<T> {
  const client = await pool.connect();
  try {
    return await work(client);
  } finally {
    client.release();
  }
}

const revoke = (user: string) => on((client) => revokeGrant(client, scope(user), null));

async function follow(url = database.url): Promise<{ feed: RevocationFeed; users: string[]; rows: RevokedGrant[] }> {
  const [users, rows]: [string[], RevokedGrant[]] = [[], []];
  const changed = (grants: readonly RevokedGrant[]) => {
    rows.push(...grants);
    users.push(...grants.map(({ user }) => user));
  };
  const feed = new RevocationFeed({ url, log: silentLog, clock: systemClock, random: systemRandom, changed });
  feeds.push(feed);
  await feed.start();
  return { feed, users, rows };
} // prettier-ignore

const heard = (users: readonly string[], user: string) =>
  until(
    () => users.includes(user),
    () => `heard of ${users.join(', ')}, not of ${user}`,
  );

describe('in the database', () => {
  test('S71 one row for each user, place and ceiling; the newest moment counts; lifted rows are not listed', async () => {
    await on(async (client) => {
      const first = await revokeGrant(client, scope('ann'), null);
      const second = await revokeGrant(client, scope('ann'), null);
      expect(second).toBeGreaterThan(first);
      await revokeGrant(client, scope('ann', PAGE), 'viewer');
      await revokeGrant(client, scope('bob'), 'commenter');
      const ann = await listRevocations(client, 'ann' as UserId, 10);
      expect(ann.map(({ page, role }) => [page, role])).toEqual([[PAGE, 'viewer'], [null, null]]); // prettier-ignore
      expect(ann[1]!.atMs).toBe(second);
      expect(await liftRevocations(client, scope('ann'))).toBe(1);
      expect(await liftRevocations(client, scope('ann'))).toBe(0);
      const all = await listRevocations(client, null, 10);
      expect(all.map(({ user, role }) => [user, role])).toEqual([['bob', 'commenter'], ['ann', 'viewer']]); // prettier-ignore
    });
  });

  test('S70 a reader of "newer than the last that I read" misses nothing, though writers race and some roll back', async () => {
    const WRITERS = 6;
    const EACH = 60;
    const seen: number[] = [];
    let known = -1;
    let writing = true;
    const read = async () => {
      const { rows } = await pool.query<{ version: string }>(READ_REVOCATIONS, [known]);
      for (const { version } of rows) seen.push((known = Number(version)));
    };
    const reader = (async () => {
      while (writing) await read();
    })();
    const writer = (id: number) =>
      on(async (client) => {
        for (let i = 0; i < EACH; i++) {
          await client.query('begin');
          await revokeGrant(client, scope(`user-${id}-${i}`), null);
          await client.query(i % 5 === 4 ? 'rollback' : 'commit');
        }
      });
    await Promise.all(Array.from({ length: WRITERS }, (_, id) => writer(id)));
    writing = false;
    await reader;
    await read();
    const { rows } = await pool.query<{ version: string }>(
      'select version from grants_revoked order by version',
    );
    expect(seen).toEqual(rows.map(({ version }) => Number(version)));
    expect(seen).toEqual(Array.from({ length: (WRITERS * EACH * 4) / 5 }, (_, i) => i + 1));
  });
});

describe('the feed', () => {
  test('S72 knows all rows when it has started, and is told of each new one', async () => {
    await revoke('before');
    const { users, rows } = await follow();
    expect(users).toEqual(['before']);
    await revoke('after');
    await heard(users, 'after');
    await on((client) => liftRevocations(client, scope('after')));
    await until(() => rows.length === 3, () => `${rows.length} rows`); // prettier-ignore
    expect(rows[2]).toMatchObject({ user: 'after', atMs: null });
  });

  test('S72 a notification that is lost is made up for by the poll', async () => {
    const { users } = await follow();
    await pool.query(
      `with head as (update grants_revoked_head set version = version + 1 returning version)
       insert into grants_revoked (user_id, version) select 'unheard', version from head`,
    );
    await heard(users, 'unheard');
  });

  test('S72 a connection that is killed, and one that freezes, is replaced, and what came meanwhile is read', async () => {
    const target = new URL(database.url);
    const proxy = await openCutProxy(Number(target.port || '5432'));
    target.port = String(proxy.port);
    target.hostname = '127.0.0.1';
    const { users, feed } = await follow(target.href);
    const kill = `select pg_terminate_backend(pid) from pg_stat_activity
                  where application_name = 'octavo revocations' and datname = current_database()`;
    expect((await pool.query(kill)).rowCount).toBe(1);
    await revoke('while killed');
    await heard(users, 'while killed');
    proxy.freeze();
    await revoke('while frozen');
    await heard(users, 'while frozen');
    proxy.cut();
    await revoke('while cut');
    await heard(users, 'while cut');
    proxy.freeze();
    await feed.stop();
    await proxy.close();
  });

  test('S72 a database that was put back to an earlier state is followed from its new connection on', async () => {
    const { users } = await follow();
    for (const user of ['one', 'two', 'three']) await revoke(user);
    await heard(users, 'three');
    users.length = 0;
    await pool.query(`delete from grants_revoked where version > 1`);
    await pool.query(`update grants_revoked_head set version = 1`);
    await pool.query(`select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'octavo revocations' and datname = current_database()`); // prettier-ignore
    await heard(users, 'one');
    await revoke('four');
    await heard(users, 'four');
  });

  test('S72 a database that does not answer at the start is told by name', async () => {
    const url = 'postgres://me:sekret@127.0.0.1:1/octavo';
    const failed = await follow(url).catch((error: unknown) => String(error));
    expect(failed).toMatch(/StoreError.*127\.0\.0\.1:1/);
    expect(failed).not.toContain('sekret');
  });
});
