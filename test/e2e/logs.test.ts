/**
 * What a server at its lowest level writes into its log while it is used as it should be, refuses, is sent garbage, and cannot
 * commit: documented lines, nothing secret, nothing that people wrote. All that must not be there carries a mark.
 */
import pg from 'pg';
import WebSocket from 'ws';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { OpDraft } from '../../src/document/ops.ts';
import type { PageId } from '../../src/protocol/ids.ts';
import { documentedEvents, faultsOf, type LogLine, logLines } from '../support/log-events.ts';
import { enter, newBlock, newPage, open, type RawClient } from '../support/raw-client.ts';
import { insert, textUpdates, viewerOf } from '../support/raw-page.ts';
import { startServer, testToken, type TestServer } from '../support/server.ts';
import { until } from '../support/wait.ts';

/** Short: PostgreSQL cuts the columns of a row that it names. */
const MARK = 'Xyzzy';
/** What the mark looks like where bytes are written as text. */
const FORMS = [MARK, MARK.toLowerCase(), Buffer.from(MARK).toString('hex'), Buffer.from(MARK).toString('base64').slice(0, 6), [...Buffer.from(MARK)].join(','), encodeURIComponent(MARK)]; // prettier-ignore
const KEY = `${MARK} key of tokens, 32 bytes and more`;

let server: TestServer;
let database: pg.Client;

beforeAll(async () => {
  server = await startServer({
    env: { LOG_LEVEL: 'debug', SHARDS: '1', JWT_SECRET: KEY, ADMIN_TOKEN: `${MARK} of operators`, EVICT_IDLE_MS: '1', REDIS_URL: `redis://${MARK}:${MARK}@127.0.0.1:1`, UNAUTHENTICATED_MS: '300', PRESENCE_BYTES_MAX: '64' },
  });
  database = new pg.Client({ connectionString: server.databaseUrl! });
  await database.connect();
}); // prettier-ignore

afterAll(async () => {
  await database?.end();
  await server?.dispose();
});

const token = (user: string, grants?: unknown) => testToken(user, { secret: KEY, grants });
/** A text of up to 255 bytes in MessagePack. */
const text = (value: string) => Buffer.concat([Buffer.of(0xd9, value.length), Buffer.from(value)]);
const lines = (event: string): LogLine[] => logLines(server.log()).filter(({ msg }) => msg === event);
const logged = (event: string) => until(() => lines(event).length > 0, () => `a line “${event}” in:\n${server.log()}`); // prettier-ignore

async function write(client: RawClient, page: PageId, pieces: number): Promise<void> {
  const block = newBlock();
  await client.write(1, page, [
    { ...insert(page, block), props: { [`${MARK}Key`]: MARK }, type: `${MARK}Type` } as OpDraft,
  ]);
  for (const update of textUpdates(
    4711,
    Array.from({ length: pieces }, () => `${MARK} `),
  ))
    await client.write(1, page, [{ op: 'text', block, update }]);
}

async function normalUse(): Promise<PageId> {
  const page = newPage();
  for (const where of ['header', 'query', 'subprotocol', 'frame'] as const) {
    const client = await enter(server.url, await token('ann'), { where });
    await client.subscribe(1, page, { create: 'blocks' });
    if (where === 'header') await write(client, page, 3);
    client.send({ kind: 'presence', ch: 1, state: text(MARK) });
    client.send({ kind: 'auth', token: await token('ann') });
    await client.next('role');
    await client.close();
  }
  for (const path of ['/healthz', '/readyz', '/metrics', `/${MARK}`, `/healthz?token=${MARK}`]) await fetch(server.http + path);
  for (const secret of [`${MARK} of operators`, MARK]) await fetch(`${server.http}/debug/pages`, { headers: { authorization: `Bearer ${secret}` } });
  return page;
} // prettier-ignore

async function refusals(page: PageId): Promise<void> {
  const bad = await open(server.url, { token: `${MARK}.${MARK}.${MARK}`, where: 'query' });
  expect(await bad.refusal()).toBe('unauthorized');
  await bad.closed;
  await (
    await open(server.url)
  ).closed;
  await expect(open(`${server.http.replace('http', 'ws')}/${MARK}?token=${MARK}`)).rejects.toThrow('404');
  const viewer = await enter(server.url, await token('eve', viewerOf(page)));
  await viewer.subscribe(1, page);
  viewer.change(1, 1, [{ op: 'update', block: page as never, props: { [MARK]: MARK }, type: null }]);
  expect(await viewer.refusal()).toBe('forbidden');
  viewer.send({ kind: 'presence', ch: 1, state: text(MARK.repeat(20)) });
  expect(await viewer.refusal()).toBe('too_large');
  viewer.send({ kind: 'auth', token: `${MARK}.e30.${MARK}` });
  expect(await viewer.refusal()).toBe('unauthorized');
  viewer.ask(2, newPage(), { create: MARK });
  expect(await viewer.refusal()).toBe('forbidden');
  await viewer.close();
}

