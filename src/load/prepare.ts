/**
 * Makes the pages of a run before it begins: each with a title that says whose it is, and as many blocks as the shape asks for. The
 * ids of all pages of all runs begin with `10ad7e57` ("load test"), so that they can be found, and told from people's pages.
 */
import { type Random, randomBelow, systemRandom } from '../base/random.ts';
import { systemClock } from '../base/time.ts';
import { encodeOps, type OpDraft } from '../document/ops.ts';
import { OrderKeys } from '../document/order.ts';
import { type BlockId, bytesToId, newId, type PageId } from '../protocol/ids.ts';
import { mayWrite } from '../protocol/messages.ts';
import { Joiner } from './joiner.ts';
import { LoadError } from './load-error.ts';
import { TextWriter } from './text-writer.ts';

export const PAGE_PREFIX = '10ad7e57';
const PAGES_AT_ONCE = 10;
const OPS_PER_CHANGE = 500;
const WORDS = ['ledger', 'harbour', 'of', 'the', 'quiet', 'morning', 'and', 'seven', 'boats', 'returned', 'with', 'letters', 'nobody', 'had', 'asked', 'for']; // prettier-ignore

/** An id that begins with the prefix; `run` makes it the run's own. */
export function pageIdOf(run: Uint8Array, index: number): PageId {
  const bytes = new Uint8Array(16);
  bytes.set(Buffer.from(PAGE_PREFIX, 'hex'));
  bytes.set(run.subarray(0, 8), 4);
  new DataView(bytes.buffer).setUint32(12, index);
  // Of the shape of a UUID of version 8: an application's own.
  bytes[6] = 0x80 | (bytes[6]! & 0x0f);
  bytes[8] = 0x80 | (bytes[8]! & 0x3f);
  return bytesToId<PageId>(bytes);
}

function sentence(random: Random): string {
  const words = Array.from({ length: 6 + randomBelow(random, 14) }, () => WORDS[randomBelow(random, WORDS.length)]!); // prettier-ignore
  return `${words.join(' ')}.`;
}

/** The bodies of the changes that make a page of so many blocks with a sentence each. */
export function pageBodies(page: PageId, title: string, blocks: number, random: Random): Uint8Array[] {
  const keys = new OrderKeys(random);
  const parent = page as string as BlockId;
  const ops: OpDraft[] = [{ op: 'update', block: parent, props: { title }, type: null }];
  const yjsClient = random.uint32();
  let last: string | null = null;
  for (let i = 0; i < blocks; i++) {
    last = keys.between(last, null) ?? last;
    const text = new TextWriter(yjsClient).insert(0, sentence(random)).slice();
    const type = i % 50 === 0 ? 'heading_2' : 'paragraph';
    ops.push({ op: 'insert', block: newId(systemClock.now(), random), parent, key: last!, type, props: {}, text });
  }
  const bodies: Uint8Array[] = [];
  for (let at = 0; at < ops.length; at += OPS_PER_CHANGE)
    bodies.push(encodeOps(ops.slice(at, at + OPS_PER_CHANGE)));
  return bodies;
} // prettier-ignore

export interface Prepared {
  readonly id: PageId;
  /** The log's head before anybody came. */
  readonly head: number;
}

/** Makes the pages, some at a time. The first alone, so that what is wrong with address or token is told once. */
export async function preparePages(
  url: URL,
  token: string,
  ids: readonly PageId[],
  { title, blocks }: { readonly title: string; readonly blocks: number },
  progress: (done: number) => void,
): Promise<Prepared[]> {
  const made: Prepared[] = [];
  const make = async (id: PageId): Promise<void> => {
    const bodies = pageBodies(id, title, blocks, systemRandom);
    const joiner = await Joiner.open(url, token, id, { create: true });
    if (!mayWrite(joiner.role!)) throw new LoadError(`the token’s role is ${joiner.role}: a load test makes pages of its own, and needs editor or owner`);
    await joiner.write(bodies);
    joiner.close();
    made.push({ id, head: bodies.length });
    progress(made.length);
  };
  if (ids[0]) await make(ids[0]);
  for (let at = 1; at < ids.length; at += PAGES_AT_ONCE) await Promise.all(ids.slice(at, at + PAGES_AT_ONCE).map(make));
  return ids.map((id) => made.find((page) => page.id === id)!);
} // prettier-ignore
