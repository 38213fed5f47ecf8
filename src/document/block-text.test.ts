/**
 * Block texts: what is appended stays readable and whole through merging, restoring and rewriting.
 */
import { describe, expect, test } from 'vitest';
import * as Y from 'yjs';
import { docOf, editAtRandom, hasPending } from '../../test/support/text-edits.ts';
import { randomBelow, seededRandom } from '../base/random.ts';
import { BlockText } from './block-text.ts';
import { scanTextUpdate, type TextShape } from './text-update.ts';

const shapeOf = (update: Uint8Array) => scanTextUpdate(update) as TextShape;
const deltaOf = (updates: readonly Uint8Array[]): unknown => docOf(updates).getText('text').toDelta();

describe('BlockText', () => {
  test('D20 merging and restoring at any time changes neither text nor clocks', () => {
    for (let seed = 1; seed <= 40; seed++) {
      const random = seededRandom(seed);
      const log = editAtRandom(seed, 3, 40).map(({ update }) => update);
      let text = new BlockText();
      for (const update of log) {
        expect(text.append(update, shapeOf(update))).toBe(true);
        if (randomBelow(random, 8) === 0) text.merged();
        if (randomBelow(random, 8) === 0) text = new BlockText(text.merged());
      }
      const whole = docOf(log);
      expect(deltaOf([text.merged()!])).toEqual(whole.getText('text').toDelta());
      expect(text.bytes).toBe(text.merged()!.length);
      expect(new Map(text.clocks())).toEqual(Y.decodeStateVector(Y.encodeStateVector(whole)));
    }
  });

  test('D19 what does not continue is not taken in', () => {
    const doc = new Y.Doc();
    const log: Uint8Array[] = [];
    doc.on('update', (update: Uint8Array) => log.push(update));
    for (const word of ['a', 'b', 'c']) doc.getText('text').insert(0, word);
    const [first, second, third] = log as [Uint8Array, Uint8Array, Uint8Array];
    const text = new BlockText();
    expect(text.append(second, shapeOf(second))).toBe(false);
    expect(text.bytes).toBe(0);
    expect(text.merged()).toBeUndefined();
    expect(text.append(first, shapeOf(first))).toBe(true);
    expect(text.append(third, shapeOf(third))).toBe(false);
    expect(deltaOf([text.merged()!])).toEqual([{ insert: 'a' }]);
  });

  test('D20 a text that was rewritten takes on edits by people who still hold the old one', () => {
    const doc = new Y.Doc();
    doc.clientID = 1;
    const log: Uint8Array[] = [];
    doc.on('update', (update: Uint8Array) => log.push(update));
    const text = new BlockText();
    const take = () => {
      for (const update of log.splice(0)) expect(text.append(update, shapeOf(update))).toBe(true);
    };
    const other = new Y.Doc({ gc: false });
    other.clientID = 2;
    for (let i = 0; i < 3000; i++) {
      doc.getText('text').insert(i % 7, 'tenletters');
      if (i === 2000) Y.applyUpdate(other, Y.encodeStateAsUpdate(doc));
      doc.getText('text').delete(i % 5, 10);
    }
    const before = log.reduce((sum, update) => sum + update.length, 0);
    take();
    expect(text.merged()!.length).toBeLessThan(before / 3);
    // The other types beside characters that the rewritten text has forgotten.
    other.on('update', (update: Uint8Array) => log.push(update));
    other.getText('text').insert(3, 'late');
    take();
    const restored = docOf([text.merged()!]);
    expect(hasPending(restored)).toBe(false);
    Y.applyUpdate(doc, Y.encodeStateAsUpdate(other));
    expect(restored.getText('text').toString()).toBe(doc.getText('text').toString());
    expect(restored.getText('text').toString()).toContain('late');
  });
});
