/**
 * Batches between gateway and shard: records come out as they went in, and a cut batch is noticed.
 */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import '../../test/support/pages.ts';
import { AssertionError } from '../base/assert.ts';
import { EnvelopeWriter, readEnvelope } from './envelope.ts';

interface Read {
  readonly type: number;
  readonly connection: number;
  readonly bytes: number[];
}

function read(batch: Uint8Array): Read[] {
  const records: Read[] = [];
  readEnvelope(
    batch,
    (type, connection, bytes) => void records.push({ type, connection, bytes: [...bytes] }),
  );
  return records;
}

test('G17 records come out as they went in, in order, batch after batch', () => {
  const record = fc.record({
    type: fc.integer({ min: 1, max: 255 }),
    connection: fc.integer({ min: 0, max: 0xffff_ffff }),
    first: fc.uint8Array({ maxLength: 50 }),
    second: fc.option(fc.uint8Array({ maxLength: 50 })),
  });
  const writer = new EnvelopeWriter();
  fc.assert(
    fc.property(fc.array(record, { maxLength: 30 }), (records) => {
      for (const { type, connection, first, second } of records) {
        if (second) writer.addPair(type, connection, first, second);
        else writer.add(type, connection, first);
      }
      expect(writer.isEmpty).toBe(records.length === 0);
      const length = writer.length;
      const batch = writer.take();
      expect(batch.length).toBe(length);
      expect(writer.isEmpty).toBe(true);
      expect(read(batch)).toEqual(
        records.map(({ type, connection, first, second }) => ({
          type,
          connection,
          bytes: [...first, ...(second ?? [])],
        })),
      );
    }),
  );
});

test('G17 a batch grows past its first capacity, and owns its buffer', () => {
  const writer = new EnvelopeWriter();
  const large = new Uint8Array(100_000).fill(7);
  writer.add(1, 2, Uint8Array.of(1));
  writer.add(3, 4, large);
  const batch = writer.take();
  writer.add(9, 9, new Uint8Array(10).fill(9));
  expect(read(batch)).toEqual([
    { type: 1, connection: 2, bytes: [1] },
    { type: 3, connection: 4, bytes: [...large] },
  ]);
  expect(batch.byteOffset).toBe(0);
});

test('G17 a view into a larger buffer is read at its place; a cut batch is a bug that is noticed', () => {
  const writer = new EnvelopeWriter();
  writer.add(1, 2, Uint8Array.of(1, 2, 3));
  const batch = writer.take();
  const shifted = new Uint8Array(batch.length + 5);
  shifted.set(batch, 5);
  expect(read(shifted.subarray(5))).toEqual(read(batch));
  expect(() => read(batch.subarray(0, batch.length - 1))).toThrow(AssertionError);
});
