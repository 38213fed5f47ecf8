/**
 * The fuse on a real server with a real PostgreSQL, which is frozen, killed, kept busy, and short of disk: people go on
 * seeing each other's edits, nobody is told that something is stored before it is, and afterwards every change is in the
 * log once and all copies are equal. Durations and times are printed; `npm run test:long` takes the full ones.
 */
import { open, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import pg from 'pg';
import { afterEach, describe, expect, test } from 'vitest';
import { sleep } from '../../src/base/time.ts';
import { connect } from '../../src/client/index.ts';
import { Crowd, type CrowdOptions, quantile } from '../support/crowd.ts';
import { canMount, OwnPostgres, type OwnPostgresOptions } from '../support/own-postgres.ts';
import { enter } from '../support/raw-client.ts';
import { makePage } from '../support/raw-page.ts';
import { startServer, testToken, type TestServer } from '../support/server.ts';
import { until } from '../support/wait.ts';

const LONG = process.env['OCTAVO_TEST_LONG'] !== undefined;
const FAULT_MS = LONG ? 30_000 : 2500;
const CROWD: CrowdOptions = LONG
  ? { pages: 5, peopleOnEach: 4, rate: 1000 }
  : { pages: 3, peopleOnEach: 3, rate: 300 };
/** Test servers have another. */
const AS_BY_DEFAULT = { COMMIT_STALL_MS: '100' };
/** What was on its way when the fault began may still arrive. */
const AFTERGLOW_MS = 1000;
/** So much is written first: what a server that has just started takes for itself is not the stall's. */
const WARM_CHANGES = LONG ? 15_000 : 500;

const disposals: (() => Promise<void>)[] = [];

afterEach(async () => {
  for (const dispose of disposals.splice(0).reverse()) await dispose();
}, 120_000);

interface Scene {
  readonly postgres: OwnPostgres;
  readonly server: TestServer;
  readonly crowd: Crowd;
}

async function setScene(crowdOptions: CrowdOptions, env: Record<string, string> = {}, options: OwnPostgresOptions = {}): Promise<Scene> {
  const postgres = await OwnPostgres.start(options);
  disposals.push(() => postgres.dispose());
  const server = await startServer({ env: { ...AS_BY_DEFAULT, ...env }, databaseUrl: postgres.url });
  disposals.push(() => server.dispose());
  const crowd = await Crowd.gather(server, crowdOptions);
  disposals.push(() => crowd.leave());
  return { postgres, server, crowd };
} // prettier-ignore

async function residentMb(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  return Number(/VmRSS:\s+(\d+)/.exec(status)![1]) / 1024;
}

interface Fault {
  begin(): Promise<unknown>;
  end(): Promise<unknown>;
}

interface Told {
  readonly made: number;
  /** ms from an edit to another's screen, for all that was seen while the fault lasted. */
  readonly seen: readonly number[];
  /** Frames that told a bare socket of volatile changes. */
  readonly heard: number;
}

/** People write, the fault begins, lasts, and ends; people stop, and everything must be safe. */
async function through(name: string, { postgres, server, crowd }: Scene, fault: Fault): Promise<Told> {
  const witness = await enter(server.url, await testToken('witness'));
  await witness.subscribe(1, crowd.ids[0]!);
  crowd.write();
  await until(() => crowd.confirmed > WARM_CHANGES, () => 'the first acknowledgements', 60_000);
  const before = { mb: await residentMb(server.pid), p99: quantile(crowd.latencies, 0.99) };

  await fault.begin();
  const began = performance.now();
  const since = () => Math.round(performance.now() - began);
  crowd.latencies = [];
  await until(() => crowd.pages.every(({ saved, settled }) => !saved && !settled), () => 'unsaved and unsettled everywhere');
  const unsaved = since();
  await sleep(AFTERGLOW_MS);
  const { confirmed, made } = crowd;
  witness.inbox.length = 0;
  let mb = before.mb;
  for (; since() < FAULT_MS; await sleep(250)) mb = Math.max(mb, await residentMb(server.pid));
  const heard = witness.inbox.filter((m) => m.kind === 'changes').length;
  const told = { made: crowd.made - made, seen: crowd.latencies, heard };
  expect(crowd.confirmed - confirmed).toBe(0);
  expect(witness.inbox.filter((m) => m.kind === 'ack' || ((m.kind === 'changes' || m.kind === 'committed') && m.firstSeq > 0))).toEqual([]);
  crowd.latencies = [];

  await crowd.stop();
  await fault.end();
  const ended = performance.now();
  await until(() => crowd.isSafe(), () => `${crowd.pending} changes are pending`, 90_000);
  const safe = Math.round(performance.now() - ended);
  const logged = await crowd.check(postgres.url);
  const ms = (share: number) => quantile(told.seen, share).toFixed(0);
  process.stdout.write(
    `${name}: ${FAULT_MS / 1000} s, ${told.made} changes made in it, seen by others ${told.seen.length} times: ` +
      `p50 ${ms(0.5)} ms, p99 ${ms(0.99)} ms (before ${before.p99.toFixed(0)}), most ${ms(1)} ms; unsaved and unsettled after ` +
      `${unsaved} ms; memory ${before.mb.toFixed(0)} + ${(mb - before.mb).toFixed(0)} MB; all ${logged} changes safe ${safe} ms after\n`,
  );
  await witness.close();
  return told;
} // prettier-ignore

/** Nearly all that was made was seen by everyone else on its page while nothing could be stored. */
function expectSeen({ made, seen, heard }: Told): void {
  expect(heard).toBeGreaterThan(0);
  expect(made).toBeGreaterThan(CROWD.rate);
  expect(seen.length).toBeGreaterThan(0.8 * made * (CROWD.peopleOnEach - 1));
  expect(quantile(seen, 0.99)).toBeLessThan(2000);
}

/** Takes every connection, and those of the server too, as fast as it gives them up: until all that there are are its own. */
async function takeConnections(postgres: OwnPostgres, all: number): Promise<Fault> {
  const taken: pg.Client[] = [];
  const take = async (): Promise<boolean> => {
    const client = new pg.Client({ connectionString: postgres.url, connectionTimeoutMillis: 10_000 });
    client.on('error', () => {});
    try {
      await client.connect();
      taken.push(client);
      return true;
    } catch {
      // There are no more.
      return false;
    }
  };
  return {
    begin: async () => {
      await take();
      for (;;) {
        while (await take());
        // One that is being made or ended is not in pg_stat_activity, but it counts.
        if (taken.length === all) return;
        await taken[0]!.query(
          `select pg_terminate_backend(pid) from pg_stat_activity where application_name like 'octavo %'`,
        );
        await sleep(2);
      }
    },
    end: () => Promise.all(taken.map((client) => client.end())),
  };
}

/** Fills the file system up to its last byte, by what it can still hold. */
function fillDisk(postgres: OwnPostgres): Fault {
  const path = join(postgres.dataDir, 'filler');
  return {
    begin: async () => {
      const file = await open(path, 'w');
      for (let bytes = 1 << 20; bytes >= 1;) {
        try {
          const { bytesWritten } = await file.write(new Uint8Array(bytes).fill(1));
          if (bytesWritten < bytes) bytes >>= 1;
        } catch {
          // It is full, for so many bytes at once.
          bytes >>= 1;
        }
      }
      await file.close();
    },
    end: async () => {
      await rm(path);
      // One that found no room for its write-ahead log has ended itself.
      if (!postgres.isRunning) await postgres.start();
    },
  };
}

/** PostgreSQL refuses all writes: instead of a full disk, where that cannot be had. */
function refuseWrites(postgres: OwnPostgres): Fault {
  const set = async (to: 'on' | 'off') => {
    await postgres.query(`alter system set default_transaction_read_only = ${to}`);
    await postgres.query('select pg_reload_conf()');
  };
  return { begin: () => set('on'), end: () => set('off') };
}

async function metric(server: TestServer, line: string): Promise<number> {
  const text = await (await fetch(`${server.http}/metrics`)).text();
  return Number(
    text
      .split('\n')
      .find((one) => one.startsWith(`${line} `))
      ?.slice(line.length) ?? 0,
  );
}

const frozen = ({ postgres }: Scene): Fault => ({
  begin: () => postgres.signal('SIGSTOP'),
  end: () => postgres.signal('SIGCONT'),
});

describe('people write while PostgreSQL', () => {
  test('C60 C61 C65 C71 C73 K80 is frozen', async () => {
    const scene = await setScene(CROWD);
    expectSeen(await through('frozen', scene, frozen(scene)));
    expect(await metric(scene.server, 'octavo_stalls_total')).toBeGreaterThan(0);
    expect(scene.server.log()).toMatch(/the database stalls.*the stall is over/s);
  }, 300_000);

  test.runIf(LONG)('C60 C61 C65 is killed and started again', async () => {
    const scene = await setScene(CROWD);
    const { postgres } = scene;
    expectSeen(await through('killed', scene, { begin: () => postgres.kill(), end: () => postgres.start() }));
  }, 300_000);

  test('C60 C61 C65 has no connection left', async () => {
    const maxConnections = 25;
    const scene = await setScene(CROWD, {}, { maxConnections });
    expectSeen(await through('no connections', scene, await takeConnections(scene.postgres, maxConnections)));
  }, 300_000);

  test('C60 C61 C65 has no room on its disk', async () => {
    const real = await canMount();
    const scene = await setScene(CROWD, {}, real ? { diskMb: 300 } : {});
    const fault = real ? fillDisk(scene.postgres) : refuseWrites(scene.postgres);
    expectSeen(await through(real ? 'disk full' : 'writes refused', scene, fault));
  }, 300_000);

  test('C66 K40 is frozen for longer than memory lasts: busy, and clients keep what they wrote', async () => {
    const scene = await setScene(CROWD, { SHARDS: '1', PROPS_BYTES_MAX: '16384', MESSAGE_BYTES_MAX: '65536', BACKLOG_BYTES_MAX: '262144' });
    await through('frozen, small backlog', scene, frozen(scene));
    expect(await metric(scene.server, 'octavo_rejects_total{code="busy"}')).toBeGreaterThan(0);
  }, 300_000);
}); // prettier-ignore

test('C72 a page that is not in memory while PostgreSQL is frozen is unavailable, with a time to come back', async () => {
  const postgres = await OwnPostgres.start();
  disposals.push(() => postgres.dispose());
  const server = await startServer({ env: { ...AS_BY_DEFAULT, EVICT_IDLE_MS: '100' }, databaseUrl: postgres.url });
  disposals.push(() => server.dispose());
  const pages = await Promise.all(Array.from({ length: 20 }, () => makePage(server)));
  await until(async () => (await metric(server, 'octavo_pages_live')) === 0, () => 'pages are in memory');
  await postgres.signal('SIGSTOP');
  const client = await enter(server.url, await testToken('reader'));
  const asked = performance.now();
  pages.forEach(({ page }, i) => client.send({ kind: 'subscribe', ch: i + 1, page, since: null, epoch: null, create: null }));
  const sdk = connect({ url: server.url, token: await testToken('waiter') });
  disposals.push(() => sdk.close());
  const opening = sdk.open(pages[0]!.page);
  let last = 0;
  for (const _ of pages) {
    const { code, retryAfterMs } = await client.next('error');
    expect([code, (retryAfterMs ?? 0) > 0]).toEqual(['unavailable', true]);
    last = Math.round(performance.now() - asked);
  }
  process.stdout.write(`cold pages: ${pages.length} refused as unavailable within ${last} ms\n`);
  await sleep(FAULT_MS - 3000);
  await postgres.signal('SIGCONT');
  expect((await opening).root.children.length).toBe(1);
  await client.subscribe(100, pages[1]!.page);
  await client.close();
}, 120_000); // prettier-ignore
