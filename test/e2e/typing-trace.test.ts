/**
 * Real typing: a recorded trace, keystroke by keystroke, by one client into one block. A second client, and a third
 * after a restart of the server, read its end. `TRACES_DIR` names the folder of traces (see CONTRIBUTING.md); without
 * it a generated trace of the same format is typed.
 */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { expect, test } from 'vitest';
import { type Random, randomBelow, seededRandom, systemRandom } from '../../src/base/random.ts';
import { sleep } from '../../src/base/time.ts';
import { connect } from '../../src/client/index.ts';
import { newId, type PageId } from '../../src/protocol/ids.ts';
import { startServer, testToken } from '../support/server.ts';
import { until } from '../support/wait.ts';

interface Trace {
  readonly endContent: string;
  readonly txns: readonly { readonly patches: readonly (readonly [number, number, string])[] }[];
}

function loadTrace(): Trace {
  const path = join(process.env['TRACES_DIR'] ?? '', 'trace-sveltecomponent.json.gz');
  if (process.env['TRACES_DIR'] && existsSync(path)) {
    return JSON.parse(gunzipSync(readFileSync(path)).toString()) as Trace;
  }
  return generateTrace(seededRandom(7), 6000);
}

/** Runs of typing with corrections, the cursor jumping now and then: the shape of real traces. */
function generateTrace(random: Random, keystrokes: number): Trace {
  const txns: { patches: [number, number, string][] }[] = [];
  let text = '';
  let cursor = 0;
  while (txns.length < keystrokes) {
    if (randomBelow(random, 20) === 0) cursor = randomBelow(random, text.length + 1);
    const erase = cursor > 0 && randomBelow(random, 6) === 0;
    const patch: [number, number, string] = erase
      ? [cursor - 1, 1, '']
      : [cursor, 0, String.fromCharCode(97 + randomBelow(random, 26))];
    text = text.slice(0, patch[0]) + patch[2] + text.slice(patch[0] + patch[1]);
    cursor = patch[0] + patch[2].length;
    txns.push({ patches: [patch] });
  }
  return { endContent: text, txns };
}

test('C4 K2 a typing trace gives its end on a second client and after a restart', async () => {
  const trace = loadTrace();
  const server = await startServer();
  try {
    const writer = connect({ url: server.url, token: await testToken('writer') });
    const reader = connect({ url: server.url, token: await testToken('reader') });
    const id = newId<PageId>(Date.now(), systemRandom);
    const page = await writer.open(id, { create: 'blocks' });
    const block = page.insert({ type: 'paragraph' });
    const copy = await reader.open(id, { create: 'blocks' });
    const text = page.text(block);
    for (const [i, { patches }] of trace.txns.entries()) {
      for (const [at, deleted, inserted] of patches) {
        if (deleted > 0) text.delete(at, deleted);
        if (inserted) text.insert(at, inserted);
      }
      // A turn of its own for each keystroke, so that each is a change of its own as long as the server keeps up.
      if (i % 8 === 0) await sleep(0);
      else await Promise.resolve();
    }
    expect(text.toString()).toBe(trace.endContent);
    await page.whenSaved(120_000);
    await until(
      () => copy.seq === page.seq,
      () => `the reader is at ${copy.seq} of ${page.seq}`,
    );
    expect(copy.block(block)?.plainText).toBe(trace.endContent);

    const refused: string[] = [];
    page.on('rejected', ({ code }) => refused.push(code));
    server.kill('SIGTERM');
    expect(await server.exited).toBe(0);
    await server.restart();
    const late = connect({ url: server.url, token: await testToken('late') });
    expect((await late.open(id)).block(block)?.plainText).toBe(trace.endContent);
    expect(refused).toEqual([]);
    process.stdout.write(`${trace.txns.length} keystrokes, ${page.seq} changes\n`);
    await Promise.all([writer.close(), reader.close(), late.close()]);
  } finally {
    await server.dispose();
  }
}, 240_000);
