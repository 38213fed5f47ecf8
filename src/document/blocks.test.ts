/**
 * The rules of the `blocks` model by example, and its fold against a second, simpler implementation on random ops.
 */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { blockId, PAGE, ROOT, stampOf } from '../../test/support/pages.ts';
import { editAtRandom } from '../../test/support/text-edits.ts';
import type { JsonValue } from '../base/json.ts';
import type { BlockId } from '../protocol/ids.ts';
import { BlockTable } from './blocks.ts';
import { compareStamps, type Stamp } from './hlc.ts';
import { decodeOps, encodeOps, type Op, type OpDraft } from './ops.ts';

const NOON = 12 * 3_600_000;
const HALF_HOUR = 1_800_000;
const [A, B, C, D] = [blockId(1), blockId(2), blockId(3), blockId(4)];

const opOf = (draft: OpDraft) => (decodeOps(encodeOps([draft])) as Op[])[0]!;
const insert = (block: BlockId, parent: BlockId = ROOT, text: Uint8Array | null = null): OpDraft => ({
  op: 'insert',
  block,
  parent,
  key: 'a0',
  type: 'paragraph',
  props: {},
  text,
});
const update = (
  block: BlockId,
  props: { [key: string]: JsonValue },
  type: string | null = null,
): OpDraft => ({
  op: 'update',
  block,
  props,
  type,
});
const move = (block: BlockId, parent: BlockId, key = 'a0'): OpDraft => ({ op: 'move', block, parent, key });
const remove = (block: BlockId): OpDraft => ({ op: 'delete', block });
const restore = (block: BlockId): OpDraft => ({ op: 'restore', block });

function apply(table: BlockTable, draft: OpDraft, stamp: Stamp) {
  return table.apply(opOf(draft), stamp);
}

/** A table to which the drafts were applied at ms 1, 2, 3 … */
function tableOf(...drafts: OpDraft[]): BlockTable {
  const table = new BlockTable(PAGE);
  drafts.forEach((draft, i) => apply(table, draft, stampOf(i + 1)));
  return table;
}

/** The table as plain data, children sorted. */
function dump(table: BlockTable) {
  return [...table.all()]
    .map(({ props, text, ...block }) => ({
      ...block,
      props: Object.fromEntries([...props].sort(([a], [b]) => (a < b ? -1 : 1))),
      text: text?.merged() ?? null,
      children: [...table.children(block.id)].sort(),
    }))
    .sort((a, b) => (a.id < b.id ? -1 : 1));
}

