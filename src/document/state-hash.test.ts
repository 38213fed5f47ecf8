/**
 * The state's hash: kept in step it is what is computed anew; it follows from the log alone; what differs differs.
 */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { blockId, PAGE, ROOT, stampOf } from '../../test/support/pages.ts';
import { applyChanges, type RandomChange, randomLog, shuffled } from '../../test/support/random-log.ts';
import { randomBelow, seededRandom } from '../base/random.ts';
import type { JsonValue } from '../base/json.ts';
import { MsgpackError } from '../protocol/msgpack-reader.ts';
import type { Block } from './block.ts';
import { BlockTable } from './blocks.ts';
import { decodeOps, encodeOps, type Op, type OpDraft } from './ops.ts';
import { decodeSnapshot, encodeSnapshot, readSnapshot } from './snapshot.ts';
import { hashHex, stateHash } from './state-hash.ts';
import { hashProp } from './value-hash.ts';

const LONG = process.env['OCTAVO_TEST_LONG'] !== undefined;
const RUNS = LONG ? 5_000 : 30;
const seeds = fc.integer({ min: 1, max: 1e9 });
const A = blockId(1);
const B = blockId(2);

const hex = (table: BlockTable) => hashHex(table.hash!);
const anew = (table: BlockTable) => hashHex(stateHash(table.all()).toBytes());
const opsOf = (...drafts: OpDraft[]) => decodeOps(encodeOps(drafts)) as Op[];

function tableOf(log: readonly RandomChange[]): BlockTable {
  const table = new BlockTable(PAGE);
  applyChanges(table, log);
  return table;
}

const insert = (block = A, props: { [key: string]: JsonValue } = {}): OpDraft => ({
  op: 'insert',
  block,
  parent: ROOT,
  key: 'a0',
  type: 'quote',
  props,
  text: null,
});
/** Yjs client 1000 types "Hello", then " you". */
const HELLO = Buffer.from('0101e80700040104746578740548656c6c6f00', 'hex');
const YOU = Buffer.from('0101e8070584e80704042079 6f7500'.replace(' ', ''), 'hex');

function applied(...changes: [stamp: number, ...drafts: OpDraft[]][]): BlockTable {
  const table = new BlockTable(PAGE);
  for (const [ms, ...drafts] of changes) {
    const stamp = stampOf(ms);
    for (const op of opsOf(...drafts)) table.apply(op, stamp);
  }
  return table;
}

