/**
 * Snapshots: what is restored is the same page, also under further ops; broken bytes are refused as such.
 */
import { describe, expect, test } from 'vitest';
import { blockId, PAGE, ROOT, stampOf } from '../../test/support/pages.ts';
import { editAtRandom } from '../../test/support/text-edits.ts';
import { type Random, randomBelow, seededRandom } from '../base/random.ts';
import type { BlockId } from '../protocol/ids.ts';
import { MsgpackError } from '../protocol/msgpack-reader.ts';
import { MsgpackWriter } from '../protocol/msgpack-writer.ts';
import { BlockTable } from './blocks.ts';
import { decodeOps, encodeOps, type Op, type OpDraft } from './ops.ts';
import { decodeSnapshot, encodeSnapshot, readSnapshot } from './snapshot.ts';

/** Everything of a table, texts by their bytes, children sorted. */
function dump(table: BlockTable) {
  return [...table.all()]
    .map(({ idHash: _hash, text, props, ...block }) => ({
      ...block,
      props: [...props].sort(([a], [b]) => (a < b ? -1 : 1)),
      children: [...table.children(block.id)].sort(),
      text: text?.merged() ?? null,
      clocks: [...(text?.clocks() ?? [])].sort(([a], [b]) => a - b),
    }))
    .sort((a, b) => (a.id < b.id ? -1 : 1));
}

/** Random ops with random texts, one client id for each block that has text. */
function makeOps(random: Random, count: number): { op: Op; ms: number }[] {
  const below = (bound: number) => randomBelow(random, bound);
  const queues = new Map<BlockId, Uint8Array[]>();
  const drafts = Array.from({ length: count }, (): OpDraft => {
    const block = below(8) === 0 ? ROOT : blockId(1 + below(20));
    const parent = below(3) === 0 ? ROOT : blockId(1 + below(20));
    const props = { [['x', 'y', '__proto__', 'ü'][below(4)]!]: [null, 1, -1.5, 'text', [1, { a: null }]][below(5)]! };
    const key = ['a0', 'a1V', 'Zz'][below(3)]!;
    switch (below(8)) {
      case 0:
      case 1:
      case 2:
        return { op: 'insert', block, parent, key, type: ['paragraph', 'ünknown'][below(2)]!, props, text: null };
      case 3:
        return { op: 'update', block, props, type: below(2) ? 'quote' : null };
      case 4:
        return { op: below(2) ? 'delete' : 'restore', block };
      case 5:
        return { op: 'move', block, parent, key };
      default: {
        let queue = queues.get(block);
        if (!queue?.length) {
          queue = editAtRandom(1 + below(1e6), 1, 6).map(({ update }) => update);
          queues.set(block, queue);
        }
        return queue.length ? { op: 'text', block, update: queue.shift()! } : { op: 'delete', block };
      }
    }
  }); // prettier-ignore
  return (decodeOps(encodeOps(drafts)) as Op[]).map((op) => ({ op, ms: 1 + below(50) }));
}

function applyAll(table: BlockTable, ops: { op: Op; ms: number }[]): string[] {
  return ops.map(({ op, ms }) => table.apply(op, stampOf(ms, ms % 3, 1 + (ms % 4))));
}

describe('snapshots', () => {
  test('D21 give the page back, and further ops fall alike on both', () => {
    let texts = 0;
    for (let seed = 1; seed <= 60; seed++) {
      const random = seededRandom(seed);
      const table = new BlockTable(PAGE);
      applyAll(table, makeOps(random, randomBelow(random, 120)));
      const bytes = encodeSnapshot(table);
      const restored = decodeSnapshot(PAGE, bytes);
      expect(dump(restored)).toEqual(dump(table));
      expect(encodeSnapshot(restored)).toEqual(bytes);
      const more = makeOps(random, 60);
      expect(applyAll(restored, more)).toEqual(applyAll(table, more));
      expect(dump(restored)).toEqual(dump(table));
      texts += [...table.all()].filter(({ text }) => text).length;
    }
    expect(texts).toBeGreaterThan(50);
  });

  test('D21 an empty page has its root', () => {
    const restored = decodeSnapshot(PAGE, encodeSnapshot(new BlockTable(PAGE)));
    expect(dump(restored)).toEqual(dump(new BlockTable(PAGE)));
  });
});

