/**
 * What a text says depends on its updates alone, not on who applied how many of them at a time.
 */
import { expect, test } from 'vitest';
import * as Y from 'yjs';
import { blockId } from '../../test/support/pages.ts';
import { seededRandom } from '../base/random.ts';
import { readRuns } from '../client/text-codec.ts';
import { Texts } from '../client/texts.ts';
import { textDoc } from './text-doc.ts';

/** Ann makes a word bold; so does Bob at the same time, and Cleo, who has seen Ann's, writes before it, in bold too. */
function updatesOf([a, b, c]: readonly number[]): Uint8Array[] {
  const updates: Uint8Array[] = [];
  const open = (client: number) => {
    const doc = textDoc(updates);
    doc.clientID = client;
    doc.on('update', (update: Uint8Array) => updates.push(update));
    return doc.getText('text');
  };
  open(9).insert(0, 'word');
  const [ann, bob] = [open(a!), open(b!)];
  ann.format(0, 4, { bold: true });
  const cleo = open(c!);
  bob.format(0, 4, { bold: true });
  cleo.insert(0, '!', { bold: true });
  return updates;
}

const ORDERS = [[1, 2, 3], [1, 3, 2], [2, 1, 3], [2, 3, 1], [3, 1, 2], [3, 2, 1]] as const; // prettier-ignore

const runs = (text: Y.Text) => {
  const all: [string, unknown][] = [];
  for (const { insert, attributes } of text.toDelta() as { insert: string; attributes?: object }[]) {
    for (const character of insert) all.push([character, attributes]);
  }
  return all;
};

test.each(ORDERS)('D20 K2 formats that two have given stay whole, whoever reads, opens or rewrites the text, and when (%s, %s, %s)', (...clients) => {
  const updates = updatesOf(clients);
  const wanted = runs(textDoc([Y.mergeUpdates(updates)]).getText('text'));
  expect(wanted).toEqual([...'!word'].map((character) => [character, { bold: true }]));
  expect(runs(textDoc(updates).getText('text'))).toEqual(wanted);
  expect(readRuns(updates).every(({ attributes }) => attributes?.['bold'] === true)).toBe(true);
  for (let cut = 1; cut < updates.length; cut++) {
    const [before, after] = [updates.slice(0, cut), updates.slice(cut)];
    // Rewritten there by a server.
    const rewritten = Y.encodeStateAsUpdate(textDoc(before, true));
    expect(runs(textDoc([rewritten, ...after]).getText('text'))).toEqual(wanted);
    // Opened there by a client.
    const texts = new Texts(seededRandom(1), { updatesOf: () => before, opened() {}, edited() { throw new Error('nobody has edited'); } });
    const live = texts.open(blockId(1));
    for (const update of after) texts.remote(blockId(1), update);
    expect(runs(live)).toEqual(wanted);
  }
}); // prettier-ignore