async function garbage(page: PageId): Promise<void> {
  const client = await enter(server.url, await token('mallory'));
  await client.subscribe(1, page);
  const junk = [`\x93${MARK}`, `\x96\x06\x01\x01\x92\x00\x00\xc4\x05${MARK}\xc0`, `\xde\xff\xff${MARK}`, `\x92\x63\xa5${MARK}`];
  for (const bytes of junk) client.sendBytes(Buffer.from(bytes, 'latin1'));
  client.sendText(MARK);
  client.change(1, 1, Buffer.from(`\x91\x93\x02\xd9\xff${MARK}`, 'latin1'));
  client.change(1, 1, [{ op: 'text', block: page as never, update: Buffer.from(MARK) }]);
  for (let i = 0; i < 3; i++) await client.refusal();
  await client.close();
  const raw = new WebSocket(server.url, ['octavo.v1'], { headers: { authorization: `Basic ${MARK}`, traceparent: MARK } });
  raw.on('error', () => {});
  await new Promise((resolve) => raw.once('close', resolve));
} // prettier-ignore

/** PostgreSQL names the row that it does not take, with all that is in it. */
async function failingCommit(): Promise<void> {
  const client = await enter(server.url, await token('ann'));
  const page = newPage();
  await client.subscribe(1, page, { create: 'blocks' });
  await write(client, page, 1);
  await database.query('alter table changes add constraint no_more check (n < 3) not valid');
  client.change(1, 3, [{ op: 'update', block: page as never, props: { [MARK]: MARK }, type: null }]);
  expect(await client.refusal()).toBe('unavailable');
  await client.close();
  await database.query('alter table changes drop constraint no_more');
  await logged('a page is damaged and unavailable; docs/operations.md says what to do');
  expect(lines('an append failed; reading the log')[0]).toMatchObject({ level: 40, changes: 1, pages: 1 });
}

/** What is read back is not what was written. */
async function damagedLog(page: PageId): Promise<void> {
  await until(() => lines('a page left memory').some((line) => line['page'] === page), () => 'the page to leave memory');
  await database.query('delete from snapshots where page_id = $1', [page]);
  await database.query('update changes set body = $2 where page_id = $1 and seq = 2', [page, Buffer.from(`\x91\xa5${MARK}`, 'latin1')]);
  const client = await enter(server.url, await token('ann'));
  client.ask(1, page);
  expect(await client.refusal()).toBe('unavailable');
  await client.close();
} // prettier-ignore

test('G140 G141 G142 at the lowest level, through use, refusals, garbage and a commit that fails: documented lines, and no secret in them', async () => {
  const page = await normalUse();
  await refusals(page);
  await garbage(page);
  await failingCommit();
  await damagedLog(page);
  await logged('Redis is away: nodes hear of each other by the database, less soon');
  server.kill('SIGTERM');
  await server.exited;

  const written = server.log();
  for (const form of FORMS) expect(written).not.toContain(form);
  const all = logLines(written);
  const events = documentedEvents();
  expect([...new Set(all.flatMap((line) => faultsOf(line, events)))]).toEqual([]);
  // Those that this has been about were there, with who and where.
  const [came] = lines('a client came to a page');
  expect(came).toMatchObject({ page, role: 'editor', connection: expect.any(Number) });
  expect(lines('a socket belongs to a user').find(({ connection }) => connection === came!['connection'])).toMatchObject({ user: 'ann' });
  expect(lines('a socket has ended').some(({ connection }) => connection === came!['connection'])).toBe(true);
  expect(lines('a change was refused').map(({ code }) => code)).toEqual(expect.arrayContaining(['forbidden', 'malformed']));
  expect(lines('a request was answered').map(({ path, status }) => [path, status])).toEqual([['/healthz', 200], ['/readyz', 200], ['/metrics', 200], [undefined, 404], ['/healthz', 200], ['/debug/pages', 200], ['/debug/pages', 401]]);
  expect(lines('stopped')).toHaveLength(1);
  // Nothing that a client did is a warning.
  const above = new Set(all.filter(({ level }) => (level as number) >= 40).map(({ msg }) => msg));
  expect([...above].sort()).toEqual([
    'Redis is away: nodes hear of each other by the database, less soon',
    'a page is damaged and unavailable; docs/operations.md says what to do',
    'an append failed; reading the log',
  ]);
}); // prettier-ignore
