/**
 * The codec of ops: both directions agree, what is new is skipped whole, what is broken is refused and never thrown.
 */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { blockId, ROOT } from '../../test/support/pages.ts';
import { editAtRandom } from '../../test/support/text-edits.ts';
import type { JsonValue } from '../base/json.ts';
import { randomBelow, seededRandom } from '../base/random.ts';
import { WIRE } from '../protocol/limits.ts';
import { MsgpackWriter } from '../protocol/msgpack-writer.ts';
import { decodeOps, encodeOps, type Op, type OpDraft } from './ops.ts';

const updates = editAtRandom(1, 1, 10).map(({ update }) => update);

function decoded(bytes: Uint8Array): Op[] {
  const ops = decodeOps(bytes);
  if ('malformed' in ops) expect.fail(ops.malformed);
  return ops;
}

const malformed = (bytes: Uint8Array) => 'malformed' in decodeOps(bytes);

/** What a decoded op looks like as its author wrote it. */
function draftOf(op: Op): OpDraft {
  const propsOf = (writes: Op & { op: 'update' }) =>
    Object.fromEntries(writes.props.map(({ key, value }) => [key, value]));
  switch (op.op) {
    case 'insert':
      return { ...op, props: propsOf({ ...op, op: 'update' }), text: op.text && op.text.update };
    case 'update':
      return { ...op, props: propsOf(op) };
    case 'text':
      return { op: 'text', block: op.block, update: op.update };
    case 'purge':
      return { op: 'purge', blocks: [...op.blocks] };
    case 'unknown':
      return expect.fail('an unknown op');
    default:
      return op;
  }
}

const block = fc.nat(20).map(blockId);
const key = fc.constantFrom('a0', 'a1V', 'Zz', 'b00');
const type = fc.constantFrom('paragraph', 'x'.repeat(WIRE.typeBytesMax), 'ä');
const json = fc.jsonValue({ maxDepth: 3 }).map((value) => JSON.parse(JSON.stringify(value)) as JsonValue);
const props = fc
  .dictionary(fc.string({ maxLength: 20 }), json, { maxKeys: 4, noNullPrototype: true })
  .filter((made) => !Object.hasOwn(made, '__proto__'));
const text = fc.constantFrom(...updates);

const draft: fc.Arbitrary<OpDraft> = fc.oneof(
  fc.record({ op: fc.constant('insert' as const), block, parent: block, key, type, props, text: fc.option(text) }),
  fc.record({ op: fc.constant('update' as const), block, props, type: fc.option(type) }),
  fc.record({ op: fc.constantFrom('delete' as const, 'restore' as const), block }),
  fc.record({ op: fc.constant('move' as const), block, parent: block, key }),
  fc.record({ op: fc.constant('text' as const), block, update: text }),
  fc.record({ op: fc.constant('purge' as const), blocks: fc.array(block, { maxLength: 3 }) }),
); // prettier-ignore

test('W1 decode gives what was encoded', () => {
  fc.assert(
    fc.property(fc.array(draft, { maxLength: 5 }), (drafts) => {
      const bytes = encodeOps(drafts);
      const again = decoded(bytes).map(draftOf);
      expect(again).toEqual(drafts);
      expect(encodeOps(again)).toEqual(bytes);
    }),
    { numRuns: 500 },
  );
});

test('D33 a prop counts the bytes of its key and its value', () => {
  const [op] = decoded(encodeOps([{ op: 'update', block: ROOT, props: { title: 'abc', n: 1 }, type: null }]));
  expect(op).toMatchObject({ props: [{ key: 'title', bytes: 6 + 4 }, { key: 'n', bytes: 2 + 1 }] }); // prettier-ignore
});

test('W9 a prop named __proto__ is only a prop', () => {
  const props = JSON.parse('{"__proto__":{"a":1}}') as { [key: string]: JsonValue };
  const [op] = decoded(encodeOps([{ op: 'update', block: ROOT, props, type: null }]));
  expect(op).toMatchObject({ props: [{ key: '__proto__', value: { a: 1 } }] });
});

