/**
 * What readers that do not read cost the others: latencies of 5 pages × 4 clients at 2,000 edits a second, without and with
 * 100 more sockets on these pages, half of which read nothing and half 1 KB a second, turn by turn in one run. Before that
 * the pages are flooded until the kernel's buffers of those are full, so that what is held is held by the server.
 */
import { encodeClientMessage } from '../../src/protocol/encode.ts';
import type { BlockId, PageId } from '../../src/protocol/ids.ts';
import { encodeOps } from '../../src/document/ops.ts';
import { openBenchDatabase, checkpoint } from '../lib/database.ts';
import { figure, median, type SuiteOptions, type SuiteResult } from '../lib/figures.ts';
import { join } from '../lib/joiner.ts';
import { LoadGenerator, type Measured } from '../lib/load.ts';
import { preparePages, type PreparedPage } from '../lib/load-pages.ts';
import { must } from '../lib/must.ts';
import { RAISED_TEXT, type ServerProcess, startServer } from '../lib/server-process.ts';
import { SlowSocket } from '../lib/slow-socket.ts';

const PAGES = 5;
const CLIENTS_EACH = 4;
const SLOW = 100;
const TRICKLE_BYTES = 1000;
const FLOOD_CHANGES = 200;
const FLOOD_BYTES = 60_000;
const WARM_UP_MS = 1500;

async function unread(server: ServerProcess, name: string): Promise<number> {
  const text = await (await fetch(new URL('/metrics', server.url.replace('ws:', 'http:')))).text();
  return Number(new RegExp(`^${name} (\\S+)`, 'm').exec(text)?.[1] ?? NaN);
}

/** Writes to a page until nobody's kernel can hold what was not read. */
async function flood(server: ServerProcess, page: PageId): Promise<void> {
  const token = await server.token('flood');
  const { socket, head } = await join(server.url, token, page);
  const props = { fill: 'x'.repeat(FLOOD_BYTES) };
  for (let n = 1; n <= FLOOD_CHANGES; n++) {
    const ops = encodeOps([{ op: 'update', block: page as string as BlockId, props, type: null }]);
    const hlc = { ms: Date.now(), counter: 0 };
    socket.send(encodeClientMessage({ kind: 'change', ch: 1, n, hlc, ops, replica: null }));
    if (n % 20 === 0) await reached(server, token, page, head + n);
  }
  socket.close();
}

async function reached(server: ServerProcess, token: string, page: PageId, head: number): Promise<void> {
  for (;;) {
    const seen = await join(server.url, token, page);
    seen.socket.close();
    if (seen.head >= head) return;
  }
}

function slowOn(server: ServerProcess, pages: readonly PreparedPage[]): Promise<SlowSocket[]> {
  const open = async (i: number) =>
    SlowSocket.open(
      server.url,
      await server.token('slow'),
      pages[i % PAGES]!.page as PageId,
      i % 2 ? TRICKLE_BYTES : 0,
    );
  return Promise.all(Array.from({ length: SLOW }, (_, i) => open(i)));
}

export async function slowReaders(options: SuiteOptions): Promise<SuiteResult> {
  const database = await openBenchDatabase();
  const server = await startServer(options, database.url, { USER_SOCKETS_MAX: '1000' });
  const generator = new LoadGenerator([server], database, options.pin);
  const rounds: { alone: Measured; beside: Measured; held: number }[] = [];
  /** On fresh pages, flooded in both cases: the generator's clients come after that. */
  const measured = async (isBeside: boolean): Promise<{ result: Measured; held: number }> => {
    const pages = await preparePages(PAGES, CLIENTS_EACH, () => server);
    const slow = isBeside ? await slowOn(server, pages) : [];
    await Promise.all(pages.map(({ page }) => flood(server, page as PageId)));
    await generator.connect(pages);
    await checkpoint(database.url);
    const measureMs = (options.seconds * 1000) / options.rounds / 2;
    const result = await generator.run({ kind: 'open', perSecond: 2000 }, WARM_UP_MS, measureMs);
    const held = await unread(server, 'octavo_unread_bytes_most');
    await generator.disconnect();
    for (const socket of slow) socket.close();
    return { result, held };
  };
  try {
    for (let round = 0; round < options.rounds; round++) {
      const alone = await measured(false);
      const beside = await measured(true);
      must(beside.held > 0, 'something is held for those who do not read');
      rounds.push({ alone: alone.result, beside: beside.result, held: beside.held });
    }
    const notes = await server.stop();
    const grown = median(rounds.map(({ alone, beside }) => beside.p99 / alone.p99 - 1));
    notes.push(`p99 beside ${SLOW} slow readers: ${(100 * grown).toFixed(0)} % more`);
    const of = (name: string, unit: string, value: (round: (typeof rounds)[0]) => number) =>
      figure(name, unit, 'lower', rounds.map(value)); // prettier-ignore
    return {
      suite: 'slow-readers',
      settings: { load: `${PAGES} pages × ${CLIENTS_EACH} clients, 2,000 edits/s`, 'slow readers': SLOW, limits: RAISED_TEXT },
      figures: [
        of('alone: p50', 'ms', ({ alone }) => alone.p50),
        of('alone: p99', 'ms', ({ alone }) => alone.p99),
        of('beside them: p50', 'ms', ({ beside }) => beside.p50),
        of('beside them: p99', 'ms', ({ beside }) => beside.p99),
        of('held for one of them, at most', 'KB', ({ held }) => held / 1000),
      ],
      notes,
    };
  } finally {
    generator.stop();
    server.kill();
    await database.drop();
  }
} // prettier-ignore
