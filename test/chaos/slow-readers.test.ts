/**
 * Readers that stop reading, or read a little at a time, while others edit: what is held for each stays bounded, nobody
 * else notices, and who reads again has the page. Real sockets whose reading is paused, on both transports.
 */
import { afterEach, describe, expect, test } from 'vitest';
import { encodeOps } from '../../src/document/ops.ts';
import type { PageId } from '../../src/protocol/ids.ts';
import type { ServerMessage } from '../../src/protocol/messages.ts';
import { enter, type RawClient } from '../support/raw-client.ts';
import { insert, makePage } from '../support/raw-page.ts';
import { startServer, testToken, type TestServer } from '../support/server.ts';
import { until } from '../support/wait.ts';

const MIB = 1 << 20;
const HELD_MAX = MIB;
/** More than the kernel keeps for the two ends of a connection. */
const FLOOD_BYTES = 24 * MIB;
const CHANGE_BYTES = 60_000;
const LONG = process.env['OCTAVO_TEST_LONG'] !== undefined;
const SLOW = LONG ? 100 : 8;

let server: TestServer;
afterEach(() => server?.dispose());

async function metric(name: string): Promise<number> {
  const text = await (await fetch(`${server.http}/metrics`)).text();
  return Number(new RegExp(`^${name} (\\S+)`, 'm').exec(text)?.[1] ?? NaN);
}

/** A change of about `CHANGE_BYTES`, always of the same prop, so that the page stays small. */
const large = (page: PageId) =>
  encodeOps([{ op: 'update', block: page as never, props: { fill: 'x'.repeat(CHANGE_BYTES) }, type: null }]);

/** Writes to the page until the kernel's buffers of who does not read are long full; the seq of the last change. */
async function flood(writer: RawClient, page: PageId, mostHeld: () => void = () => {}): Promise<number> {
  let at = 0;
  for (let sent = 0; sent < FLOOD_BYTES; sent += CHANGE_BYTES) {
    at = await writer.write(1, page, [{ op: 'update', block: page as never, props: { fill: 'x'.repeat(CHANGE_BYTES) }, type: null }]);
    if (sent % (20 * CHANGE_BYTES) === 0) mostHeld();
  }
  return at;
} // prettier-ignore

/** Follows a page as docs/protocol.md says, and notes each change that it could not have asked for. */
class Follower {
  seq = 0;
  gaps = 0;
  resumed = 0;
  #asked = false;
  readonly #client: RawClient;

  constructor(client: RawClient, at: number) {
    this.#client = client;
    this.seq = at;
  }

  /** Handles what has come. */
  read(): void {
    for (const message of this.#client.inbox.splice(0)) this.#handle(message);
  }

  #handle(message: ServerMessage): void {
    if (message.kind === 'subscribed') this.resumed++;
    if (message.kind === 'snapshot' && message.part === message.parts - 1) this.#reach(message.seq);
    // What was told before its commit is named when it is in the log.
    if ((message.kind !== 'changes' && message.kind !== 'committed') || message.firstSeq === 0) return;
    const last = message.firstSeq + message.changes.length - 1;
    if (message.firstSeq <= this.seq + 1) return this.#reach(last);
    this.gaps++;
    if (this.#asked) return;
    this.#asked = true;
    this.#client.send({ kind: 'sync', ch: 1, since: this.seq as never });
  }

  #reach(seq: number): void {
    this.#asked = false;
    if (seq > this.seq) this.seq = seq;
  }
}

const follow = async (page: PageId, name: string) => {
  const client = await enter(server.url, await testToken(name));
  const { head } = await client.subscribe(1, page);
  return { client, follower: new Follower(client, head) };
};