describe('registers', () => {
  test('D2 an edit made at noon and sent at one does not beat an edit made at half past twelve', () => {
    const table = tableOf(insert(A));
    expect(apply(table, update(A, { title: 'half past' }), stampOf(NOON + HALF_HOUR, 0, 1))).toBe('applied');
    expect(apply(table, update(A, { title: 'noon' }), stampOf(NOON, 0, 2))).toBe('lost');
    expect(table.get(A)!.props.get('title')!.value).toBe('half past');
  });

  test('D2 give the same in any order of delivery', () => {
    const writes = fc.uniqueArray(
      fc.record({
        stamp: fc.tuple(fc.integer({ min: 10, max: 14 }), fc.nat(2), fc.integer({ min: 1, max: 3 })),
        op: fc.oneof(
          fc.constantFrom(remove(A), restore(A), move(A, B), move(A, C, 'a1'), move(A, ROOT, 'a2')),
          fc.record({ k: fc.constantFrom('x', 'y'), v: fc.constantFrom<JsonValue>(1, 'two', null) }).map(({ k, v }) => update(A, { [k]: v })),
          fc.constantFrom('quote', 'code').map((type) => update(A, {}, type)),
        ),
      }),
      { selector: ({ stamp }) => stamp.join(), maxLength: 12 },
    ); // prettier-ignore
    const shuffled = writes.chain((some) =>
      fc.tuple(fc.constant(some), fc.shuffledSubarray(some, { minLength: some.length })),
    );
    fc.assert(
      fc.property(shuffled, ([one, other]) => {
        const dumps = [one, other].map((list) => {
          const table = tableOf(insert(A), insert(B), insert(C));
          for (const { op, stamp } of list) apply(table, op, stampOf(...stamp));
          return dump(table);
        });
        expect(dumps[0]).toEqual(dumps[1]);
      }),
      { numRuns: 300 },
    );
  });

  test('D2 D4 the type is a register of its own, and the root keeps its type', () => {
    const table = tableOf(insert(A));
    expect(apply(table, update(A, {}, 'quote'), stampOf(20))).toBe('applied');
    expect(apply(table, update(A, { x: 1 }, 'code'), stampOf(10))).toBe('applied');
    expect(table.get(A)).toMatchObject({ type: 'quote' });
    expect(table.get(A)!.props.get('x')!.value).toBe(1);
    expect(apply(table, update(ROOT, {}, 'quote'), stampOf(20))).toBe('lost');
    expect(table.get(ROOT)!.type).toBe('page');
  });

  test('H7 at an equal stamp the later op wins, within a change too', () => {
    const table = tableOf(insert(A), insert(B));
    const stamp = stampOf(10);
    for (const draft of [update(A, { x: 1 }), update(A, { x: 2 }), remove(A), restore(A), move(A, B), move(A, ROOT, 'a5')])
      expect(apply(table, draft, stamp)).toBe('applied');
    expect(table.get(A)).toMatchObject({ deleted: false, parent: ROOT, key: 'a5' });
    expect(table.get(A)!.props.get('x')!.value).toBe(2);
  }); // prettier-ignore

  test('D3 a removed prop keeps its stamp, so an older write stays out', () => {
    const table = tableOf(insert(A));
    apply(table, update(A, { x: null }), stampOf(20));
    expect(apply(table, update(A, { x: 'old' }), stampOf(10))).toBe('lost');
    expect(table.get(A)!.props.get('x')!.value).toBeNull();
  });

  test('the bytes of the props are kept up', () => {
    const table = tableOf(insert(A));
    apply(table, update(A, { x: 'four', y: 1 }), stampOf(10));
    apply(table, update(A, { x: 'longer text' }), stampOf(11));
    const { props, propsBytes } = table.get(A)!;
    expect(propsBytes).toBe([...props.values()].reduce((sum, { bytes }) => sum + bytes, 0));
    expect(propsBytes).toBe(2 + 12 + 2 + 1);
  });
});

describe('delete, restore and move', () => {
  test('D8 a block moved out of a parent that is deleted at the same time survives, in any order', () => {
    for (const order of [[0, 1], [1, 0]]) {
      const table = tableOf(insert(A), insert(B, A));
      const edits = [() => apply(table, remove(A), stampOf(10, 0, 1)), () => apply(table, move(B, ROOT, 'a5'), stampOf(10, 0, 2))];
      for (const i of order) edits[i]!();
      expect(table.get(B)).toMatchObject({ parent: ROOT, deleted: false });
      expect(table.get(A)).toMatchObject({ deleted: true });
    }
  }); // prettier-ignore

  test('D8 edits inside a deleted subtree are kept and come back with it', () => {
    const table = tableOf(insert(A), insert(B, A), remove(A));
    expect(apply(table, update(B, { x: 1 }), stampOf(10))).toBe('applied');
    expect(apply(table, insert(C, B), stampOf(10))).toBe('applied');
    apply(table, restore(A), stampOf(11));
    expect(table.get(A)!.deleted).toBe(false);
    expect(table.isWithin(C, A)).toBe(true);
  });

  test('D4 the root is neither deleted nor moved', () => {
    const table = tableOf(insert(A));
    expect(apply(table, remove(ROOT), stampOf(10))).toBe('lost');
    expect(apply(table, move(ROOT, A), stampOf(10))).toBe('cycle');
    expect(table.get(ROOT)).toMatchObject({ deleted: false, parent: null });
  });

  test('D7 a move that would make a cycle at its place in the log has no effect and leaves no stamp', () => {
    const table = tableOf(insert(A), insert(B));
    expect(apply(table, move(A, B), stampOf(10, 0, 1))).toBe('applied');
    expect(apply(table, move(B, A), stampOf(20, 0, 2))).toBe('cycle');
    expect(apply(table, move(B, B), stampOf(20, 0, 2))).toBe('cycle');
    // Had the stamp of 20 stayed, this would lose.
    apply(table, move(A, ROOT), stampOf(11, 0, 1));
    expect(apply(table, move(B, A), stampOf(12, 0, 1))).toBe('applied');
    expect(table.get(B)).toMatchObject({ parent: A, placeStamp: stampOf(12) });
  });

  test('D7 a cycle is reported though the stamp would lose as well', () => {
    const table = tableOf(insert(A), insert(B, A));
    expect(apply(table, move(A, B), stampOf(0))).toBe('cycle');
  });
});

