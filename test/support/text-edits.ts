/**
 * Several people who edit one Yjs text at random and see each other's edits late: the source of honest updates for the
 * tests of the update scanner and of block texts. Deterministic by seed.
 */
import * as Y from 'yjs';
import { type Random, randomBelow, seededRandom } from '../../src/base/random.ts';

export interface LoggedUpdate {
  readonly client: number;
  readonly update: Uint8Array;
}

const WORDS = ['a', 'bc', 'word ', 'ä', '漢字', '😀', 'x😀y', '\n', '👨‍👩‍👧'];
const FORMATS = [
  { bold: true },
  { bold: null },
  { link: 'https://example.org/?q=ü' },
  { code: true, color: '#f00' },
];

/** Runs `steps` random edits by `people` people; returns every local update in the order in which it was made. */
export function editAtRandom(seed: number, people: number, steps: number): LoggedUpdate[] {
  const random = seededRandom(seed);
  const log: LoggedUpdate[] = [];
  const docs = Array.from({ length: people }, (_, i) => {
    const doc = new Y.Doc({ gc: true });
    doc.clientID = 1000 * seed + i + 1;
    doc.on('update', (update: Uint8Array, _origin: unknown, _doc: Y.Doc, transaction: Y.Transaction) => {
      if (transaction.local) log.push({ client: doc.clientID, update });
    });
    return { doc, undo: new Y.UndoManager(doc.getText('text'), { captureTimeout: 0 }), seen: 0 };
  });
  for (let i = 0; i < steps; i++) {
    const one = docs[randomBelow(random, people)]!;
    if (randomBelow(random, 3) === 0) {
      const to = one.seen + randomBelow(random, log.length - one.seen + 1);
      for (; one.seen < to; one.seen++) Y.applyUpdate(one.doc, log[one.seen]!.update, 'remote');
    }
    edit(one.doc, one.undo, random);
  }
  for (const { doc } of docs) doc.destroy();
  return log;
}

function edit(doc: Y.Doc, undo: Y.UndoManager, random: Random): void {
  const text = doc.getText('text');
  const at = randomBelow(random, text.length + 1);
  const length = Math.min(randomBelow(random, 4) + 1, text.length - at);
  const word = WORDS[randomBelow(random, WORDS.length)]!;
  const format = FORMATS[randomBelow(random, FORMATS.length)]!;
  switch (randomBelow(random, 9)) {
    case 0:
    case 1:
    case 2:
      return text.insert(at, word);
    case 3:
      return text.insert(at, word, format);
    case 4:
      // May cut an emoji in half: Yjs must bear it, and so must we.
      if (length > 0) text.delete(at, length);
      return;
    case 5:
      if (length > 0) text.format(at, length, format);
      return;
    case 6:
      return text.insertEmbed(at, { image: `https://example.org/${at}.png`, sizes: [1, 2.5, null] });
    case 7:
      undo[randomBelow(random, 2) === 0 ? 'undo' : 'redo']();
      return;
    default:
      return doc.transact(() => {
        text.applyDelta([{ retain: at }, { insert: word + word, attributes: format }]);
        text.delete(at, 1);
        text.insert(0, word);
      });
  }
}

/** A Y.Doc that holds the updates. */
export function docOf(updates: readonly Uint8Array[]): Y.Doc {
  const doc = new Y.Doc({ gc: true });
  for (const update of updates) Y.applyUpdate(doc, update);
  return doc;
}

/** Whether something of what it was given waits for what it lacks. */
export function hasPending(doc: Y.Doc): boolean {
  return doc.store.pendingStructs !== null || doc.store.pendingDs !== null;
}