describe('what newer code may write', () => {
  test('W19 an unknown op is kept as such and stepped over whole', () => {
    const w = new MsgpackWriter().array(3);
    w.array(4).int(99).map(1).str('deep').array(2).nil().bool(true).bin(new Uint8Array(300)).number(1.5);
    w.array(2).int(3).id(blockId(1));
    w.array(2).int(60_000).nil();
    expect(decoded(w.take())).toEqual([
      { op: 'unknown', number: 99 },
      { op: 'delete', block: blockId(1) },
      { op: 'unknown', number: 60_000 },
    ]);
  });

  test('W3 extra elements of a known op are stepped over', () => {
    const w = new MsgpackWriter().array(2);
    w.array(4).int(3).id(blockId(1)).array(1).array(0).str('more');
    w.array(6).int(5).id(blockId(1)).id(ROOT).str('a0').nil().map(1).int(1).int(2);
    expect(decoded(w.take())).toEqual([
      { op: 'delete', block: blockId(1) },
      { op: 'move', block: blockId(1), parent: ROOT, key: 'a0' },
    ]);
  });
});

describe('what is malformed', () => {
  const one = (fill: (w: MsgpackWriter) => void) => {
    const w = new MsgpackWriter().array(1);
    fill(w);
    return w.take();
  };

  test.each<[string, Uint8Array]>([
    ['no array', new MsgpackWriter().int(1).take()],
    ['bytes after the ops', Uint8Array.of(0x90, 0x90)],
    ['an op that is no array', one((w) => w.int(1))],
    ['an op of one element', one((w) => w.array(1).int(3))],
    ['a negative number', one((w) => w.array(2).int(-1).nil())],
    ['a short id', one((w) => w.array(2).int(3).bin(new Uint8Array(15)))],
    ['a move without a key', one((w) => w.array(3).int(5).id(ROOT).id(ROOT))],
    ['a bad order key', one((w) => w.array(4).int(5).id(ROOT).id(ROOT).str('a00'))],
    ['an empty order key', one((w) => w.array(4).int(5).id(ROOT).id(ROOT).str(''))],
    ['an empty type', one((w) => w.array(4).int(2).id(ROOT).map(0).str(''))],
    ['a type that is too long', one((w) => w.array(4).int(2).id(ROOT).map(0).str('x'.repeat(65)))],
    ['a prop key that is too long', one((w) => w.array(4).int(2).id(ROOT).map(1).str('x'.repeat(129)).nil().nil())],
    ['props that are no map', one((w) => w.array(4).int(2).id(ROOT).nil().nil())],
    ['a prop that is a bin', one((w) => w.array(4).int(2).id(ROOT).map(1).str('a').bin(new Uint8Array(1)).nil())],
    ['a text op without text', one((w) => w.array(3).int(6).id(ROOT).nil())],
    ['a text op with random bytes', one((w) => w.array(3).int(6).id(ROOT).bin(Uint8Array.of(1, 2, 3)))],
    ['more ops than bytes', Uint8Array.of(0xdd, 255, 255, 255, 255)],
  ])('W18 %s', (_what, bytes) => expect(malformed(bytes)).toBe(true)); // prettier-ignore

  test('W18 a prop nested too deeply', () => {
    const nested = (depth: number): JsonValue => (depth === 0 ? 1 : [nested(depth - 1)]);
    const ops = (depth: number) => encodeOps([{ op: 'update', block: ROOT, props: { a: nested(depth) }, type: null }]);
    expect(malformed(ops(WIRE.jsonDepthMax))).toBe(false);
    expect(malformed(ops(WIRE.jsonDepthMax + 1))).toBe(true);
  }); // prettier-ignore

  test('W2 mutated and random bytes never throw', () => {
    const random = seededRandom(1);
    const bytes = encodeOps(fc.sample(draft, { numRuns: 40, seed: 7 }));
    for (let i = 0; i < 5000; i++) {
      const mutated = bytes.slice(0, randomBelow(random, 20) === 0 ? randomBelow(random, bytes.length) : undefined);
      for (let edits = 0; edits < 3; edits++) mutated[randomBelow(random, mutated.length)] = randomBelow(random, 256);
      decodeOps(mutated);
      decodeOps(random.bytes(randomBelow(random, 60)));
    }
  }); // prettier-ignore
});
