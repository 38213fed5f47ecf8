/**
 * Blocks that stay in the snapshot's bytes until somebody asks: nobody can tell, but by what they take.
 */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import * as Y from 'yjs';
import { blockId, PAGE, ROOT, stampOf, userId } from '../../test/support/pages.ts';
import { applyChanges, randomLog } from '../../test/support/random-log.ts';
import { type Random, randomBelow, seededRandom } from '../base/random.ts';
import type { BlockId } from '../protocol/ids.ts';
import { defaultLimits } from '../protocol/limits.ts';
import { MsgpackWriter } from '../protocol/msgpack-writer.ts';
import { BlockTable } from './blocks.ts';
import { BlocksModel } from './blocks-model.ts';
import { tableDifferences } from './compare-tables.ts';
import { decodeOps, encodeOps, type Op, type OpDraft } from './ops.ts';
import { decodeSnapshot, encodeSnapshot, readSnapshot } from './snapshot.ts';

const seeds = fc.integer({ min: 1, max: 1e9 });
const reread = (table: BlockTable) => decodeSnapshot(PAGE, encodeSnapshot(table));
const storedIn = (table: BlockTable) => table.parts.stored!.size;

function apply(table: BlockTable, ...drafts: OpDraft[]): void {
  for (const op of decodeOps(encodeOps(drafts)) as Op[]) table.apply(op, stampOf(5));
}

const insert = (block: BlockId, parent = ROOT): OpDraft => ({
  op: 'insert', block, parent, key: 'a0', type: 'paragraph', props: { n: 1 }, text: null,
}); // prettier-ignore

/** A text of one Yjs client id of its own. */
function helloOf(client: number): Uint8Array {
  const doc = new Y.Doc();
  doc.clientID = client;
  doc.getText('text').insert(0, 'hello');
  return Y.encodeStateAsUpdate(doc);
}

/** Asks for a few blocks, as checks of later ops do. */
function ask(table: BlockTable, random: Random): void {
  for (let left = randomBelow(random, 6); left > 0; left--) {
    const id = randomBelow(random, 4) === 0 ? ROOT : blockId(1 + randomBelow(random, 12));
    if (randomBelow(random, 2) === 0) table.get(id);
    else table.below(id, 3, 10);
  }
}

/** What hangs where, and what is deleted. */
function tree(table: BlockTable): unknown {
  const ids = [...table.all()].map(({ id }) => id).sort();
  const children = ids.map((id) => [id, [...table.children(id)].sort()]);
  return { children, deleted: [...table.deleted()].map(({ id }) => id).sort(), size: table.size };
}