describe('what has no effect', () => {
  test('D6 ops on blocks that do not exist are gone', () => {
    const table = tableOf(insert(A));
    const text = editAtRandom(1, 1, 1)[0]!.update;
    const gone: OpDraft[] = [
      update(B, { x: 1 }),
      remove(B),
      restore(B),
      move(B, ROOT),
      move(A, B),
      insert(C, B),
      insert(C, C),
      { op: 'text', block: B, update: text },
    ];
    for (const draft of gone) expect(apply(table, draft, stampOf(10))).toBe('gone');
    expect(dump(table)).toEqual(dump(tableOf(insert(A))));
  });

  test('D5 a second insert of a block exists, deleted or not, and so does one of the root', () => {
    const table = tableOf(insert(A), remove(A));
    expect(apply(table, insert(A), stampOf(10))).toBe('exists');
    expect(apply(table, insert(ROOT), stampOf(10))).toBe('exists');
    expect(table.get(A)!.deleted).toBe(true);
  });

  test('D19 text that does not continue is missing, and what is held stays', () => {
    const updates = editAtRandom(9, 1, 12).map((one) => one.update);
    const shapes = updates.map((bytes) => (opOf({ op: 'text', block: A, update: bytes }) as Op & { op: 'text' }).shape);
    const gap = shapes.findIndex((shape) => shape.from > shapes[0]!.to);
    const table = tableOf(insert(A, ROOT, updates[0]!));
    expect(apply(table, { op: 'text', block: A, update: updates[gap]! }, stampOf(10))).toBe('missing');
    expect(table.get(A)!.text!.updates).toEqual([updates[0]]);
    // Text has no stamps: an update enters whatever its change's stamp is.
    expect(apply(table, { op: 'text', block: A, update: updates[1]! }, stampOf(0))).toBe('applied');
    expect(apply(table, { op: 'text', block: ROOT, update: updates[0]! }, stampOf(0))).toBe('applied');
  }); // prettier-ignore

  test('W19 an unknown op is lost', () => {
    expect(tableOf().apply({ op: 'unknown', number: 99 }, stampOf(1))).toBe('lost');
  });
});

describe('purge', () => {
  const purge = (...blocks: BlockId[]): OpDraft => ({ op: 'purge', blocks });

  test('D10 takes whole subtrees, and what was moved out of them survives', () => {
    const table = tableOf(insert(A), insert(B, A), insert(C, B), insert(D, C), remove(A), move(D, ROOT));
    expect(apply(table, purge(A), stampOf(20))).toBe('applied');
    expect([A, B, C].map((id) => table.get(id))).toEqual([undefined, undefined, undefined]);
    expect(table.get(D)!.parent).toBe(ROOT);
    expect([...table.children(ROOT)]).toEqual([D]);
    expect(table.size).toBe(2);
    expect(apply(table, restore(A), stampOf(21))).toBe('gone');
  });

  test('D10 leaves blocks that were restored, that are gone, and the root', () => {
    const table = tableOf(insert(A), remove(A), restore(A), insert(B, A));
    expect(apply(table, purge(A, C, ROOT), stampOf(20))).toBe('lost');
    expect(table.size).toBe(3);
  });

  test('D10 names may overlap, in any order', () => {
    for (const names of [[A, B], [B, A], [A, A, B]]) {
      const table = tableOf(insert(A), insert(B, A), insert(C, B), remove(B), remove(A));
      expect(apply(table, purge(...names), stampOf(20))).toBe('applied');
      expect(dump(table)).toEqual(dump(new BlockTable(PAGE)).map((root) => ({ ...root, children: [] })));
    }
  }); // prettier-ignore

  test('D10 a purged id may be inserted again', () => {
    const table = tableOf(insert(A), remove(A), purge(A));
    expect(apply(table, insert(A), stampOf(20))).toBe('applied');
  });
});