describe('broken snapshots', () => {
  const bytes = (() => {
    const table = new BlockTable(PAGE);
    applyAll(table, makeOps(seededRandom(3), 100));
    return encodeSnapshot(table);
  })();

  test('W2 D22 cut, mutated and random bytes throw MsgpackError or nothing, and never make a page with a cycle', () => {
    const random = seededRandom(4);
    let refused = 0;
    const tries = [
      ...Array.from({ length: 500 }, () => bytes.subarray(0, randomBelow(random, bytes.length))),
      ...Array.from({ length: 500 }, () => random.bytes(randomBelow(random, 50))),
      ...Array.from({ length: 3000 }, () => {
        const mutated = bytes.slice();
        mutated[randomBelow(random, bytes.length)] = randomBelow(random, 256);
        return mutated;
      }),
    ];
    for (const one of tries) {
      try {
        const table = decodeSnapshot(PAGE, one);
        expect(table.below(ROOT, Infinity, Infinity)).toEqual({ tooDeep: false, blocks: table.size });
        let reached = 0;
        for (const ids: BlockId[] = [ROOT]; ids.length > 0; reached++) ids.push(...table.children(ids.pop()!));
        expect(reached).toBe(table.size);
      } catch (error) {
        if (!(error instanceof MsgpackError)) throw error;
        refused++;
      }
    }
    expect(refused).toBeGreaterThan(1000);
  }); // prettier-ignore

  /** A snapshot of blocks [id, parent index], all else empty. */
  function shaped(blocks: readonly (readonly [BlockId, number | null])[]): Uint8Array {
    const w = new MsgpackWriter();
    w.array(5)
      .int(2)
      .array(1)
      .id(stampOf(1).replica)
      .array(1)
      .array(3)
      .int(1)
      .int(0)
      .int(0)
      .array(blocks.length);
    for (const [id, parent] of blocks) {
      w.array(11).id(id);
      if (parent === null) w.nil();
      else w.int(parent);
      w.str('a0').int(0).str('paragraph').int(0).bool(false).int(0).array(0).nil().nil();
    }
    return w.bin(new Uint8Array(8)).take();
  }

  test.each<[string, [BlockId, number | null][]]>([
    ['no blocks', []],
    ['no root', [[blockId(1), 0]]],
    ['a block without a parent', [[ROOT, null], [blockId(1), null]]],
    ['a root with a parent', [[ROOT, 0]]],
    ['a parent that is not there', [[ROOT, null], [blockId(1), 7]]],
    ['a cycle', [[ROOT, null], [blockId(1), 2], [blockId(2), 1]]],
    ['a block in itself', [[ROOT, null], [blockId(1), 1]]],
    ['a block twice', [[ROOT, null], [blockId(1), 0], [blockId(1), 0]]],
  ])('D22 %s is refused', (_what, blocks) => {
    expect(() => readSnapshot(PAGE, shaped(blocks))).toThrow(MsgpackError);
  }); // prettier-ignore

  test('D22 hand-made blocks are otherwise sound, and another version is refused', () => {
    const good = shaped([[ROOT, null], [blockId(2), 2], [blockId(1), 0]]); // prettier-ignore
    expect(readSnapshot(PAGE, good).table.depth(blockId(2))).toBe(2);
    expect(() => decodeSnapshot(PAGE, good)).toThrow(/hash 0000000000000000 reads as one with/);
    good[1] = 1;
    expect(() => decodeSnapshot(PAGE, good)).toThrow(/version 1/);
  });
});
