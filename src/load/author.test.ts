/**
 * What authors write, against the document model and Yjs themselves: each says rightly what a reader must find.
 */
import { expect, test } from 'vitest';
import * as Y from 'yjs';
import { type Random, randomBelow, seededRandom } from '../base/random.ts';
import { BlocksModel } from '../document/blocks-model.ts';
import { BlockTable } from '../document/blocks.ts';
import { decodeOps } from '../document/ops.ts';
import type { PageId, ReplicaId, UserId } from '../protocol/ids.ts';
import { defaultLimits } from '../protocol/limits.ts';
import type { Author } from './author.ts';
import { Builder, BUILDER_MEAN_MS } from './builder.ts';
import { LoadError } from './load-error.ts';
import { TextWriter } from './text-writer.ts';
import { parseTrace, TracePlayer } from './trace.ts';
import { Typist, TYPIST_MEAN_MS } from './typist.ts';
import { differenceOf } from './verify.ts';

const PAGE = '10ad7e57-0000-8000-8000-000000000000' as PageId;
const REPLICA = '10ad7e57-0000-8000-8000-000000000001' as ReplicaId;
const now = () => 1_700_000_000_000;

/** Lets the model check and apply every edit, as a server does; the table that a reader would have. */
function play(author: Author, edits: number): BlockTable {
  const model = new BlocksModel(PAGE, defaultLimits);
  const table = new BlockTable(PAGE);
  for (let i = 0; i < edits; i++) {
    const ops = decodeOps(author.edit().slice());
    if (!Array.isArray(ops)) throw new Error(ops.malformed);
    const stamp = { ms: now(), counter: i, replica: REPLICA };
    const refusal = model.admit(ops, stamp, 'author' as UserId);
    if (refusal) throw new Error(refusal.message);
    if (model.apply(ops, stamp, 'author' as UserId).length > 0) throw new Error('an op had no effect');
    model.resetQueue([]);
    for (const op of ops) table.apply(op, stamp);
  }
  return table;
}

const differences = (table: BlockTable, author: Author) =>
  author.expected().map((expected) => differenceOf(table, expected));

function randomTrace(random: Random, edits: number): string {
  const txns: { patches: [number, number, string][] }[] = [];
  let text = '';
  for (let i = 0; i < edits; i++) {
    const at = randomBelow(random, text.length + 1);
    const gone = randomBelow(random, 3) === 0 ? randomBelow(random, Math.min(8, text.length - at) + 1) : 0;
    const added = 'abcdefgh '.slice(0, randomBelow(random, 9));
    txns.push({ patches: [[at, gone, added]] });
    text = text.slice(0, at) + added + text.slice(at + gone);
  }
  return JSON.stringify({ startContent: '', endContent: text, txns });
}

test('text at any place, and its deletion, is what Yjs makes of it', () => {
  const random = seededRandom(3);
  const writer = new TextWriter(1000);
  const doc = new Y.Doc();
  let text = '';
  for (let i = 0; i < 800; i++) {
    const place = randomBelow(random, text.length + 1);
    const count = Math.min(text.length - place, randomBelow(random, 12));
    const added = String.fromCharCode(...Array.from({ length: 1 + randomBelow(random, i % 100 === 0 ? 2000 : 4) }, () => 97 + randomBelow(random, 26)));
    const erases = count > 0 && randomBelow(random, 2) === 0;
    Y.applyUpdate(doc, erases ? writer.delete(place, count) : writer.insert(place, added));
    text = erases ? text.slice(0, place) + text.slice(place + count) : text.slice(0, place) + added + text.slice(place);
  }
  expect(writer.text === text).toBe(true);
  expect(doc.getText('text').toString() === text).toBe(true);
  expect(doc.store.pendingStructs).toBeNull();
}); // prettier-ignore

test('a typist’s paragraphs are what it says they are', () => {
  const typist = new Typist(PAGE, seededRandom(5), now);
  const pauses: number[] = [];
  const table = play({ edit: () => (pauses.push(typist.pauseMs()), typist.edit()), pauseMs: () => 0, expected: () => [], cursor: typist.cursor }, 2500);
  expect(typist.expected().length).toBeGreaterThan(3);
  expect(differences(table, typist).filter(Boolean)).toEqual([]);
  const mean = pauses.reduce((sum, one) => sum + one, 0) / pauses.length;
  expect(mean / TYPIST_MEAN_MS).toBeGreaterThan(0.85);
  expect(mean / TYPIST_MEAN_MS).toBeLessThan(1.15);
  expect(pauses.filter((pause) => pause > 1000).length).toBeGreaterThan(20);
}); // prettier-ignore

test('a builder’s blocks are what it says they are', () => {
  const builder = new Builder(PAGE, seededRandom(6), now);
  const table = play(builder, 1500);
  const expected = builder.expected();
  expect(expected.length).toBeGreaterThan(300);
  expect(expected.filter(({ deleted }) => deleted).length).toBeGreaterThan(10);
  expect(differences(table, builder).filter(Boolean)).toEqual([]);
  const pauses = Array.from({ length: 3000 }, () => builder.pauseMs());
  expect(Math.abs(pauses.reduce((sum, one) => sum + one, 0) / 3000 / BUILDER_MEAN_MS - 1)).toBeLessThan(0.15);
});

test('a recording is played again and again, each time in a block of its own', () => {
  const trace = parseTrace(randomTrace(seededRandom(7), 300), 'trace');
  const player = new TracePlayer(PAGE, trace, seededRandom(8), now);
  const table = play(player, 2 * trace.length + 50);
  expect(player.expected()).toHaveLength(3);
  expect(differences(table, player).filter(Boolean)).toEqual([]);
});

test('what is not as it was made is told', () => {
  const builder = new Builder(PAGE, seededRandom(9), now);
  const table = play(builder, 20);
  const [home] = builder.expected();
  const wrong = (change: object) => differenceOf(table, { ...home!, ...change });
  expect(differenceOf(table, home!)).toBeNull();
  expect(wrong({ block: REPLICA })).toBe('it is not there');
  expect(wrong({ key: 'zz' })).toBe('it is at another place');
  expect(wrong({ type: 'quote' })).toContain('type');
  expect(wrong({ deleted: true })).toBe('it is not deleted');
  expect(wrong({ mark: 4 })).toContain('prop');
  expect(wrong({ text: 'lost words' })).toContain('lost words');
});

test('a file that is no trace is refused by name', () => {
  for (const [text, why] of [
    ['no json', 'not JSON'],
    ['{}', 'is no trace'],
    ['{"txns":[{}]}', 'has no patches'],
    ['{"txns":[{"patches":[[5,0,"a"]]}]}', 'past the end'],
    ['{"txns":[{"patches":[[0,0,"é"]]}]}', 'ASCII'],
    ['{"txns":[{"patches":[[0,0,"ab"]]}],"endContent":"a"}', 'endContent'],
  ] as const) {
    expect(() => parseTrace(text, 'file'), text).toThrow(LoadError);
    expect(() => parseTrace(text, 'file'), text).toThrow(why);
  }
});
