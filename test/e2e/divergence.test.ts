/**
 * The divergence alarm from end to end: one copy hears one wrong bit, as no checksum on the way would let through, and is
 * found, counted, logged with both hashes and repaired; the copies that are right are not asked again.
 */
import { expect, test } from 'vitest';
import { systemRandom } from '../../src/base/random.ts';
import { sleep } from '../../src/base/time.ts';
import { connect, type DivergedEvent, type OpenSocket } from '../../src/client/index.ts';
import { openWebSocket } from '../../src/client/socket.ts';
import { hashHex } from '../../src/document/state-hash.ts';
import { newId, type PageId } from '../../src/protocol/ids.ts';
import { SERVER_KIND } from '../../src/protocol/messages.ts';
import { foldLog, readWholeLog } from '../support/replay.ts';
import { startServer, testToken } from '../support/server.ts';
import { until } from '../support/wait.ts';

const MARK = Buffer.from('a value with a mark');
/** After so many changes the page tells its hash. */
const ENOUGH = 300;

test('K72 A82 a copy that heard one wrong bit is found, counted, logged and repaired; the others hear nothing of it', async () => {
  const server = await startServer({ env: { SHARDS: '1' } });
  let flipped = 0;
  let told = 0;
  /** Flips one bit of the mark, the first time that it comes by. */
  const faulty: OpenSocket = (url, token, events) =>
    openWebSocket(url, token, {
      ...events,
      open: () => events.open(),
      message: (bytes) => {
        const at = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).indexOf(MARK);
        if (bytes[1] === SERVER_KIND.hash) told++;
        if (bytes[1] === SERVER_KIND.changes && at >= 0 && flipped++ === 0) bytes[at]! ^= 1;
        events.message(bytes);
      },
      close: (code, reason) => events.close(code, reason),
    });
  const anna = connect({ url: server.url, token: await testToken('anna') });
  const boris = connect({ url: server.url, token: await testToken('boris'), openSocket: faulty });
  try {
    const id = newId<PageId>(Date.now(), systemRandom);
    const right = await anna.open(id, { create: 'blocks' });
    const wrong = await boris.open(id);
    const alarms: Record<'anna' | 'boris', DivergedEvent[]> = { anna: [], boris: [] };
    right.on('diverged', (event) => alarms.anna.push(event));
    wrong.on('diverged', (event) => alarms.boris.push(event));
    const block = right.insert({ type: 'paragraph', props: { mark: String(MARK) }, text: 'text of anna' });
    await right.whenSaved(10_000);
    await until(() => wrong.block(block) !== undefined, () => 'boris did not hear of the block');
    expect(wrong.block(block)!.props['mark']).not.toBe(String(MARK));
    // Pending all the while, or soon confirmed: either way it must not be lost by the repair.
    const own = wrong.insert({ type: 'quote', text: 'text of boris' });
    for (let n = 0; n < ENOUGH; n++) {
      right.update(block, { n });
      await sleep(0);
    }
    await right.whenSaved(10_000);
    await until(() => alarms.boris.length === 1, () => 'boris was not alarmed');
    await until(() => wrong.live && wrong.block(block)?.props['mark'] === String(MARK), () => 'boris was not repaired');
    await wrong.whenSaved(10_000);
    expect([wrong.block(own)?.plainText, wrong.block(block)?.plainText]).toEqual(['text of boris', 'text of anna']);
    await until(() => right.seq === wrong.seq, () => `${right.seq} and ${wrong.seq}`);
    expect(wrong.toJSON()).toEqual(right.toJSON());
    expect([alarms.anna, alarms.boris[0]!.repairing]).toEqual([[], true]);

    const log = await readWholeLog(server.databaseUrl!, id);
    const at = alarms.boris[0]!.seq;
    expect(hashHex(foldLog(id, log.slice(0, at)).hash!)).toBe(alarms.boris[0]!.theirs);
    const metrics = await (await fetch(`${server.http}/metrics`)).text();
    expect(/^octavo_divergences_total (\d+)/m.exec(metrics)?.[1]).toBe('1');
    const line = server.log().split('\n').find((one) => one.includes('differs from the page'));
    const { ours, theirs } = alarms.boris[0]!;
    // To the server the page's hash is its own.
    expect(JSON.parse(line!)).toMatchObject({ page: id, seq: at, ours: theirs, theirs: ours, user: 'boris' });

    // The repaired copy agrees from then on.
    const before = told;
    for (let n = 0; n < ENOUGH; n++) {
      right.update(block, { again: n });
      await sleep(0);
    }
    await right.whenSaved(10_000);
    await until(() => told > before && right.seq === wrong.seq, () => 'no hash was told');
    expect([alarms.anna.length, alarms.boris.length]).toEqual([0, 1]);
  } finally {
    await Promise.all([anna.close(), boris.close()]);
    await server.dispose();
  }
}); // prettier-ignore