describe.each(['uws', 'ws'])('on %s', (transport) => {
  test.runIf(transport === 'uws' || LONG)('G95 readers that stop are left behind, hold at most 1 MiB each, and have the page when they read again', async () => {
    server = await startServer({ env: { TRANSPORT: transport } });
    const { page } = await makePage(server);
    const writer = await enter(server.url, await testToken('writer'));
    await writer.subscribe(1, page);
    const brisk = await follow(page, 'brisk');
    const slow = await Promise.all(Array.from({ length: SLOW }, (_, i) => follow(page, `slow${i}`)));
    for (const { client } of slow) client.pause();
    const held: Promise<number>[] = [];
    const head = await flood(writer, page, () => {
      brisk.follower.read();
      held.push(metric('octavo_unread_bytes_most'));
    });
    // A frame that met a buffer with room may be the last one above.
    expect(Math.max(...(await Promise.all(held)))).toBeLessThan(HELD_MAX + CHANGE_BYTES);
    expect(await metric('octavo_sockets_paused')).toBe(SLOW);
    await until(() => (brisk.follower.read(), brisk.follower.seq === head), () => `the brisk reader is at ${brisk.follower.seq} of ${head}`);
    expect(brisk.follower.gaps).toBe(0);
    expect(brisk.follower.resumed).toBe(0);

    for (const { client } of slow) client.resume();
    for (const { client, follower } of slow) {
      await until(() => (follower.read(), follower.seq === head), () => `a slow reader is at ${follower.seq} of ${head}`);
      expect(follower.resumed).toBeGreaterThan(0);
      // And follows the page: no more to ask for.
      follower.gaps = 0;
      await client.settle(1, page);
    }
    await until(async () => (await metric('octavo_sockets_paused')) === 0, () => 'sockets are still paused');
    const last = await writer.write(1, page, [insert(page)]);
    for (const { follower } of [brisk, ...slow]) {
      await until(() => (follower.read(), follower.seq === last), () => 'the last change did not come');
      expect(follower.gaps).toBe(0);
    }
    expect(await metric('octavo_unread_bytes_most')).toBe(0);
  }); // prettier-ignore

  test.runIf(transport === 'uws' || LONG)('G91 a reader that was left behind goes on writing, and is answered', async () => {
    server = await startServer({ env: { TRANSPORT: transport } });
    const { page } = await makePage(server);
    const writer = await enter(server.url, await testToken('writer'));
    await writer.subscribe(1, page);
    const { client, follower } = await follow(page, 'slow');
    client.pause();
    const head = await flood(writer, page);
    client.change(1, 1, large(page));
    client.change(1, 5, large(page));
    await writer.take('the slow one’s change', (m): m is ServerMessage & { kind: 'changes' } =>
      m.kind === 'changes' && m.changes.some(({ replica }) => replica === client.replica));
    client.resume();
    expect(await client.next('reject')).toMatchObject({ n: 5, code: 'out_of_order' });
    await until(() => (follower.read(), follower.seq === head + 1), () => `at ${follower.seq} of ${head + 1}`);
  }); // prettier-ignore

  test.runIf(transport === 'uws' || LONG)('G90 a client that asks and asks and does not read is closed, and may come back', async () => {
    server = await startServer({ env: { TRANSPORT: transport, PRESENCE_PER_SECOND: '1000' } });
    const client = await enter(server.url, await testToken('greedy'));
    client.pause();
    let asked = 0;
    const closes = async () => /octavo_closes_total\{reason="too_slow"\} 1/.test(await (await fetch(`${server.http}/metrics`)).text());
    await until(
      async () => {
        for (let i = 0; i < 20_000; i++) client.sendBytes(Uint8Array.of(0x92, 3, ++asked & 127));
        return closes();
      },
      () => `${asked} questions were answered`,
      60_000,
    );
    client.resume();
    // 1006 when the connection was cut with questions of the client unread: come back as well.
    expect([4001, 1006]).toContain((await client.closed).code);
    expect(await metric('octavo_unread_bytes_most')).toBeLessThan(HELD_MAX);
  }); // prettier-ignore
});
