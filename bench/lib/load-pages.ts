/**
 * Prepares pages for the load generator, through the server itself, and checks afterwards that they hold what was
 * typed: the log's head counts every edit once, and a new client reads the right text.
 */
import { encodeClientMessage } from '../../src/protocol/encode.ts';
import { type BlockId, newId, type PageId, type ReplicaId } from '../../src/protocol/ids.ts';
import { systemRandom } from '../../src/base/random.ts';
import { encodeOps } from '../../src/document/ops.ts';
import type { LoadClient, LoadPage } from '../load/orders.ts';
import { join, newReplica, textOf } from './joiner.ts';
import { expectedText } from './keystroke.ts';
import { must } from './must.ts';
import type { ServerProcess } from './server-process.ts';

export interface PreparedPage extends LoadPage {
  /** The log's head before anything was typed. */
  readonly head: number;
}

/** A replica id whose last byte is the client's slot: see `load-client.ts`. Those past 255 only read. */
function replicaOf(slot: number): ReplicaId {
  return (newReplica().slice(0, -2) + Math.min(slot, 0xff).toString(16).padStart(2, '0')) as ReplicaId;
}

async function loadClient(server: ServerProcess, slot: number, block: BlockId): Promise<LoadClient> {
  const yjsClient = systemRandom.uint32();
  return {
    url: server.url,
    token: await server.token(`user-${slot}`),
    replica: replicaOf(slot),
    yjsClient,
    block,
  };
}

/** Sends the bodies as changes of a new client that makes the page; resolves when all of them are in the log. */
export async function makePage(server: ServerProcess, page: PageId, bodies: readonly Uint8Array[]): Promise<number> {
  const token = await server.token('maker');
  const { socket, head } = await join(server.url, token, page, true);
  must(head === 0, 'the page is new');
  bodies.forEach((ops, i) => {
    const hlc = { ms: Date.now(), counter: i };
    socket.send(encodeClientMessage({ kind: 'change', ch: 1, n: i + 1, hlc, ops, replica: null }));
  });
  for (;;) {
    const seen = await join(server.url, token, page);
    seen.socket.close();
    if (seen.head >= bodies.length) break;
  }
  socket.close();
  return bodies.length;
} // prettier-ignore

/**
 * Pages of one paragraph that all clients of the page type into, each on the node that `nodeOf` gives it. A page is made on the
 * node of its first client: one that has it in memory goes on to follow it.
 */
export async function preparePages(
  count: number,
  clientsEach: number,
  nodeOf: (page: number, slot: number) => ServerProcess,
): Promise<PreparedPage[]> {
  const pages: PreparedPage[] = [];
  for (let i = 0; i < count; i++) {
    const page = newId<PageId>(Date.now(), systemRandom);
    const block = newId<BlockId>(Date.now(), systemRandom);
    const parent = page as string as BlockId;
    const body = encodeOps([{ op: 'insert', block, parent, key: 'a0', type: 'paragraph', props: {}, text: null }]);
    const head = await makePage(nodeOf(i, 0), page, [body]);
    const clients = await Promise.all(Array.from({ length: clientsEach }, (_, slot) => loadClient(nodeOf(i, slot), slot, block)));
    pages.push({ page, clients, head });
  }
  return pages;
} // prettier-ignore

/** Typing clients for a page that exists; each types into a block of its own. */
export async function typingClients(
  server: ServerProcess,
  blocks: readonly BlockId[],
): Promise<LoadClient[]> {
  return Promise.all(blocks.map((block, slot) => loadClient(server, slot, block)));
}

/** What was typed, block by block. */
function typedByBlock({ clients }: LoadPage, typed: readonly number[]): Map<string, Map<number, number>> {
  const blocks = new Map<string, Map<number, number>>();
  clients.forEach(({ block, yjsClient }, slot) => {
    if (!blocks.has(block)) blocks.set(block, new Map());
    if (typed[slot]! > 0) blocks.get(block)!.set(yjsClient, typed[slot]!);
  });
  return blocks;
}

/** Every page's head; and the texts of `textsOf` of them, as a client sees them that has only just come. */
export async function checkPages(server: ServerProcess, pages: readonly PreparedPage[], typed: readonly number[][], textsOf: number): Promise<void> {
  const token = await server.token('reader');
  for (let i = 0; i < pages.length; i++) {
    const page = pages[i]!;
    const seen = await join(server.url, token, page.page as PageId);
    seen.socket.close();
    const edits = typed[i]!.reduce((sum, one) => sum + one, 0);
    must(seen.head === page.head + edits, `the log holds ${edits} edits once each; its head is ${seen.head}`);
    if (i >= textsOf) continue;
    const table = seen.table();
    for (const [block, runs] of typedByBlock(page, typed[i]!)) {
      must(textOf(table, block as BlockId).includes(expectedText(runs)), 'a new client reads what was typed');
    }
  }
} // prettier-ignore