describe('deep pages', () => {
  test('D11 a chain of 100,000 blocks is measured, moved, purged without overflowing the stack', () => {
    const table = new BlockTable(PAGE);
    const depth = 100_000;
    for (let i = 1; i <= depth; i++) apply(table, insert(blockId(i), i === 1 ? ROOT : blockId(i - 1)), stampOf(1));
    expect(table.depth(blockId(depth))).toBe(depth);
    expect(table.below(blockId(1), depth - 1, Infinity)).toEqual({ tooDeep: false, blocks: depth });
    expect(table.below(blockId(1), depth - 2, Infinity).tooDeep).toBe(true);
    expect(table.below(blockId(1), 10, Infinity)).toEqual({ tooDeep: true, blocks: 11 });
    expect(table.below(blockId(1), Infinity, 20)).toEqual({ tooDeep: false, blocks: 21 });
    expect(table.isWithin(blockId(depth), blockId(1))).toBe(true);
    expect(apply(table, move(blockId(1), blockId(depth)), stampOf(2))).toBe('cycle');
    apply(table, remove(blockId(1)), stampOf(2));
    expect(apply(table, { op: 'purge', blocks: [blockId(1)] }, stampOf(3))).toBe('applied');
    expect(table.size).toBe(1);
  }); // prettier-ignore
});

// ── a second implementation: registers as lists of writes, children found by looking through all blocks ──────────────

type Write = { value: unknown; stamp: Stamp };

class Reference {
  readonly blocks = new Map<BlockId, Map<string, Write>>([[ROOT, new Map([['place', { value: null, stamp: stampOf(0) }]])]]); // prettier-ignore

  #write(id: BlockId, register: string, value: unknown, stamp: Stamp): void {
    const current = this.blocks.get(id)!.get(register);
    if (!current || compareStamps(stamp, current.stamp) >= 0) this.blocks.get(id)!.set(register, { value, stamp });
  } // prettier-ignore

  parent(id: BlockId): BlockId | undefined {
    return (this.blocks.get(id)?.get('place')?.value as { parent: BlockId } | null)?.parent;
  }

  #above(id: BlockId): BlockId[] {
    const parent = this.parent(id);
    return parent === undefined ? [id] : [id, ...this.#above(parent)];
  }

  apply(op: OpDraft, stamp: Stamp): void {
    if (op.op === 'text') return;
    if (op.op === 'purge') {
      for (const id of op.blocks) {
        if (this.blocks.get(id)?.get('deleted')?.value !== true) continue;
        for (const each of [...this.blocks.keys()].filter((other) => this.#above(other).includes(id))) this.blocks.delete(each);
      }
      return;
    } // prettier-ignore
    const exists = this.blocks.has(op.block);
    if (op.op === 'insert') {
      if (exists || !this.blocks.has(op.parent)) return;
      this.blocks.set(op.block, new Map());
      this.#write(op.block, 'place', { parent: op.parent, key: op.key }, stamp);
      this.#write(op.block, 'type', op.type, stamp);
      this.#write(op.block, 'deleted', false, stamp);
    }
    if (!this.blocks.has(op.block)) return;
    if (op.op === 'insert' || op.op === 'update')
      for (const [key, value] of Object.entries(op.props)) this.#write(op.block, `prop ${key}`, value, stamp);
    if (op.op === 'update' && op.type !== null && op.block !== ROOT) this.#write(op.block, 'type', op.type, stamp);
    if ((op.op === 'delete' || op.op === 'restore') && op.block !== ROOT)
      this.#write(op.block, 'deleted', op.op === 'delete', stamp);
    if (op.op === 'move' && this.blocks.has(op.parent) && !this.#above(op.parent).includes(op.block))
      this.#write(op.block, 'place', { parent: op.parent, key: op.key }, stamp);
  } // prettier-ignore
}

const id = fc.constantFrom(ROOT, A, B, C, D, blockId(5));
const key = fc.constantFrom('a0', 'a1', 'Zz');
const props = fc.dictionary(fc.constantFrom('x', 'y'), fc.constantFrom<JsonValue>(1, 'two', null), {
  noNullPrototype: true,
});
const drafts: fc.Arbitrary<OpDraft> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ op: fc.constant('insert' as const), block: id, parent: id, key, type: fc.constantFrom('paragraph', 'quote'), props, text: fc.constant(null) }) },
  { weight: 2, arbitrary: fc.record({ op: fc.constant('update' as const), block: id, props, type: fc.option(fc.constantFrom('code', 'quote')) }) },
  { weight: 2, arbitrary: fc.record({ op: fc.constantFrom('delete' as const, 'restore' as const), block: id }) },
  { weight: 4, arbitrary: fc.record({ op: fc.constant('move' as const), block: id, parent: id, key }) },
  { weight: 1, arbitrary: fc.record({ op: fc.constant('purge' as const), blocks: fc.array(id, { maxLength: 2 }) }) },
); // prettier-ignore
const stamps = fc.tuple(fc.integer({ min: 1, max: 6 }), fc.nat(1), fc.integer({ min: 1, max: 2 }));
const history = fc.array(fc.tuple(drafts, stamps), { maxLength: 40 });

