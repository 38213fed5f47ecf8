/**
 * Pages to measure with: a tree of paragraphs under a few headings, each with a text of the wanted length, made of the
 * same ops that a client sends. Deterministic: the same arguments give the same bytes.
 */
import * as Y from 'yjs';
import { type Random, randomBelow, seededRandom } from '../../src/base/random.ts';
import { BlocksModel } from '../../src/document/blocks-model.ts';
import { OrderKeys } from '../../src/document/order.ts';
import { decodeOps, encodeOps, type Op, type OpDraft } from '../../src/document/ops.ts';
import { type BlockId, newId, type PageId, type ReplicaId, type UserId } from '../../src/protocol/ids.ts';
import { defaultLimits } from '../../src/protocol/limits.ts';
import { must } from './must.ts';

const EPOCH_MS = 1_700_000_000_000;
const OPS_MAX = 1000;
export const AUTHOR = 'author' as UserId;

export interface PagePlan {
  readonly page: PageId;
  readonly blocks: BlockId[];
  /** Bodies of the changes that make the page. */
  readonly bodies: Uint8Array[];
}

/** A text as one update of one Yjs client id. */
export function textUpdate(text: string, client: number): Uint8Array {
  const doc = new Y.Doc();
  doc.clientID = client;
  doc.getText('text').insert(0, text);
  const update = Y.encodeStateAsUpdate(doc);
  doc.destroy();
  return update;
}

const SYLLABLES = [
  'ka',
  'len',
  'mi',
  'tor',
  'as',
  'ved',
  'ru',
  'in',
  'sol',
  'be',
  'da',
  'prin',
  'ot',
  'es',
  'ul',
  'qua',
];

/** Words that nobody has written, so that a page packs about as well as prose and not like one repeated sentence. */
export function prose(characters: number, random: Random): string {
  let text = '';
  while (text.length < characters) {
    for (let left = 1 + randomBelow(random, 4); left > 0; left--) text += SYLLABLES[randomBelow(random, SYLLABLES.length)];
    text += ' ';
  }
  return text.slice(0, characters);
} // prettier-ignore

/** `opsMax`: so many blocks are made by one change. */
export function planPage(blocks: number, characters: number, seed = 1, opsMax = OPS_MAX): PagePlan {
  const random = seededRandom(seed);
  const page = newId<PageId>(EPOCH_MS, random);
  const keys = new OrderKeys(random);
  const client = random.uint32();
  const ids: BlockId[] = [];
  const drafts: OpDraft[] = [];
  let last: string | null = null;
  for (let i = 0; i < blocks; i++) {
    const block = newId<BlockId>(EPOCH_MS + i, random);
    const key = keys.between(last, null);
    must(key !== undefined, 'there is a key after the last');
    last = key;
    ids.push(block);
    const type = i % 50 === 0 ? 'heading_2' : 'paragraph';
    const parent = page as string as BlockId;
    const update = characters > 0 ? textUpdate(prose(characters, random), client + i) : null;
    drafts.push({ op: 'insert', block, parent, key, type, props: { color: 'default' }, text: update });
  }
  const bodies: Uint8Array[] = [];
  for (let at = 0; at < drafts.length; at += opsMax) bodies.push(encodeOps(drafts.slice(at, at + opsMax)));
  return { page, blocks: ids, bodies };
}

export function decoded(body: Uint8Array): Op[] {
  const ops = decodeOps(body);
  must(Array.isArray(ops), 'the ops can be read');
  return ops;
}

export const stampAt = (counter: number) => ({
  ms: EPOCH_MS + (counter >>> 16),
  counter: counter & 0xffff,
  replica: '01890000-0000-7000-8000-000000000001' as ReplicaId,
});

/** The model of a planned page, all of its changes applied. */
export function buildModel({ page, bodies }: PagePlan): BlocksModel {
  const model = new BlocksModel(page, defaultLimits);
  bodies.forEach((body, i) => {
    const ops = decoded(body);
    must(model.admit(ops, stampAt(i), AUTHOR) === undefined, 'the page is within the limits');
    must(model.apply(ops, stampAt(i), AUTHOR).length === 0, 'every op has an effect');
    model.resetQueue([]);
  });
  return model;
}
