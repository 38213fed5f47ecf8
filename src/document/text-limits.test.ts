/**
 * How much text a block may hold: characters that show, counted as Yjs counts them, and bytes, before which room is made.
 */
import { describe, expect, test } from 'vitest';
import * as Y from 'yjs';
import { blockId, PAGE, ROOT, stampOf, userId } from '../../test/support/pages.ts';
import { docOf, editAtRandom } from '../../test/support/text-edits.ts';
import { randomBelow, seededRandom } from '../base/random.ts';
import { defaultLimits, type Limits } from '../protocol/limits.ts';
import { BlockText } from './block-text.ts';
import { BlocksModel } from './blocks-model.ts';
import { ClockRanges } from './clock-ranges.ts';
import { encodeOps, type Op, type OpDraft } from './ops.ts';
import { QueuedText } from './queued-text.ts';
import { scanTextUpdate, type TextShape } from './text-update.ts';

const shapeOf = (update: Uint8Array) => scanTextUpdate(update) as TextShape;
const shown = (text: BlockText) => text.clockSum - text.hidden.size;

describe('D50 the characters that show are counted exactly', () => {
  test('D50 in a text, whenever the count begins, through merging, restoring and rewriting', () => {
    for (let seed = 1; seed <= 40; seed++) {
      const random = seededRandom(seed);
      const log = editAtRandom(seed, 3, 60).map(({ update }) => update);
      let text = new BlockText();
      const countFrom = randomBelow(random, 60);
      log.forEach((update, i) => {
        text.append(update, shapeOf(update));
        if (i >= countFrom) expect(shown(text)).toBe(docOf(log.slice(0, i + 1)).getText('text').length);
        if (randomBelow(random, 8) === 0) text.merged();
        if (randomBelow(random, 8) === 0) text = new BlockText(text.merged());
      });
      expect(shown(text)).toBe(docOf(log).getText('text').length);
      const doc = docOf(log);
      expect(shown(new BlockText(Y.encodeStateAsUpdate(doc)))).toBe(doc.getText('text').length);
    }
  });

  test('D50 in a text with a queue over it, wherever the queue begins', () => {
    for (let seed = 100; seed <= 140; seed++) {
      const random = seededRandom(seed);
      const log = editAtRandom(seed, 3, 60).map(({ update }) => update);
      const from = randomBelow(random, log.length);
      const text = new BlockText();
      for (const update of log.slice(0, from)) text.append(update, shapeOf(update));
      const queued = new QueuedText();
      for (const update of log.slice(from)) {
        queued.push(shapeOf(update), update.length);
        if (randomBelow(random, 3) === 0) queued.showsMoreThan(5, text);
      }
      const { length } = docOf(log).getText('text');
      expect([queued.showsMoreThan(length, text), queued.showsMoreThan(length - 1, text)]).toEqual([false, true]);
    }
  }); // prettier-ignore

  test('D50 sets of ranges agree with sets of numbers', () => {
    const random = seededRandom(3);
    for (let round = 0; round < 200; round++) {
      const ranges = new ClockRanges();
      const numbers = new Set<number>();
      for (let i = 0; i < 30; i++) {
        const from = randomBelow(random, 60);
        const to = from + 1 + randomBelow(random, 8);
        const fresh: number[] = [];
        const expected: number[] = [];
        ranges.add(7, from, to, (_, start, end) => {
          for (let at = start; at < end; at++) fresh.push(at);
        });
        for (let at = from; at < to; at++) if (!numbers.has(at)) expected.push(at);
        for (const at of expected) numbers.add(at);
        expect(fresh).toEqual(expected);
        expect(ranges.size).toBe(numbers.size);
        const [low, high] = [randomBelow(random, 60), randomBelow(random, 70)];
        const within = [...numbers].filter((at) => at >= low && at < high).length;
        expect(ranges.covered(7, low, high)).toBe(within);
        expect(ranges.covered(8, low, high)).toBe(0);
      }
    }
  });
});

