/**
 * Past a limit: one who floods is held back, and nobody else notices; the SDK slows down by itself, loses nothing, and
 * makes no storm of what is refused.
 */
import { afterEach, describe, expect, test } from 'vitest';
import { connect } from '../../src/client/index.ts';
import type { ServerMessage } from '../../src/protocol/messages.ts';
import { enter, newPage, newReplica, open, RawClient } from '../support/raw-client.ts';
import { headOf, insert, makePage } from '../support/raw-page.ts';
import { foldLog, logFaults, readWholeLog } from '../support/replay.ts';
import { startServer, testToken, type TestServer } from '../support/server.ts';
import { until } from '../support/wait.ts';

let server: TestServer;
afterEach(() => server?.dispose());

/** A counter of /metrics, over all its labels that `labels` names. */
async function counted(name: string, labels = ''): Promise<number> {
  const metrics = await (await fetch(`${server.http}/metrics`)).text();
  const lines = metrics.split('\n').filter((line) => line.startsWith(name) && line.includes(labels));
  return lines.reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0);
}

describe('K40 the SDK keeps within the rates of its user and its page', () => {
  test('K40 three who write far faster than they may: all of it arrives, once, and little is refused', async () => {
    server = await startServer({ env: { USER_CHANGES_PER_SECOND: '60', USER_CHANGES_BURST: '60', PAGE_CHANGES_PER_SECOND: '100' } });
    const id = newPage();
    // Two sockets share a user, all share a page: neither rate is one client's own.
    const clients = await Promise.all(['ann', 'ann', 'bob'].map(async (user) => connect({ url: server.url, token: await testToken(user) })));
    const pages = await Promise.all(clients.map((client) => client.open(id, { create: 'blocks' })));
    const before = await counted('octavo_frames_received_total');
    const EACH = 250;
    // Props of one block: no two changes are merged on the way.
    pages.forEach((page, who) => {
      for (let i = 1; i <= EACH; i++) page.transact(() => page.update(page.root.id, { [`count${who}`]: i }));
    });
    await Promise.all(pages.map((page) => page.whenSaved(90_000)));
    const log = await readWholeLog(server.databaseUrl!, id);
    expect(logFaults(log)).toEqual([]);
    expect(log).toHaveLength(3 * EACH);
    await until(() => pages.every((page) => page.seq === log.length), () => 'not all are at head');
    const { props } = pages[0]!.root;
    expect([props['count0'], props['count1'], props['count2']]).toEqual([EACH, EACH, EACH]);
    const refused = await counted('octavo_rejects_total', 'code="rate"');
    const frames = (await counted('octavo_frames_received_total')) - before;
    expect(frames).toBeLessThan(2 * 3 * EACH);
    console.info(`${3 * EACH} changes in ${frames} frames, ${refused} refused for their rate`);
    await Promise.all(clients.map((client) => client.close()));
    expect(foldLog(id, log)).toBeDefined();
  }); // prettier-ignore
});

describe('G73 whoever is past a limit harms nobody else', () => {
  const EDITS = 15;

  /** Well-behaved people on the page: what each wrote was taken at the first try. */
  async function write(
    client: RawClient,
    page: Awaited<ReturnType<typeof makePage>>,
    edits: number,
  ): Promise<void> {
    for (let i = 0; i < edits; i++) {
      await client.write(1, page.page, [{ op: 'update', block: page.block, props: { i }, type: null }]);
    }
  }

  const floods: readonly (readonly [what: string, run: (client: RawClient, page: Awaited<ReturnType<typeof makePage>>, i: number) => void])[] = [
    ['a user past their rate, without waiting', (client, { page }, i) => client.change(1, i + 1, [insert(page)])],
    ['changes that are refused for what they hold', (client) => client.change(1, 1, [{ op: 'purge', blocks: [] }])],
    ['frames that are none', (client) => client.sendBytes(Uint8Array.of(0xc1, 0xc1, 0xc1))],
    ['SYNC for all of the page', (client) => client.send({ kind: 'sync', ch: 1, since: 0 as never })],
    ['frames of 200 KB', (client) => client.sendBytes(new Uint8Array(200_000))],
  ]; // prettier-ignore

  test.each(floods)('G73 %s', async (_what, flood) => {
    server = await startServer({
      env: { USER_CHANGES_PER_SECOND: '100', USER_CHANGES_BURST: '500', PAGE_CHANGES_PER_SECOND: '1000', USER_FRAMES_PER_SECOND: '1000', USER_FRAMES_BURST: '5000', USER_BYTES_PER_SECOND: '4194304', USER_BYTES_BURST: '33554432' },
    });
    const page = await makePage(server);
    const mates = await Promise.all(['ann', 'bob', 'zoe'].map(async (user) => enter(server.url, await testToken(user))));
    for (const mate of mates) await mate.subscribe(1, page.page);
    let flooding = true;
    const flooded = (async () => {
      while (flooding) {
        const client = await open(server.url, { token: await testToken('mallory'), replica: newReplica() });
        await client.hello().catch(() => undefined);
        if (!client.isClosed) client.ask(1, page.page);
        for (let i = 0; flooding && !client.isClosed; i++) {
          flood(client, page, i);
          if (client.bufferedBytes > 1 << 20 || i % 100 === 0) await new Promise((resolve) => setImmediate(resolve));
          client.inbox.length = 0;
        }
        if (client.isClosed) expect((await client.closed).code).toBe(4005);
        await client.terminate();
      }
    })();
    await Promise.all(mates.map((mate) => write(mate, page, EDITS)));
    flooding = false;
    await flooded;
    // `write` fails at a refusal; nobody was sent anything about the flood but its changes.
    const isOurs = ({ kind }: ServerMessage) => ['changes', 'committed', 'presence', 'hash'].includes(kind);
    for (const mate of mates) expect(mate.inbox.filter((m) => !isOurs(m))).toEqual([]);
    expect(await headOf(server, page.page)).toBeGreaterThanOrEqual(1 + 3 * EDITS);
    await Promise.all(mates.map((mate) => mate.close()));
  }); // prettier-ignore
});
