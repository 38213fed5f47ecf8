/**
 * Changes told before their commit, as a client takes them: shown, never counted as durable, confirmed by name, withdrawn.
 */
import * as Y from 'yjs';
import { describe, expect, it } from 'vitest';
import { marks, OTHER, PAGE, paragraph, settle, Stage, uuid } from '../../test/support/client-stage.ts';
import { encodeOps, type OpDraft } from '../document/ops.ts';
import { type BlockId, seq, type UserId } from '../protocol/ids.ts';
import { encodeSnapshot } from '../document/snapshot.ts';
import { ENCODING, type WireChange } from '../protocol/messages.ts';
import type { RejectedEvent } from './index.ts';

const BLOCK = uuid<BlockId>(101);

const change = (stage: Stage, n: number, ...drafts: OpDraft[]): WireChange => ({
  replica: OTHER, n, hlc: { ms: stage.clock.now() + n, counter: 0 }, author: 'ann' as UserId, at: 1, ops: encodeOps(drafts),
}); // prettier-ignore

const volatile = (stage: Stage, ...changes: WireChange[]) =>
  stage.say({ kind: 'changes', page: PAGE, firstSeq: seq(0), changes });
const names = (stage: Stage, first: number, ...ns: number[]) =>
  stage.say({
    kind: 'committed',
    page: PAGE,
    firstSeq: seq(first),
    changes: ns.map((n) => ({ replica: OTHER, n, hlc: { ms: stage.clock.now() + n, counter: 0 } })),
  });

function typed(text: string, client = 77): OpDraft {
  const doc = new Y.Doc();
  doc.clientID = client;
  doc.getText('text').insert(0, text);
  return { op: 'text', block: BLOCK, update: Y.encodeStateAsUpdate(doc) };
}

/** The connection is lost, and another node answers. */
async function moveOn(stage: Stage): Promise<void> {
  stage.peer.events.close(1006, '');
  await stage.clock.advance(1000);
  stage.peer.events.open();
  await stage.welcome();
}

