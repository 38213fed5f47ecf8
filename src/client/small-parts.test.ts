/**
 * The pure parts, each by itself: first texts written by hand, order keys where siblings block the way, text made again
 * after a refusal, the expiry of tokens, the emitter.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import * as Y from 'yjs';
import { seededRandom } from '../base/random.ts';
import { isOrderKey } from '../document/order.ts';
import { scanTextUpdate } from '../document/text-update.ts';
import type { BlockId } from '../protocol/ids.ts';
import { Emitter } from './events.ts';
import { Placer } from './placing.ts';
import { decodeFirstText, encodeFirstText, readRuns } from './text-codec.ts';
import { rebaseEdits } from './text-rebase.ts';
import { expiryOf } from './token.ts';

describe('first texts', () => {
  it('are what Yjs would write, and are read back without it', () => {
    const inputs = fc.tuple(fc.nat(0xffff_ffff), fc.string({ unit: 'grapheme', minLength: 1 }));
    const property = fc.property(inputs, ([client, text]) => {
      const update = encodeFirstText(client, text)!;
      const doc = new Y.Doc();
      doc.clientID = client;
      doc.getText('text').insert(0, text);
      expect(update).toEqual(Y.encodeStateAsUpdate(doc));
      expect(decodeFirstText(update)).toBe(text);
      expect(scanTextUpdate(update)).toMatchObject({ client, from: 0, to: text.length });
    });
    fc.assert(property);
  });

  it('keep formats, and leave other updates to Yjs', () => {
    const runs = [{ insert: 'a' }, { insert: 'b', attributes: { bold: true } }];
    const update = encodeFirstText(5, runs)!;
    expect(decodeFirstText(update)).toBeUndefined();
    expect(readRuns([update])).toEqual(runs);
    expect(encodeFirstText(5, [])).toBeNull();
  });
});

describe('placing', () => {
  const siblings = (...keys: string[]) =>
    keys.map((key, i) => ({ key, id: `b${i}` as BlockId, parent: 'p' as BlockId }));

  it('D15 moves only the neighbours that block the way', () => {
    const placer = new Placer(seededRandom(1));
    const all = siblings('a1', 'a2', 'a2', 'a2', 'a3');
    const { key, moves } = placer.place('p' as BlockId, all, 2);
    expect(moves.map(({ block }) => block)).toEqual(['b2', 'b3']);
    const keys = ['a2', key, ...moves.map((move) => move.key), 'a3'];
    expect([...new Set(keys)].sort()).toEqual(keys);
  });

  it('D14 D15 finds a valid key anywhere, however dense', () => {
    const placer = new Placer(seededRandom(1));
    const all = siblings('a1', `a1${'0'.repeat(125)}1`, `a1${'0'.repeat(125)}2`, 'a3');
    for (let index = 0; index <= all.length; index++) {
      const { key, moves } = placer.place('p' as BlockId, all, index);
      const after = new Map(moves.map((move) => [move.block, move.key]));
      const keys = all.map(({ id, key: old }) => after.get(id) ?? old);
      keys.splice(index, 0, key);
      expect([...new Set(keys)].sort()).toEqual(keys);
      for (const made of [key, ...after.values()]) expect(isOrderKey(made)).toBe(true);
    }
  });
});

describe('text made again', () => {
  it('K11 keeps what followed a refused edit, also one that deleted', () => {
    const doc = new Y.Doc();
    const updates: Uint8Array[] = [];
    doc.on('update', (update: Uint8Array) => updates.push(update));
    const text = doc.getText('text');
    text.insert(0, 'hello world');
    doc.transact(() => {
      text.delete(0, 5);
      text.insert(0, 'HOWDY');
    });
    text.insert(text.length, '!');
    text.format(6, 5, { bold: true });
    const [base, refused, ...edits] = updates as [Uint8Array, Uint8Array, ...Uint8Array[]];
    const made = rebaseEdits({ before: [base], refused: [refused], base: [base], edits, client: 77 });
    const runs = readRuns([base, ...(made as Uint8Array[])]);
    expect(runs).toEqual([
      { insert: 'hello ' },
      { insert: 'world', attributes: { bold: true } },
      { insert: '!' },
    ]);
  });

  it('K11 says so when an edit cannot be read', () => {
    const doc = new Y.Doc();
    const updates: Uint8Array[] = [];
    doc.on('update', (update: Uint8Array) => updates.push(update));
    doc.getText('text').insert(0, 'a');
    doc.getText('text').insert(1, 'b');
    expect(rebaseEdits({ before: [], refused: [], base: [], edits: [updates[1]!], client: 7 })).toEqual([
      'lost',
    ]);
  });
});

describe('tokens and events', () => {
  it('reads the expiry of a JWT, and nothing of anything else', () => {
    const payload = Buffer.from(JSON.stringify({ exp: 1700, name: 'Zoë' })).toString('base64url');
    expect(expiryOf(`x.${payload}.y`)).toBe(1_700_000);
    for (const odd of ['', 'a.b.c', 'x', `x.${Buffer.from('{}').toString('base64url')}.y`]) expect(expiryOf(odd)).toBeUndefined(); // prettier-ignore
  });

  it('calls every listener, whatever one of them throws', () => {
    const emitter = new Emitter<{ a: number }>();
    const [seen, surfaced]: [number[], unknown[]] = [[], []];
    globalThis.reportError = (error: unknown) => void surfaced.push(error);
    emitter.on('a', () => {
      throw new Error('mine');
    });
    const off = emitter.on('a', (value) => seen.push(value));
    emitter.emit('a', 1);
    off();
    emitter.emit('a', 2);
    expect([seen, surfaced.length]).toEqual([[1], 2]);
    Reflect.deleteProperty(globalThis, 'reportError');
  });
});
