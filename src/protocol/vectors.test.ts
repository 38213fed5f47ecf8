/**
 * Holds `docs/protocol-vectors.json` and `docs/protocol.md` against the code: every vector both ways, and every number,
 * code, limit and variable of the source tables named in the paper. The vectors were written with another MessagePack
 * encoder, so they check this one too. They reach into `document/`, since strangers need its bytes as much as the frames'.
 */
import { readFileSync } from 'node:fs';
import { inflateSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import type { Block } from '../document/block.ts';
import { decodeOps, encodeOps, type Op, type OpDraft } from '../document/ops.ts';
import { isOrderKey } from '../document/order.ts';
import { decodeSnapshot, encodeSnapshot } from '../document/snapshot.ts';
import { scanTextUpdate } from '../document/text-update.ts';
import { CLOSE, CODES, NOTICES } from './codes.ts';
import { decodeClientMessage, decodeServerMessage, isMalformed } from './decode.ts';
import { encodeClientMessage, encodeServerMessage } from './encode.ts';
import type { PageId } from './ids.ts';
import { LIMIT_TABLE, WIRE } from './limits.ts';
import { CLIENT_KIND, type ClientMessage, ROLES, SERVER_KIND, type ServerMessage } from './messages.ts';

type Json = { [name: string]: unknown };

interface Vectors {
  client: { name: string; hex: string; message: Json; canonical?: false }[];
  server: { name: string; hex: string; message: Json; canonical?: false }[];
  ops: { name: string; hex: string; ops: Json[]; canonical?: false }[];
  snapshots: { name: string; page: PageId; plain: string; zlib: string; hash: string; blocks: Json[] }[];
  texts: { name: string; hex: string; refused?: true; client: number | null; from: number; to: number; needs: Json }[];
  orderKeys: { valid: string[]; invalid: string[] };
  refused: { direction: 'client' | 'server' | 'ops'; name: string; hex: string }[];
} // prettier-ignore

const docs = new URL('../../docs/', import.meta.url);
const vectors = JSON.parse(readFileSync(new URL('protocol-vectors.json', docs), 'utf8')) as Vectors;

const bytesOf = (hex: string) => new Uint8Array(Buffer.from(hex, 'hex'));
const hexOf = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');

/** Which fields hold bytes, and so stand as hex in the vectors. */
const BYTE_FIELDS = new Set(['ops', 'state', 'bytes', 'text', 'update', 'hash']);

/** A message as the vectors show it. */
function shown(value: unknown): unknown {
  if (value instanceof Uint8Array) return hexOf(value);
  if (Array.isArray(value)) return value.map(shown);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, field]) => [name, shown(field)]));
}

/** The other way; only the fields of messages and ops are touched, never what is inside props. */
function meant(value: Json): Json {
  return Object.fromEntries(
    Object.entries(value).map(([name, field]) => {
      if (typeof field === 'string' && BYTE_FIELDS.has(name)) return [name, bytesOf(field)];
      if (name === 'changes' || name === 'states') return [name, (field as Json[]).map(meant)];
      return [name, field];
    }),
  );
}

describe('the vectors of frames', () => {
  test.each(vectors.client)('W16 from a client: $name', ({ hex, message, canonical }) => {
    expect(shown(decodeClientMessage(bytesOf(hex)))).toEqual(message);
    if (canonical === undefined) {
      expect(hexOf(encodeClientMessage(meant(message) as unknown as ClientMessage))).toBe(hex);
    }
  });

  test.each(vectors.server)('W16 from a server: $name', ({ hex, message, canonical }) => {
    expect(shown(decodeServerMessage(bytesOf(hex)))).toEqual(message);
    if (canonical === undefined) {
      expect(hexOf(encodeServerMessage(meant(message) as unknown as ServerMessage))).toBe(hex);
    }
  });

  test.each(vectors.refused)('W16 refused, $direction: $name', ({ direction, hex }) => {
    const decode = { client: decodeClientMessage, server: decodeServerMessage, ops: decodeOps }[direction];
    expect(isMalformed(decode(bytesOf(hex)))).toBe(true);
  });

  test('W16 cover every kind of both directions', () => {
    const kinds = (frames: { hex: string; canonical?: false }[]) =>
      new Set(frames.filter(({ canonical }) => canonical !== false).map(({ hex }) => bytesOf(hex)[1]));
    expect(kinds(vectors.client)).toEqual(new Set(Object.values(CLIENT_KIND)));
    expect(kinds(vectors.server)).toEqual(new Set(Object.values(SERVER_KIND)));
  });
});

/** What only a decoder knows of an op is left out. */
function draftOf(op: Op): Json {
  if (op.op === 'unknown') return { ...op };
  const draft: Json = { ...op };
  if ('props' in op) {
    const props: Json = {};
    for (const { key, value } of op.props) {
      Object.defineProperty(props, key, { value, enumerable: true, configurable: true, writable: true });
    }
    draft['props'] = props;
  }
  if (op.op === 'insert') draft['text'] = op.text?.update ?? null;
  delete draft['shape'];
  for (const name of ['text', 'update']) {
    if (draft[name] instanceof Uint8Array) draft[name] = hexOf(draft[name]);
  }
  return draft;
}