describe('volatile changes', () => {
  it('K80 are shown and unsettled, not confirmed; named, they are', async () => {
    const stage = new Stage();
    const page = await stage.page();
    const settled: boolean[] = [];
    const seqs: (number | null)[] = [];
    page.on('settled', (is) => settled.push(is));
    page.on('change', ({ changes }) => seqs.push(...changes.map((one) => one.seq)));
    await volatile(stage, change(stage, 1, paragraph(1)));
    expect([marks(page), page.seq, page.settled, page.saved]).toEqual([[1], 0, false, true]);
    await names(stage, 1, 1);
    expect([marks(page), page.seq, page.settled]).toEqual([[1], 1, true]);
    expect([settled, seqs]).toEqual([
      [false, true],
      [null, 1],
    ]);
  });

  it('K80 my own among them are no acknowledgement', async () => {
    const stage = new Stage();
    const page = await stage.page();
    page.update(PAGE, { title: 'mine' });
    await settle();
    const { n, hlc, ops } = stage.last('change');
    const own = { replica: stage.client.replica, n, hlc, author: 'me' as UserId, at: 1, ops };
    await volatile(stage, own);
    expect([page.saved, page.settled, page.pendingChanges]).toEqual([false, true, 1]);
    await stage.say({
      kind: 'committed',
      page: PAGE,
      firstSeq: seq(1),
      changes: [{ replica: own.replica, n, hlc }],
    });
    expect([page.saved, page.seq, page.root.props['title']]).toEqual([true, 1, 'mine']);
  });

  it('C71 my own among them make room for more: a stall does not stop who writes', async () => {
    const stage = new Stage();
    const page = await stage.page();
    for (let i = 0; i < 100; i++) {
      page.update(PAGE, { i });
      await settle();
    }
    const sent = () => stage.all('change').length;
    const before = sent();
    expect(before).toBeLessThan(50);
    const own = stage.all('change').map(({ n, hlc, ops }) => ({ replica: stage.client.replica, n, hlc, author: 'me' as UserId, at: 1, ops }));
    await volatile(stage, ...own.slice(0, 10));
    expect(sent()).toBe(before + 10);
    await volatile(stage, ...own.slice(10));
    expect(sent()).toBe(2 * before);
    expect([page.saved, page.pendingChanges]).toEqual([false, 100]);
  }); // prettier-ignore

  it('K81 a name that is not known is asked for, once', async () => {
    const stage = new Stage();
    const page = await stage.page();
    await volatile(stage, change(stage, 1, paragraph(1)));
    await names(stage, 1, 1, 2, 3);
    await names(stage, 4, 4);
    expect(page.seq).toBe(1);
    expect(stage.all('sync').map(({ since }) => since)).toEqual([1]);
    for (let n = 1; n <= 4; n++) stage.foreign(paragraph(n));
    await stage.tell(2, 3);
    expect(stage.all('sync')).toHaveLength(1);
    await stage.tell(4);
    expect([page.seq, marks(page), stage.all('sync').length]).toEqual([4, [1, 2, 3, 4], 1]);
    expect(page.live).toBe(true);
  });

  it('K81 a name with another stamp is another change: it is asked for, and what was shown goes', async () => {
    const stage = new Stage();
    const page = await stage.page();
    const refused = change(stage, 1, paragraph(1));
    await volatile(stage, { ...refused, hlc: { ms: refused.hlc.ms - 1, counter: 0 } });
    stage.foreign(paragraph(2));
    await names(stage, 1, 1);
    expect([page.seq, stage.all('sync').length]).toEqual([0, 1]);
    await stage.tell(1);
    expect([page.seq, marks(page), page.settled]).toEqual([1, [2], true]);
  });

  it('K81 CHANGES may bring them as well', async () => {
    const stage = new Stage();
    const page = await stage.page();
    const told = change(stage, 1, paragraph(1));
    await volatile(stage, told);
    await stage.say({ kind: 'changes', page: PAGE, firstSeq: seq(1), changes: [told] });
    expect([page.seq, page.settled, marks(page)]).toEqual([1, true, [1]]);
  });

  it('K82 withdrawn, they leave the view and the live texts', async () => {
    const stage = new Stage();
    const page = await stage.page();
    stage.foreign(paragraph(1));
    await stage.tell(1);
    const text = page.text(BLOCK);
    await volatile(stage, change(stage, 2, typed('not yet stored')), change(stage, 3, paragraph(2)));
    expect([text.toString(), marks(page)]).toEqual(['not yet stored', [1, 2]]);
    await names(stage, 0, 2, 3);
    expect([page.text(BLOCK).toString(), marks(page), page.settled]).toEqual(['', [1], true]);
    expect(page.block(BLOCK)!.text).toEqual([]);
  });

  it('K82 a withdrawn deletion brings the text back', async () => {
    const stage = new Stage();
    const page = await stage.page();
    const doc = new Y.Doc();
    doc.getText('text').insert(0, 'long words');
    const written = Y.encodeStateAsUpdate(doc);
    stage.foreign(paragraph(1));
    stage.foreign({ op: 'text', block: BLOCK, update: written });
    await stage.tell(1, 2);
    const text = page.text(BLOCK);
    const before = Y.encodeStateVector(doc);
    doc.getText('text').delete(0, 2);
    const update = Y.encodeStateAsUpdate(doc, before);
    await volatile(stage, change(stage, 3, { op: 'text', block: BLOCK, update }));
    expect(text.toString()).toBe('ng words');
    await names(stage, 0, 3);
    expect([page.text(BLOCK).toString(), page.block(BLOCK)!.plainText]).toEqual(['long words', 'long words']);
  });

  it('K82 what I typed into a withdrawn text comes back when it is refused', async () => {
    const stage = new Stage();
    const page = await stage.page();
    const rejected: RejectedEvent[] = [];
    page.on('rejected', (event) => rejected.push(event));
    stage.foreign(paragraph(1));
    await stage.tell(1);
    await volatile(stage, change(stage, 2, typed('abc')));
    page.text(BLOCK).insert(3, 'd');
    await settle();
    expect(stage.all('change')).toHaveLength(1);
    await names(stage, 0, 2);
    await stage.reject(1, 'missing');
    expect([page.text(BLOCK).toString(), page.pendingChanges]).toEqual(['', 0]);
    expect(rejected.map(({ code, ops }) => [code, ops.length])).toEqual([['missing', 1]]);
  });

  it('K82 what I typed into text that another node has told waits a while for that text to come', async () => {
    const stage = new Stage();
    const page = await stage.page();
    const rejected: RejectedEvent[] = [];
    page.on('rejected', (event) => rejected.push(event));
    stage.foreign(paragraph(1));
    await stage.tell(1);
    await volatile(stage, change(stage, 2, typed('abc')));
    page.text(BLOCK).insert(3, 'd');
    await settle();
    await moveOn(stage);
    await stage.subscribed({ head: seq(1) });
    await stage.reject(1, 'missing');
    expect([rejected, page.pendingChanges]).toEqual([[], 1]);
    await stage.clock.advance(21_000);
    await stage.subscribed({ head: seq(1) });
    await stage.reject(1, 'missing');
    expect([rejected.map(({ code }) => code), page.pendingChanges]).toEqual([['missing'], 0]);
  });

  it('K82 what I did in a block that another node has told waits a while for that block to come', async () => {
    const stage = new Stage();
    const page = await stage.page();
    await volatile(stage, change(stage, 1, paragraph(1)));
    page.update(PAGE, { title: 'mine' });
    await settle();
    page.text(BLOCK).insert(0, 'words');
    await settle();
    await moveOn(stage);
    await stage.subscribed();
    const sent = () => stage.all('change').map(({ n }) => n);
    // What stands on its own goes, the other is kept, however long it takes; and goes when its block is there.
    expect(sent()).toEqual([1]);
    await stage.clock.advance(5000);
    expect([sent(), page.pendingChanges]).toEqual([[1], 2]);
    stage.foreign(paragraph(1));
    await stage.tell(1);
    await stage.clock.advance(1000);
    expect([sent(), page.text(BLOCK).toString()]).toEqual([[1, 2], 'words']);
  });

  it('K82 mine, withdrawn while it is with the server: the page is subscribed to anew', async () => {
    const stage = new Stage();
    const page = await stage.page();
    page.update(PAGE, { title: 'mine' });
    await settle();
    const name = { replica: stage.client.replica, n: 1, hlc: stage.last('change').hlc };
    await stage.say({ kind: 'committed', page: PAGE, firstSeq: seq(0), changes: [name] });
    await stage.clock.advance(1);
    await stage.subscribed();
    expect([stage.all('subscribe').length, stage.all('change').map(({ n }) => n)]).toEqual([2, [1, 1]]);
  });

  it('K86 another change of mine under the number of a pending one: it goes out again behind it', async () => {
    const stage = new Stage();
    const page = await stage.page();
    for (const title of ['one', 'two']) {
      page.update(PAGE, { [title]: 1 });
      await settle();
    }
    const hlc = { ms: stage.clock.now() - 1, counter: 0 };
    const ops = encodeOps([{ op: 'update', block: BLOCK, props: { refused: 1 }, type: null }]);
    stage.log.push({ replica: stage.client.replica, n: 1, hlc, author: 'me' as UserId, at: 1, ops });
    await stage.tell(1);
    expect([page.pendingChanges, page.saved]).toEqual([2, false]);
    await stage.clock.advance(1);
    await stage.subscribed({ lastN: 1 });
    expect(stage.all('change').map(({ n }) => n)).toEqual([1, 2, 2, 3]);
    stage.take(2, 3);
    await stage.tell(2);
    expect([page.pendingChanges, page.root.props]).toEqual([0, { one: 1, two: 1 }]);
  });

  it('K121 K122 one of mine that went out under another number is confirmed where the log has it; the rest goes out on a new subscription', async () => {
    const stage = new Stage();
    const page = await stage.page();
    const confirmed: (number | null)[] = [];
    page.on('confirmed', ({ seq: at }) => confirmed.push(at));
    for (const title of ['one', 'two', 'three']) {
      page.update(PAGE, { [title]: 1 });
      await settle();
    }
    const [one, two, three] = stage.all('change');
    const { hlc, ops } = two!;
    stage.log.push({ replica: stage.client.replica, n: 1, hlc, author: 'me' as UserId, at: 1, ops });
    await stage.tell(1);
    expect([page.pendingChanges, confirmed, page.root.props]).toEqual([2, [1], { one: 1, two: 1, three: 1 }]);
    // An edit of now waits for the answer too.
    page.update(PAGE, { four: 1 });
    await stage.clock.advance(1);
    expect([page.live, stage.all('subscribe').length, stage.all('change').length]).toEqual([false, 2, 3]);
    await stage.subscribed({ lastN: 1 });
    const sent = stage.all('change').slice(3);
    expect(sent.map(({ n }) => n)).toEqual([2, 3, 4]);
    expect(sent.slice(0, 2).map((change) => change.ops)).toEqual([one!.ops, three!.ops]);
    stage.take(2, 4);
    await stage.tell(2);
    expect([page.pendingChanges, confirmed, page.root.props]).toEqual([0, [1, 2, 3, 4], { one: 1, two: 1, three: 1, four: 1 }]);
  }); // prettier-ignore

  it('K121 one of mine that a refusal has rewritten is confirmed where the log has it as it was first sent', async () => {
    const stage = new Stage();
    const page = await stage.page();
    stage.foreign(paragraph(1));
    await stage.tell(1);
    const text = page.text(BLOCK);
    text.insert(0, 'a');
    await settle();
    page.transact(() => {
      text.insert(1, 'b');
      page.update(PAGE, { kept: 1 });
    });
    await settle();
    await stage.reject(1, 'too_large');
    expect([page.pendingChanges, page.text(BLOCK).toString()]).toEqual([1, 'b']);
    // The node of before has both, and stores them.
    const [first, second] = stage.all('change');
    for (const { n, hlc, ops } of [first!, second!])
      stage.log.push({ replica: stage.client.replica, n, hlc, author: 'me' as UserId, at: 1, ops });
    await stage.clock.advance(1);
    await stage.subscribed();
    await stage.tell(2);
    expect([page.pendingChanges, page.text(BLOCK).toString(), page.root.props]).toEqual([0, 'ab', { kept: 1 }]);
    const sent = stage.all('change').length;
    await stage.clock.advance(1);
    await stage.subscribed({ lastN: 2 });
    expect([page.saved, stage.all('change').length]).toEqual([true, sent]);
  }); // prettier-ignore

  it('K86 one that was never sent under its number is not among those that SUBSCRIBED says the log has', async () => {
    const stage = new Stage();
    const page = await stage.page();
    page.update(PAGE, { refused: 1 });
    await settle();
    page.update(PAGE, { kept: 1 });
    await settle();
    await stage.reject(1, 'too_large');
    // Its number is the refused one's now; and before it is sent again, the node before has stored that.
    stage.peer.events.close(1006, '');
    stage.foreign({ op: 'update', block: BLOCK, props: {}, type: null });
    await stage.clock.advance(1000);
    await stage.welcome();
    const { ch } = stage.last('subscribe');
    await stage.subscribed({ head: seq(1), lastN: 1 });
    const snapshot = { kind: 'snapshot', ch, seq: seq(1), encoding: ENCODING.plain, part: 0, parts: 1, bytes: encodeSnapshot(stage.fold()) } as const;
    await stage.say(snapshot);
    expect([page.live, page.saved, stage.all('change').map(({ n }) => n)]).toEqual([true, false, [2]]);
  }); // prettier-ignore

  it.each([3, 2])('K123 what a snapshot holds is told by the stamp of my last, whatever its number is by now (%i stored)', async (stored) => {
    const stage = new Stage();
    const page = await stage.page();
    for (const title of ['refused', 'one', 'two', 'three']) {
      page.update(PAGE, { [title]: 1 });
      await settle();
    }
    const before = stage.all('change');
    await stage.reject(1, 'too_large');
    await stage.clock.advance(1);
    await stage.subscribed();
    expect(stage.all('change').map(({ n }) => n)).toEqual([1, 2, 3, 4, 1, 2, 3]);
    stage.peer.events.close(1006, '');
    // The node before has stored the first of them as they were.
    for (const { n, hlc, ops } of before.slice(0, stored))
      stage.log.push({ replica: stage.client.replica, n, hlc, author: 'me' as UserId, at: 1, ops });
    await stage.clock.advance(1000);
    await stage.welcome();
    const { ch } = stage.last('subscribe');
    await stage.subscribed({ head: seq(stored), lastN: stored, lastHlc: before[stored - 1]!.hlc });
    const snapshot = { kind: 'snapshot', ch, seq: seq(stored), encoding: ENCODING.plain, part: 0, parts: 1, bytes: encodeSnapshot(stage.fold()) } as const;
    await stage.say(snapshot);
    const left = before.slice(stored);
    expect(stage.all('change').map(({ n, ops }) => [n, ops])).toEqual(left.map(({ ops }, i) => [stored + 1 + i, ops]));
    expect([page.pendingChanges, page.root.props]).toEqual([left.length, { refused: 1, one: 1, two: 1, three: 1 }]);
  }); // prettier-ignore

  it('K85 text that a snapshot confirms and does not hold is handed back', async () => {
    const stage = new Stage();
    const page = await stage.page();
    const rejected: RejectedEvent[] = [];
    page.on('rejected', (event) => rejected.push(event));
    stage.foreign(paragraph(1));
    await stage.tell(1);
    page.text(BLOCK).insert(0, 'mine');
    await settle();
    stage.peer.events.close(1006, 'gone');
    await stage.clock.advance(20_000);
    await stage.welcome();
    await stage.subscribed({ head: seq(2), lastN: 1 });
    const bytes = encodeSnapshot(stage.fold());
    const { ch } = stage.last('subscribe');
    await stage.say({
      kind: 'snapshot',
      ch,
      seq: seq(2),
      encoding: ENCODING.plain,
      part: 0,
      parts: 1,
      bytes,
    });
    await settle();
    expect([page.seq, page.saved, page.text(BLOCK).toString()]).toEqual([2, true, '']);
    expect(rejected.map(({ code, ops }) => [code, ops.length])).toEqual([['missing', 1]]);
  });

  it('K83 a new subscription empties them; a live text that held them is replaced', async () => {
    const stage = new Stage();
    const page = await stage.page();
    stage.foreign(paragraph(1));
    await stage.tell(1);
    page.text(BLOCK);
    await volatile(stage, change(stage, 2, typed('lost with its node')), change(stage, 3, paragraph(2)));
    stage.peer.events.close(1006, 'gone');
    await stage.clock.advance(20_000);
    await stage.welcome();
    expect(marks(page)).toEqual([1, 2]);
    await stage.subscribed();
    expect([marks(page), page.settled]).toEqual([[1], true]);
    await stage.clock.advance(1000);
    expect(page.text(BLOCK).toString()).toBe('');
    await volatile(stage, change(stage, 3, paragraph(2)));
    expect([marks(page), page.settled]).toEqual([[1, 2], false]);
  });

  it('K84 an edit made after seeing one is stamped above it', async () => {
    const stage = new Stage();
    const page = await stage.page();
    const ahead = { ...change(stage, 1, paragraph(1)), hlc: { ms: stage.clock.now() + 30_000, counter: 5 } };
    await volatile(stage, ahead);
    page.update(BLOCK, { n: 9 });
    await settle();
    expect(stage.last('change').hlc).toEqual({ ms: ahead.hlc.ms, counter: 6 });
    expect(marks(page)).toEqual([9]);
  });
});
