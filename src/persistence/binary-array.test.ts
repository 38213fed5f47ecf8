/**
 * The binary arrays against PostgreSQL's own reading of them: each is sent and comes back element by element.
 */
import pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createTestDatabase, type TestDatabase } from '../../test/support/database.ts';
import { byteaArray, int4Array, int8Array, textArray, uuidArray } from './binary-array.ts';

let database: TestDatabase;
let client: pg.Client;

beforeAll(async () => {
  database = await createTestDatabase();
  client = new pg.Client(database.url);
  await client.connect();
});
afterAll(async () => {
  await client.end();
  await database.drop();
});

/** What PostgreSQL understands the parameter to be, each element as text. */
async function understood(type: string, parameter: Buffer): Promise<string[]> {
  const result = await client.query<{ e: string }>(`select e::text from unnest($1::${type}[]) as t(e)`, [
    parameter,
  ]);
  return result.rows.map((row) => row.e);
}

test('int4: sign, edges, and a refusal of what does not fit', async () => {
  const values = [0, 1, -1, 255, 256, 65_536, 2 ** 31 - 1, -(2 ** 31)];
  expect(
    await understood(
      'int4',
      int4Array(values.length, (i) => values[i]!),
    ),
  ).toEqual(values.map(String));
  for (const wrong of [2 ** 31, 0.5, Number.NaN]) expect(() => int4Array(1, () => wrong)).toThrow('32-bit');
});

test('int8: sign, the border between the halves, edges, and a refusal of what does not fit', async () => {
  const edges = [2 ** 31, 2 ** 32 - 1, 2 ** 32, 2 ** 32 + 1, 1_763_709_025_123, Number.MAX_SAFE_INTEGER];
  const values = [0, ...edges, ...edges.map((value) => -value)];
  expect(
    await understood(
      'int8',
      int8Array(values.length, (i) => values[i]!),
    ),
  ).toEqual(values.map(String));
  for (const wrong of [2 ** 53, 1.5, Number.NaN])
    expect(() => int8Array(1, () => wrong)).toThrow('safe integer');
});

test('uuid, text and bytea', async () => {
  const uuids = ['00000000-0000-0000-0000-000000000000', 'fedcba98-7654-7321-8fed-0123456789ab'];
  expect(
    await understood(
      'uuid',
      uuidArray(2, (i) => uuids[i]!),
    ),
  ).toEqual(uuids);
  const texts = ['', 'ascii', 'zoë', '😀', 'NULL', '{"a",\\b}'];
  expect(
    await understood(
      'text',
      textArray(texts.length, (i) => texts[i]!),
    ),
  ).toEqual(texts);
  const blobs = [new Uint8Array(0), Uint8Array.of(0, 255, 92), new Uint8Array(70_000).fill(7)];
  const hex = blobs.map((blob) => `\\x${Buffer.from(blob).toString('hex')}`);
  expect(
    await understood(
      'bytea',
      byteaArray(blobs.length, (i) => blobs[i]!),
    ),
  ).toEqual(hex);
});

test('an empty array has no elements', async () => {
  expect(
    await understood(
      'int4',
      int4Array(0, () => 0),
    ),
  ).toEqual([]);
});