describe('the vectors of documents', () => {
  test.each(vectors.ops)('W16 ops: $name', ({ hex, ops, canonical }) => {
    const decoded = decodeOps(bytesOf(hex));
    if (isMalformed(decoded)) throw new Error(decoded.malformed);
    expect(decoded.map(draftOf)).toEqual(ops);
    expect(({} as { polluted?: boolean }).polluted).toBeUndefined();
    if (canonical === undefined) {
      const drafts = ops.map((op) => meant(op) as unknown as OpDraft);
      expect(hexOf(encodeOps(drafts))).toBe(hex);
    }
  });

  test('W16 cover every op', () => {
    const names = new Set(vectors.ops.flatMap(({ ops }) => ops.map((op) => op['op'])));
    expect(names).toEqual(
      new Set(['insert', 'update', 'delete', 'restore', 'move', 'text', 'purge', 'unknown']),
    );
  });

  test.each(vectors.snapshots)('W16 snapshot: $name', ({ page, plain, zlib, hash, blocks }) => {
    expect(hexOf(inflateSync(bytesOf(zlib)))).toBe(plain);
    const table = decodeSnapshot(page, bytesOf(plain));
    expect(hexOf(table.hash!)).toBe(hash);
    const found = [...table.all()].map(
      ({ idHash: _hash, propsBytes: _bytes, text, props, ...rest }: Block) => ({
        ...rest,
        props: Object.fromEntries([...props].map(([key, { value, stamp }]) => [key, { value, stamp }])),
        text: text ? hexOf(text.merged()!) : null,
      }),
    );
    expect(found).toEqual(blocks);
    // Stamps are shared by identity in a live table, not in a decoded one: the same content, and a fixed point.
    const again = encodeSnapshot(table);
    expect(hexOf(encodeSnapshot(decodeSnapshot(page, again)))).toBe(hexOf(again));
  });

  test.each(vectors.texts)('W16 text update: $name', ({ hex, refused, client, from, to, needs }) => {
    const shape = scanTextUpdate(bytesOf(hex));
    expect('malformed' in shape).toBe(refused === true);
    if (!('malformed' in shape)) {
      const found = Object.fromEntries([...shape.needs].map(([id, clock]) => [String(id), clock]));
      expect({ client: shape.client, from: shape.from, to: shape.to, needs: found }).toEqual({ client, from, to, needs });
    }
  }); // prettier-ignore

  test('W16 order keys', () => {
    for (const key of vectors.orderKeys.valid) expect([key, isOrderKey(key)]).toEqual([key, true]);
    for (const key of vectors.orderKeys.invalid) expect([key, isOrderKey(key)]).toEqual([key, false]);
  });
});

describe('the paper', () => {
  // Table cells are padded by the formatter: spaces are folded.
  const paper = readFileSync(new URL('protocol.md', docs), 'utf8').replaceAll(/ +/g, ' ');
  const expectRow = (...cells: (string | number)[]) => expect(paper).toContain(`| ${cells.join(' | ')} |`);

  test('W16 has every code with its class and meaning', () => {
    for (const [code, row] of Object.entries(CODES)) expectRow(`\`${code}\``, row.class, row.meaning);
  });

  test('W16 has every notice and every close code', () => {
    for (const [code, meaning] of Object.entries(NOTICES)) expectRow(`\`${code}\``, meaning);
    for (const [name, { code, meaning }] of Object.entries(CLOSE)) expectRow(code, name, meaning);
  });

  test('W14 W16 has every limit with its variable, default and meaning', () => {
    for (const [name, { env, value, meaning }] of Object.entries(LIMIT_TABLE)) {
      expectRow(`\`${name}\``, `\`${env}\``, value, meaning);
    }
    for (const [name, value] of Object.entries(WIRE)) expectRow(`\`${name}\``, value);
  });

  test('W16 has every kind with its number, and every role', () => {
    for (const kinds of [CLIENT_KIND, SERVER_KIND]) {
      for (const [name, kind] of Object.entries(kinds)) expect(paper).toContain(`### ${kind} ${name.toUpperCase()}`);
    }
    for (const role of ROLES) expect(paper).toContain(`\`${role}\``);
  }); // prettier-ignore

  test('W16 has its worked examples among the vectors', () => {
    const known = new Set([...vectors.client, ...vectors.server].map(({ hex }) => hex));
    const examples = [...paper.matchAll(/```hex\n([\s\S]*?)```/g)].map(([, text]) =>
      text!.replaceAll(/#.*$/gm, '').replaceAll(/\s/g, ''),
    );
    expect(examples.length).toBeGreaterThanOrEqual(5);
    for (const example of examples) expect([example, known.has(example)]).toEqual([example, true]);
  });
});