describe('random ops', () => {
  test('D1 D9 fold to what the reference has; every parent exists, no cycle, children mirror parents', () => {
    fc.assert(
      fc.property(history, (ops) => {
        const table = new BlockTable(PAGE);
        const reference = new Reference();
        for (const [draft, stamp] of ops) {
          apply(table, draft, stampOf(...stamp));
          reference.apply(draft, stampOf(...stamp));
        }
        expect(new Set([...table.all()].map((block) => block.id))).toEqual(new Set(reference.blocks.keys()));
        for (const block of table.all()) {
          expect(registersOf(table, block.id)).toEqual(valuesOf(reference.blocks.get(block.id)!));
          expect(table.depth(block.id)).toBeLessThan(table.size);
          const children = [...table.all()].filter(({ parent }) => parent === block.id).map((child) => child.id);
          expect(new Set(table.children(block.id))).toEqual(new Set(children));
        }
      }),
      { numRuns: 600 },
    ); // prettier-ignore
  });

  test('D12 an overlay over a base shows what direct application gives, and leaves the base alone', () => {
    fc.assert(
      fc.property(history, history, (below, above) => {
        const direct = new BlockTable(PAGE);
        const base = new BlockTable(PAGE);
        for (const [draft, stamp] of below)
          for (const table of [direct, base]) apply(table, draft, stampOf(...stamp));
        const before = dump(base);
        const overlay = new BlockTable(PAGE, base);
        for (const [draft, stamp] of above) {
          if (draft.op === 'purge') continue;
          expect(apply(overlay, draft, stampOf(...stamp))).toBe(apply(direct, draft, stampOf(...stamp)));
        }
        for (const block of direct.all()) {
          expect(registersOf(overlay, block.id)).toEqual(registersOf(direct, block.id));
          expect(overlay.get(block.id)!.propsBytes).toBe(block.propsBytes);
        }
        for (const block of overlay.all()) expect(direct.get(block.id)).toBeDefined();
        expect(dump(base)).toEqual(before);
      }),
      { numRuns: 300 },
    );
  });

  const valuesOf = (registers: Map<string, Write>) =>
    Object.fromEntries([...registers].map(([name, { value }]) => [name, value]));

  function registersOf(table: BlockTable, block: BlockId): { [name: string]: unknown } {
    const { parent, key, type, deleted, props } = table.get(block)!;
    const written = [...props].map(([name, { value }]) => [`prop ${name}`, value] as const);
    return {
      ...Object.fromEntries(written),
      place: parent === null ? null : { parent, key },
      ...(block === ROOT ? {} : { type, deleted }),
    };
  }
});