describe('limits of one block’s text', () => {
  const [ANN, A] = [userId('ann'), blockId(1)];
  let model: BlocksModel;
  let at = 0;
  const insert: OpDraft = { op: 'insert', block: A, parent: ROOT, key: 'a0', type: 'paragraph', props: {}, text: null }; // prettier-ignore

  function start(limits: Partial<Limits>): void {
    model = new BlocksModel(PAGE, { ...defaultLimits, ...limits });
    write([insert]);
  }
  const admit = (ops: Op[]) => model.admit(ops, stampOf(++at), ANN)?.code ?? 'ok';
  /** Let in and in the log at once; or what it was refused as. */
  function write(drafts: OpDraft[]): string {
    const ops = model.decode(encodeOps(drafts)) as Op[];
    const told = admit(ops);
    if (told === 'ok') model.apply(ops, stampOf(at), ANN);
    model.resetQueue([]);
    return told;
  }
  /** What is done to the document, as one text op. */
  function editor(client: number): (edit: (text: Y.Text) => void) => OpDraft {
    const doc = new Y.Doc();
    doc.clientID = client;
    return (edit) => {
      const before = Y.encodeStateVector(doc);
      let update: Uint8Array | undefined;
      doc.once('update', (bytes: Uint8Array) => (update = bytes));
      doc.transact(() => edit(doc.getText('text')));
      return { op: 'text', block: A, update: update ?? Y.encodeStateAsUpdate(doc, before) };
    };
  }

  test('D50 at the bound and past it; who makes room gets it, in the same change or before', () => {
    start({ textCharactersMax: 100 });
    const edit = editor(7);
    expect(write([edit((text) => text.insert(0, 'é'.repeat(100)))])).toBe('ok');
    const other = editor(8);
    expect(write([other((text) => text.insert(0, 'x'))])).toBe('too_large');
    expect(write([edit((text) => text.format(0, 50, { bold: true }))])).toBe('ok');
    expect(write([edit((text) => { text.delete(0, 30); text.insert(0, 'y'.repeat(30)); })])).toBe('ok'); // prettier-ignore
    expect(write([edit((text) => text.delete(0, 10))])).toBe('ok');
    expect(write([edit((text) => text.insert(5, 'z'.repeat(10)))])).toBe('ok');
    expect(write([editor(9)((text) => text.insert(0, 'x'))])).toBe('too_large');
  });

  test('D50 over state and queue', () => {
    start({ textCharactersMax: 10 });
    const edit = editor(7);
    const queue = (draft: OpDraft) => admit(model.decode(encodeOps([draft])) as Op[]);
    expect(write([edit((text) => text.insert(0, 'abcdef'))])).toBe('ok');
    expect(queue(edit((text) => text.insert(0, '1234')))).toBe('ok');
    expect(queue(edit((text) => text.delete(0, 6)))).toBe('ok');
    expect(queue(edit((text) => text.insert(0, '123456')))).toBe('ok');
    expect(queue(edit((text) => text.insert(0, '7')))).toBe('too_large');
  });

  test('D51 before its bytes are refused a text is rewritten; what shows stays, and the history is gone', () => {
    const bytesMax = 20_000;
    start({ textBytesMax: bytesMax });
    const edit = editor(7);
    let written = 0;
    for (let i = 0; i < 40; i++) {
      const draft = edit((text) => {
        text.delete(0, text.length);
        text.insert(0, `${i}`.repeat(1000));
      }) as OpDraft & { op: 'text' };
      written += draft.update.length;
      expect(write([draft])).toBe('ok');
    }
    expect(written).toBeGreaterThan(2 * bytesMax);
    const text = model.table.get(A)!.text!;
    expect(text.bytes).toBeLessThan(bytesMax);
    expect(docOf(text.updates).getText('text').toString()).toBe('39'.repeat(1000));
    expect(shown(text)).toBe(2000);
  });

  test('D51 a text that shows all that it holds is refused past its bytes, and can still be made smaller', () => {
    const bytesMax = 20_000;
    start({ textBytesMax: bytesMax });
    const edit = editor(7);
    let last = 'ok';
    for (let i = 0; last === 'ok'; i++) {
      expect(i).toBeLessThan(100);
      last = write([edit((text) => text.insert(0, 'k'.repeat(300)))]);
    }
    expect(last).toBe('too_large');
    const text = model.table.get(A)!.text!;
    expect(text.bytes).toBeGreaterThan(bytesMax - 400);
    // The refused piece is not there for those that follow: another session goes on.
    const copy = new Y.Doc();
    copy.clientID = 8;
    Y.applyUpdate(copy, text.merged()!);
    const updates: Uint8Array[] = [];
    copy.on('update', (update: Uint8Array) => updates.push(update));
    copy.getText('text').delete(0, 15_000);
    copy.getText('text').insert(0, 'k'.repeat(300));
    expect(updates.map((update) => write([{ op: 'text', block: A, update }]))).toEqual(['ok', 'ok']);
  });

  test('D51 refusals cost no rewriting: it is done again only for what was written since', () => {
    start({ textBytesMax: 20_000 });
    const edit = editor(7);
    expect(write([edit((text) => text.insert(0, 'k'.repeat(19_900)))])).toBe('ok');
    const before = model.table.get(A)!.text!;
    const draft = edit((text) => text.insert(0, 'x'.repeat(200)));
    expect(write([draft])).toBe('too_large');
    const held = before.updates[0];
    for (let i = 0; i < 10; i++) expect(write([draft])).toBe('too_large');
    expect(before.updates[0]).toBe(held);
  });
});