describe('the hash of a state', () => {
  test('D60 is at every step what is computed anew from the state', () => {
    let [texts, purged] = [0, 0];
    fc.assert(
      fc.property(seeds, (seed) => {
        const table = new BlockTable(PAGE);
        for (const { stamp, ops } of randomLog(seed, 60)) {
          for (const op of ops) {
            const before = hex(table);
            const outcome = table.apply(op, stamp);
            expect(hex(table)).toBe(anew(table));
            if (outcome !== 'applied' && op.op !== 'purge')
              expect([op.op, hex(table)]).toEqual([op.op, before]);
            if (op.op === 'text' && outcome === 'applied') texts++;
            if (op.op === 'purge' && outcome === 'applied') purged++;
          }
        }
      }),
      { numRuns: RUNS },
    );
    expect(texts).toBeGreaterThan(RUNS);
    expect(purged).toBeGreaterThan(RUNS / 10);
  });

  test('D61 is the same from the log’s start and from any snapshot with the changes after it', () => {
    fc.assert(
      fc.property(seeds, fc.nat(80), fc.nat(80), (seed, first, second) => {
        const log = randomLog(seed, 80);
        const whole = hex(tableOf(log));
        let table = new BlockTable(PAGE);
        let at = 0;
        for (const cut of [first, second].sort((a, b) => a - b)) {
          applyChanges(table, log.slice(at, cut));
          table = decodeSnapshot(PAGE, encodeSnapshot(table));
          at = cut;
        }
        applyChanges(table, log.slice(at));
        expect(hex(table)).toBe(whole);
        expect(anew(table)).toBe(whole);
      }),
      { numRuns: RUNS },
    );
  });

  test('D61 does not change when texts are merged and rewritten', () => {
    const log = randomLog(7, 200);
    const table = tableOf(log);
    const before = hex(table);
    let merged = 0;
    for (const { text } of table.all()) if (text?.merged()) merged++;
    expect([merged > 0, hex(table), anew(table)]).toEqual([true, before, before]);
  });

  /** All that the hash stands for, spelt out: registers with their stamps, and each text's updates in their order. */
  function spelt(log: readonly RandomChange[]): string {
    const table = new BlockTable(PAGE);
    const texts = new Map<string, unknown[]>();
    for (const { stamp, ops } of log) {
      for (const op of ops) {
        const outcome = table.apply(op, stamp);
        if (op.op === 'insert' && outcome === 'applied') texts.set(op.block, []);
        if (op.op !== 'text' || outcome !== 'applied') continue;
        texts.set(op.block, [
          ...(texts.get(op.block) ?? []),
          [stamp, Buffer.from(op.update).toString('hex')],
        ]);
      }
    }
    const blocks = [...table.all()].map(({ id, type, typeStamp, parent, key, placeStamp, deleted, deletedStamp, props, text }) =>
      JSON.stringify([id, type, typeStamp, parent, key, placeStamp, deleted, deletedStamp,
        [...props].map(([name, { value, stamp }]) => JSON.stringify([name, value, stamp])).sort(), text && texts.get(id)])); // prettier-ignore
    return blocks.sort().join('\n');
  }

  test('D62 differs for another order or another choice of changes exactly when the state does', () => {
    let [same, different] = [0, 0];
    fc.assert(
      fc.property(seeds, fc.boolean(), (seed, drop) => {
        const random = seededRandom(seed);
        const log = randomLog(seed, 12);
        const other = drop ? log.toSpliced(randomBelow(random, 12), 1) : shuffled(log, random);
        const equal = spelt(log) === spelt(other);
        expect([seed, hex(tableOf(log)) === hex(tableOf(other))]).toEqual([seed, equal]);
        if (equal) same++;
        else different++;
      }),
      { numRuns: 3 * RUNS },
    );
    expect(Math.min(same, different)).toBeGreaterThan(RUNS / 30);
  });

  test('D62 differs when two texts took the same updates in another order', () => {
    const typed = (block: typeof A, update: Uint8Array): OpDraft => ({ op: 'text', block, update });
    const other = Buffer.from('0101e90700040104746578740548656c6c6f00', 'hex');
    const one = applied([1, insert(A)], [2, typed(A, HELLO)], [3, typed(A, other)]);
    const two = applied([1, insert(A)], [3, typed(A, other)], [2, typed(A, HELLO)]);
    const elsewhere = applied([1, insert(A), insert(B)], [2, typed(B, HELLO)]);
    const here = applied([1, insert(A), insert(B)], [2, typed(A, HELLO)]);
    expect(hex(one)).not.toBe(hex(two));
    expect(hex(elsewhere)).not.toBe(hex(here));
    const follow = applied([1, insert(A)], [2, typed(A, HELLO)], [3, typed(A, YOU)]);
    const late = applied([1, insert(A)], [2, typed(A, HELLO)], [4, typed(A, YOU)]);
    expect(hex(follow)).not.toBe(hex(late));
  });

  test('D63 differs when equal values were written by other stamps', () => {
    const write: OpDraft = { op: 'update', block: A, props: { x: 1 }, type: 'quote' };
    const states = [
      applied([1, insert(A, { x: 1 })]),
      applied([2, insert(A, { x: 1 })]),
      applied([1, insert(A, { x: 1 })], [2, write]),
      applied([1, insert(A, { x: 1 })], [3, { op: 'move', block: A, parent: ROOT, key: 'a0' }]),
      applied([1, insert(A, { x: 1 })], [3, { op: 'restore', block: A }]),
      applied([1, insert(A, { x: 1, y: null })]),
    ];
    expect(new Set(states.map(hex)).size).toBe(states.length);
    const byAnother = new BlockTable(PAGE);
    for (const op of opsOf(insert(A, { x: 1 }))) byAnother.apply(op, stampOf(1, 0, 2));
    expect(hex(byAnother)).not.toBe(hex(states[0]!));
  });
});

/** Every way in which one register of one block can be a little wrong. */
const FLIPS: readonly ((block: Block) => boolean)[] = [
  (block) => ((block.type = block.type.slice(0, -1) + String.fromCharCode(block.type.charCodeAt(block.type.length - 1) ^ 1)), true),
  (block) => ((block.typeStamp = { ...block.typeStamp, counter: block.typeStamp.counter ^ 1 }), true),
  (block) => ((block.key += '1'), true),
  (block) => ((block.placeStamp = { ...block.placeStamp, ms: block.placeStamp.ms ^ 1 }), true),
  (block) => ((block.deleted = !block.deleted), true),
  (block) => ((block.deletedStamp = { ...block.deletedStamp, ms: block.deletedStamp.ms + 2 ** 40 }), true),
  (block) => {
    for (const [key, prop] of block.props) {
      block.props.set(key, { ...prop, stamp: { ...prop.stamp, replica: stampOf(0, 0, 99).replica } });
      return true;
    }
    return false;
  },
  (block) => {
    for (const [key, prop] of block.props) return block.props.set(key, { ...prop, hash: hashProp(key, [prop.value]) }), true;
    return false;
  },
  (block) => (block.props.size > 0 ? block.props.delete([...block.props.keys()][0]!) : false),
  (block) => (block.text ? ((block.text.chainA ^= 1), true) : false),
  (block) => (block.text ? ((block.text = null), true) : false),
]; // prettier-ignore