describe('blocks of a snapshot', () => {
  test('D120 whatever is asked of a page, and whenever it was stored, it is the same page', () => {
    let left = 0;
    fc.assert(
      fc.property(seeds, (seed) => {
        const random = seededRandom(seed);
        const log = randomLog(seed, 60);
        const direct = new BlockTable(PAGE);
        let table = new BlockTable(PAGE);
        for (const change of log) {
          for (const one of [direct, table]) applyChanges(one, [change]);
          ask(table, random);
          if (randomBelow(random, 12) === 0) table = reread(table);
        }
        left += table.parts.stored?.size ?? 0;
        expect(tree(table)).toEqual(tree(direct));
        expect(table.hash).toEqual(direct.hash);
        expect(tree(reread(table))).toEqual(tree(direct));
        expect(tableDifferences(reread(table), direct, 9)).toEqual([]);
        expect(tableDifferences(table, direct, 9)).toEqual([]);
      }),
      { numRuns: 60 },
    );
    expect(left).toBeGreaterThan(30);
  });

  test('D120 a block is decoded when it is asked for, and only that', () => {
    const source = new BlockTable(PAGE);
    apply(source, insert(blockId(1)), insert(blockId(2), blockId(1)), insert(blockId(3)));
    const table = reread(source);
    expect([storedIn(table), table.size]).toEqual([4, 4]);
    expect(table.get(blockId(9))).toBeUndefined();
    expect([...table.children(ROOT)]).toEqual([blockId(1), blockId(3)]);
    expect(storedIn(table)).toBe(4);
    expect(table.get(blockId(2))!.parent).toBe(blockId(1));
    expect([storedIn(table), table.size]).toEqual([3, 4]);
    apply(table, { op: 'delete', block: blockId(1) });
    apply(table, { op: 'purge', blocks: [blockId(1)] });
    expect([storedIn(table), table.size]).toEqual([2, 2]);
    expect([blockId(1), blockId(2)].map((id) => table.get(id))).toEqual([undefined, undefined]);
    expect([...table.children(ROOT)]).toEqual([blockId(3)]);
  });

  test('D120 an overlay counts what it moved away and back once', () => {
    const source = new BlockTable(PAGE);
    apply(source, insert(blockId(1)), insert(blockId(2)), insert(blockId(3), blockId(1)));
    const overlay = new BlockTable(PAGE, reread(source));
    const move = (parent: BlockId): OpDraft => ({ op: 'move', block: blockId(3), parent, key: 'a1' });
    apply(overlay, move(blockId(2)), move(blockId(1)));
    expect([...overlay.children(blockId(1))]).toEqual([blockId(3)]);
    expect([...overlay.children(blockId(2))]).toEqual([]);
  });

  test('D120 to ask for one while all are looked through is a bug that is seen', () => {
    const source = new BlockTable(PAGE);
    apply(source, insert(blockId(1)), insert(blockId(2)));
    const table = reread(source);
    expect(() => {
      for (const { id } of table.all()) table.get(id);
    }).toThrow(/asked for/);
  });

  test('D122 takes at most 40 bytes a block beyond the snapshot, though each was made by another change and author', () => {
    const model = new BlocksModel(PAGE, defaultLimits);
    for (let i = 1; i <= 2000; i++) {
      const text = helloOf(1e6 + i);
      const ops = decodeOps(encodeOps([{ ...insert(blockId(i)), text } as OpDraft])) as Op[];
      expect(model.apply(ops, stampOf(i, 0, i), userId(`user ${i % 50}`))).toEqual([]);
    }
    const snapshot = model.encodeSnapshot();
    const read = new BlocksModel(PAGE, defaultLimits, { snapshot, private: model.encodePrivate() });
    expect(read.bytes - snapshot.length).toBeLessThan(2000 * 40 + 5000);
    expect(model.bytes).toBeGreaterThan(2 * read.bytes);
  });

  test('D121 equal states are equal bytes, in whatever order they came about', () => {
    const [one, other] = [new BlockTable(PAGE), new BlockTable(PAGE)];
    apply(one, insert(blockId(3)), insert(blockId(1)), insert(blockId(2), blockId(3)));
    apply(other, insert(blockId(1)), insert(blockId(3)));
    const later = reread(other);
    apply(later, insert(blockId(2), blockId(3)));
    expect(encodeSnapshot(later)).toEqual(encodeSnapshot(one));
    expect(encodeSnapshot(reread(one))).toEqual(encodeSnapshot(one));
  });

  test('D121 blocks in another order are read alike', () => {
    const ids = [ROOT, blockId(7), blockId(2), blockId(9), blockId(4)];
    const w = new MsgpackWriter();
    w.array(5).int(2).array(1).id(stampOf(1).replica).array(1).array(3).int(1).int(0).int(0).array(5);
    ids.forEach((id, i) => {
      w.array(11).id(id);
      if (i === 0) w.nil();
      else w.int(i === 4 ? 1 : 0);
      w.str('a0').int(0).str('paragraph').int(0).bool(i === 2).int(0).array(0).nil().nil();
    });
    const { table } = readSnapshot(PAGE, w.bin(new Uint8Array(8)).take());
    expect([...table.deleted()].map(({ id }) => id)).toEqual([blockId(2)]);
    expect([...table.children(blockId(7))]).toEqual([blockId(4)]);
    for (const id of ids) expect(table.get(id)?.id).toBe(id);
    expect(storedIn(table)).toBe(0);
    expect([...reread(table).all()].map(({ id }) => id)).toEqual([ROOT, blockId(2), blockId(4), blockId(7), blockId(9)]);
  }); // prettier-ignore
});
