/**
 * Merging without decoding: byte for byte what Yjs makes of the same updates.
 */
import { describe, expect, test } from 'vitest';
import * as Y from 'yjs';
import { editAtRandom } from '../../test/support/text-edits.ts';
import { randomBelow, seededRandom } from '../base/random.ts';
import { mergeUpdates } from './merge-updates.ts';
import { textDoc } from './text-doc.ts';

describe('mergeUpdates', () => {
  test('G126 any updates in their order, merged in any portions, are the bytes that Yjs makes of them', () => {
    for (let seed = 1; seed <= 15; seed++) {
      const random = seededRandom(seed);
      const log = editAtRandom(seed, 3, 60).map(({ update }) => update);
      let merged = log[0]!;
      for (let at = 1; at < log.length;) {
        const portion = log.slice(at, (at += 1 + randomBelow(random, 20)));
        const parts = randomBelow(random, 2) === 0 ? [merged, ...portion] : [merged, mergeUpdates(portion)!];
        merged = mergeUpdates(parts)!;
        expect(Buffer.from(merged)).toEqual(Buffer.from(Y.mergeUpdates(parts)));
      }
    }
  });

  test('G126 a text without its deleted characters takes on what follows', () => {
    for (let seed = 1; seed <= 8; seed++) {
      const log = editAtRandom(seed, 3, 60).map(({ update }) => update);
      const doc = textDoc(log.slice(0, 30), true);
      const rewritten = Y.encodeStateAsUpdate(doc);
      const merged = mergeUpdates([rewritten, ...log.slice(30)])!;
      expect(textDoc([merged]).getText('text').toDelta()).toEqual(textDoc(log).getText('text').toDelta());
      expect(Y.encodeStateVectorFromUpdate(merged)).toEqual(Y.encodeStateVector(textDoc(log)));
    }
  });

  test('G126 what leaves a gap, overlaps or skips is left to Yjs', () => {
    const doc = new Y.Doc();
    const log: Uint8Array[] = [];
    doc.on('update', (update: Uint8Array) => log.push(update));
    for (const word of ['a', 'b', 'c']) doc.getText('text').insert(0, word);
    const [first, second, third] = log as [Uint8Array, Uint8Array, Uint8Array];
    expect(mergeUpdates([first, third])).toBeUndefined();
    expect(mergeUpdates([first, second, second])).toBeUndefined();
    expect(mergeUpdates([Y.mergeUpdates([first, third])])).toBeUndefined();
    expect(mergeUpdates([first, second, third])).toBeDefined();
  });
});
