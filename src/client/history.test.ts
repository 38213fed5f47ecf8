/**
 * Undo and redo: mine only, structure and text in one order. Two working copies and a log in memory; time is moved by
 * hand, since typing within half a second is one entry.
 */
import { describe, expect, it } from 'vitest';
import { seededRandom } from '../base/random.ts';
import type { Clock } from '../base/time.ts';
import { newId, type PageId, type ReplicaId, seq, type UserId } from '../protocol/ids.ts';
import { defaultLimits } from '../protocol/limits.ts';
import type { WireChange } from '../protocol/messages.ts';
import { viewOf } from './block-view.ts';
import { Editor } from './editing.ts';
import { WorkingCopy } from './working-copy.ts';

const PAGE = '01900000-0000-7000-8000-000000000001' as PageId;

function person(number: number) {
  const random = seededRandom(number);
  const clock = { time: 1000, now: () => 1000, monotonic: () => clock.time, after: () => ({ cancel() {} }) };
  const copy = new WorkingCopy({
    page: PAGE,
    replica: newId<ReplicaId>(1, random),
    clock: clock satisfies Clock,
    random,
    now: () => clock.time,
    limits: () => defaultLimits,
    locked: () => null,
    heeded: () => false,
    changed: () => {},
    rejected: () => {},
    settled: () => {},
    sealed: () => {},
  });
  const editor = new Editor(copy, random, () => 1);
  /** Ends the change, and lets time pass. */
  const pause = (ms = 1000) => {
    copy.seal();
    clock.time += ms;
  };
  return { copy, editor, pause, view: (id: string) => viewOf(copy, id as never)! };
}

/** Everything pending of one person goes into the log, and both hear it. */
function exchange(
  log: WireChange[],
  from: ReturnType<typeof person>,
  ...all: ReturnType<typeof person>[]
): void {
  from.copy.seal();
  const { outbox, id } = from.copy.replica;
  const at = log.length;
  for (let change = outbox.takeNext(); change; change = outbox.takeNext()) {
    const { n, stamp, body } = change;
    log.push({ replica: id, n, hlc: stamp, author: 'x' as UserId, at: 0, ops: body! });
  }
  for (const one of all) one.copy.receive(seq(at + 1), log.slice(at));
}

describe('undo', () => {
  it('K20 takes back structure, in order, and redoes it', () => {
    const { copy, editor, pause, view } = person(1);
    const a = editor.insert({ type: 'paragraph', props: { k: 1 } }, {});
    pause();
    const b = editor.insert({ type: 'paragraph' }, {});
    pause();
    editor.update(a, { k: 2, l: 3 }, 'quote');
    pause();
    editor.move(b, { parent: a });
    pause();
    copy.undo();
    expect(view(b).parent!.id).toBe(PAGE);
    copy.undo();
    expect([view(a).props, view(a).type]).toEqual([{ k: 1 }, 'paragraph']);
    copy.undo();
    expect(view(b).deleted).toBe(true);
    copy.redo();
    copy.redo();
    copy.redo();
    expect([view(b).parent!.id, view(a).props, copy.canRedo]).toEqual([a, { k: 2, l: 3 }, false]);
  });

  it('K21 joins what is typed within half a second, and nothing across another edit', () => {
    const { copy, editor, pause, view } = person(1);
    const id = editor.insert({ type: 'paragraph', text: 'a' }, {});
    pause();
    const text = copy.texts.open(id);
    text.insert(1, 'b');
    pause(100);
    text.insert(2, 'c');
    pause(100);
    editor.update(id, { k: 1 }, null);
    pause(100);
    text.insert(3, 'd');
    pause();
    text.insert(4, 'e');
    pause();
    const shown = () => [view(id).plainText, view(id).props['k']];
    const seen = [shown()];
    while (copy.undo()) seen.push(shown());
    expect(seen).toEqual([['abcde', 1], ['abcd', 1], ['abc', 1], ['abc', undefined], ['a', undefined], ['a', undefined]]); // prettier-ignore
    for (let i = 0; i < 5; i++) expect(copy.redo()).toBe(true);
    expect([shown(), view(id).deleted]).toEqual([['abcde', 1], false]);
  });

  it('K20 takes a transaction of text and structure back as one', () => {
    const { copy, editor, pause, view } = person(1);
    const a = editor.insert({ type: 'paragraph', text: 'one two' }, {});
    pause();
    let b = '';
    copy.transact(() => {
      copy.texts.open(a).delete(3, 4);
      b = editor.insert({ type: 'paragraph', text: 'two' }, { after: a });
    });
    copy.undo();
    expect([view(a).plainText, view(b).deleted]).toEqual(['one two', true]);
    copy.redo();
    expect([view(a).plainText, view(b).deleted]).toEqual(['one', false]);
  });

  it('K20 never touches what somebody else wrote later', () => {
    const [me, you] = [person(1), person(2)];
    const log: WireChange[] = [];
    const id = me.editor.insert({ type: 'paragraph', props: { mine: 1, shared: 1 }, text: 'ab' }, {});
    me.pause();
    me.editor.update(id, { mine: 2, shared: 2 }, null);
    me.pause();
    me.copy.texts.open(id).insert(1, 'MINE');
    exchange(log, me, me, you);
    you.pause(5000);
    you.editor.update(id, { shared: 3 }, null);
    you.copy.texts.open(id).insert(3, 'yours');
    exchange(log, you, me, you);
    me.copy.undo();
    expect(me.view(id).plainText).toBe('ayoursb');
    me.copy.undo();
    expect(me.view(id).props).toEqual({ mine: 1, shared: 3 });
    exchange(log, me, me, you);
    expect(you.view(id).props).toEqual({ mine: 1, shared: 3 });
    you.editor.setDeleted(id, true);
    exchange(log, you, me, you);
    expect(me.copy.undo()).toBe(false);
  });

  it('K20 empties redo at a new edit', () => {
    const { copy, editor, pause } = person(1);
    editor.insert({ type: 'paragraph' }, {});
    pause();
    copy.undo();
    expect(copy.canRedo).toBe(true);
    editor.insert({ type: 'paragraph' }, {});
    expect(copy.canRedo).toBe(false);
  });
});