describe('one wrong bit', () => {
  test('D64 in any register of any block, or a block too few, gives another hash', () => {
    const log = randomLog(3, 150);
    const good = hex(tableOf(log));
    const { size } = tableOf(log);
    let tried = 0;
    for (let i = 0; i < size; i++) {
      for (const flip of FLIPS) {
        const table = tableOf(log);
        if (!flip([...table.all()][i]!)) continue;
        tried++;
        expect([i, flip.toString(), anew(table) === good]).toEqual([i, flip.toString(), false]);
      }
    }
    expect(tried).toBeGreaterThan(size * 6);
  });

  test('D64 in a text update gives another hash', () => {
    const text = (update: Uint8Array) => {
      const table = applied([1, insert(A)]);
      // The shape is that of the whole update: only the bytes that are kept differ.
      const [op] = opsOf({ op: 'text', block: A, update: HELLO });
      table.apply({ ...op, update } as Op, stampOf(2));
      return hex(table);
    };
    const hashes = new Set([text(HELLO)]);
    for (let bit = 0; bit < 8 * HELLO.length; bit++) {
      const flipped = Uint8Array.from(HELLO);
      flipped[bit >> 3]! ^= 1 << (bit & 7);
      hashes.add(text(flipped));
    }
    for (const longer of [[...HELLO, 0], [...HELLO.subarray(0, -1)]])
      hashes.add(text(Uint8Array.from(longer)));
    expect(hashes.size).toBe(8 * HELLO.length + 3);
  });

  test('D64 in a prop’s value or key gives another hash; an equal value does not', () => {
    const json = fc.jsonValue({ maxDepth: 3 }) as fc.Arbitrary<JsonValue>;
    fc.assert(
      fc.property(json, json, (a, b) => {
        const equal = encodeOps([insert(A, { x: a })]);
        const other = encodeOps([insert(A, { x: b })]);
        if (Buffer.compare(equal, other) !== 0) expect(hashProp('x', a)).not.toBe(hashProp('x', b));
        const again = opsOf(insert(A, { x: a }))[0] as Op & { op: 'insert' };
        expect(again.props[0]!.hash).toBe(hashProp('x', a));
        expect(hashProp('y', a)).not.toBe(hashProp('x', a));
      }),
      { numRuns: 1000 },
    );
    expect(hashProp('x', -0)).toBe(hashProp('x', 0));
    expect(hashProp('x', { a: 1, b: 2 })).toBe(hashProp('x', { b: 2, a: 1 }));
    expect(hashProp('x', { a: 2, b: 1 })).not.toBe(hashProp('x', { a: 1, b: 2 }));
  });
});

describe('what is not in the hash', () => {
  test('D65 blocks that were purged leave nothing behind', () => {
    const before = applied([1, insert(A)]);
    const child: OpDraft = { ...insert(blockId(3), { y: 2 }), parent: B } as OpDraft;
    const purged = applied(
      [1, insert(A)],
      [2, insert(B, { x: 1 }), child, { op: 'text', block: B, update: HELLO }],
      [3, { op: 'delete', block: B }],
      [4, { op: 'purge', blocks: [B] }],
    );
    expect(purged.size).toBe(2);
    expect(hex(purged)).toBe(hex(before));
  });

  test('D66 an overlay has none, and what is applied to it leaves that of its base alone', () => {
    const base = applied([1, insert(A, { x: 1 })]);
    const before = hex(base);
    const overlay = new BlockTable(PAGE, base);
    for (const op of opsOf(insert(B), { op: 'update', block: A, props: { x: 2 }, type: 'to_do' }, { op: 'delete', block: A })) {
      expect(overlay.apply(op, stampOf(5))).toBe('applied');
    }
    expect([overlay.hash, hex(base), anew(base)]).toEqual([null, before, before]);
  }); // prettier-ignore

  test('D67 there is none from an unknown op on, and no snapshot either', () => {
    const table = applied([1, insert(A)]);
    table.apply({ op: 'unknown', number: 99 }, stampOf(2));
    for (const op of opsOf(insert(B))) expect(table.apply(op, stampOf(3))).toBe('applied');
    expect(table.hash).toBeNull();
    expect(() => encodeSnapshot(table)).toThrow(/unknown ops/);
  });
});

describe('a snapshot', () => {
  test('D68 that reads as another state than the one that was written is refused', () => {
    const bytes = encodeSnapshot(tableOf(randomLog(5, 60)));
    const random = seededRandom(6);
    let noticed = 0;
    for (let i = 0; i < 2000; i++) {
      const wrong = bytes.slice();
      wrong[randomBelow(random, bytes.length)]! ^= 1 << randomBelow(random, 8);
      try {
        readSnapshot(PAGE, wrong);
      } catch {
        continue;
      }
      // Still of the right shape: what tells it is the hash. The bytes of a merged text are not in it.
      try {
        decodeSnapshot(PAGE, wrong);
      } catch (error) {
        expect(error).toBeInstanceOf(MsgpackError);
        expect(String(error)).toMatch(/reads as one with/);
        noticed++;
      }
    }
    expect(noticed).toBeGreaterThan(200);
  });
});
