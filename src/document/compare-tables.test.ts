/**
 * Two folds are found equal however their bytes came about, and any register that differs is named.
 */
import { expect, test } from 'vitest';
import * as Y from 'yjs';
import { blockId, PAGE, ROOT, stampOf } from '../../test/support/pages.ts';
import { randomBelow, seededRandom } from '../base/random.ts';
import { BlockTable } from './blocks.ts';
import { tableDifferences } from './compare-tables.ts';
import { decodeOps, encodeOps, type OpDraft } from './ops.ts';
import { decodeSnapshot, encodeSnapshot } from './snapshot.ts';

function apply(table: BlockTable, drafts: OpDraft[], ms: number): void {
  const ops = decodeOps(encodeOps(drafts));
  if (!Array.isArray(ops)) throw new Error(ops.malformed);
  for (const op of ops) table.apply(op, stampOf(ms));
}

const insert = (n: number, text: Uint8Array | null = null): OpDraft => ({
  op: 'insert', block: blockId(n), parent: ROOT, key: 'a0', type: 'paragraph', props: { a: { x: 1, y: [2] } }, text,
}); // prettier-ignore

/** Formatted typing and deleting in one text, update by update. */
function typing(seed: number, edits: number): Uint8Array[] {
  const random = seededRandom(seed);
  const doc = new Y.Doc();
  doc.clientID = 1000 + seed;
  const text = doc.getText('text');
  const updates: Uint8Array[] = [];
  doc.on('update', (update: Uint8Array) => updates.push(update));
  for (let i = 0; i < edits; i++) {
    const at = randomBelow(random, text.length + 1);
    const kind = randomBelow(random, 4);
    if (kind < 2 || text.length < 5) text.insert(at, `word${i} `);
    else if (kind === 2) text.delete(Math.min(at, text.length - 3), 3);
    else text.format(Math.min(at, text.length - 4), 4, { bold: i % 2 === 0 ? true : null });
  }
  return updates;
}

function folded(updates: readonly Uint8Array[], snapshotAfter: number): BlockTable {
  let table = new BlockTable(PAGE);
  apply(table, [insert(1)], 1);
  updates.forEach((update, i) => {
    apply(table, [{ op: 'text', block: blockId(1), update }], 2 + i);
    if (i === snapshotAfter) table = decodeSnapshot(PAGE, encodeSnapshot(table));
  });
  return table;
}

test('S65 copies that were snapshotted at other places, and so merged their texts otherwise, are equal', () => {
  for (let seed = 1; seed <= 5; seed++) {
    const updates = typing(seed, 900);
    const [whole, once, late] = [folded(updates, -1), folded(updates, 100), folded(updates, 850)];
    for (const table of [once, late, decodeSnapshot(PAGE, encodeSnapshot(late))]) {
      expect(tableDifferences(table, whole, 10)).toEqual([]);
      expect(tableDifferences(whole, table, 10)).toEqual([]);
    }
    expect(tableDifferences(folded(updates.slice(0, -1), -1), whole, 10)).toEqual([
      expect.stringContaining('the text of block'),
    ]);
  }
});

test('S65 every register that differs is named, in both directions', () => {
  const make = (...more: [OpDraft[], number][]) => {
    const table = new BlockTable(PAGE);
    apply(table, [insert(1), insert(2)], 1);
    for (const [drafts, ms] of more) apply(table, drafts, ms);
    return table;
  };
  const block = blockId(1);
  const cases: [string, OpDraft, OpDraft][] = [
    ['the type', { op: 'update', block, props: {}, type: 'quote' }, { op: 'update', block, props: {}, type: 'code' }],
    ['the place', { op: 'move', block, parent: blockId(2), key: 'a1' }, { op: 'move', block, parent: ROOT, key: 'a1' }],
    ['the deletion', { op: 'delete', block }, { op: 'restore', block }],
    ['a prop', { op: 'update', block, props: { a: { y: [3], x: 1 } }, type: null }, { op: 'update', block, props: { a: 1 }, type: null }],
  ];
  for (const [what, one, other] of cases) {
    const named = [`${what} of block ${block} differs`];
    expect(tableDifferences(make([[one], 2]), make([[other], 2]), 10)).toEqual(named);
    // The same value with another stamp: a later write would be judged otherwise.
    expect(tableDifferences(make([[one], 2]), make([[one], 3]), 10)).toEqual(named);
    expect(tableDifferences(make([[one], 2]), make([[one], 2]), 10)).toEqual([]);
  }
  const more = make([[insert(3)], 2]);
  expect(tableDifferences(make(), more, 10)).toEqual([`block ${blockId(3)} is missing`]);
  expect(tableDifferences(more, make(), 10)).toEqual([`block ${blockId(3)} should not be there`]);
}); // prettier-ignore

test('S65 the order of keys in a prop carries no meaning', () => {
  const write = (props: { a: { [key: string]: number } }) => {
    const table = new BlockTable(PAGE);
    apply(table, [{ op: 'update', block: ROOT, props, type: null }], 1);
    return table;
  };
  expect(tableDifferences(write({ a: { x: 1, y: 2 } }), write({ a: { y: 2, x: 1 } }), 10)).toEqual([]);
});
