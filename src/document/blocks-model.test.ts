/**
 * What the server lets into a page's queue: limits at the bound and past it, text without gaps, owners of Yjs client
 * ids. Every check looks at the state and at the queue.
 */
import { beforeEach, describe, expect, test } from 'vitest';
import * as Y from 'yjs';
import { blockId, PAGE, ROOT, stampOf, userId } from '../../test/support/pages.ts';
import type { JsonValue } from '../base/json.ts';
import type { BlockId } from '../protocol/ids.ts';
import { defaultLimits, type Limits } from '../protocol/limits.ts';
import { MsgpackWriter } from '../protocol/msgpack-writer.ts';
import { BlocksModel } from './blocks-model.ts';
import type { QueuedOps } from './model.ts';
import { encodeOps, type Op, type OpDraft } from './ops.ts';

const [ANN, BOB] = [userId('ann'), userId('bob')];
const [A, B] = [blockId(1), blockId(2)];

let model: BlocksModel;
let at: number;
let queued: QueuedOps<Op[]>[];

function start(limits: Partial<Limits> = {}): void {
  model = new BlocksModel(PAGE, { ...defaultLimits, ...limits });
  at = 0;
  queued = [];
}
beforeEach(() => start());

const decode = (drafts: OpDraft[]) => model.decode(encodeOps(drafts)) as Op[];

/** Offers a change as the actor does: kept in the queue when it is let in. */
function offer(drafts: OpDraft[], author = ANN): string {
  const decoded = decode(drafts);
  const stamp = stampOf(++at);
  const refusal = model.admit(decoded, stamp, author);
  if (!refusal) queued.push({ decoded, stamp, author });
  return refusal?.code ?? 'ok';
}

/** The first `count` queued changes are in the log. */
function commit(count = queued.length) {
  const notices = queued.splice(0, count).map(({ decoded, stamp, author }) => model.apply(decoded, stamp, author));
  model.resetQueue(queued);
  return notices.flat().map(({ opIndex, code }) => [opIndex, code]);
} // prettier-ignore

const insert = (block: BlockId, parent = ROOT, text: Uint8Array | null = null, props = {}): OpDraft => ({
  op: 'insert',
  block,
  parent,
  key: 'a0',
  type: 'paragraph',
  props,
  text,
});
const update = (block: BlockId, props: { [key: string]: JsonValue }): OpDraft => ({
  op: 'update',
  block,
  props,
  type: null,
});
const move = (block: BlockId, parent: BlockId): OpDraft => ({ op: 'move', block, parent, key: 'a1' });
const text = (block: BlockId, bytes: Uint8Array): OpDraft => ({ op: 'text', block, update: bytes });
/** A string that takes `bytes` on the wire as the prop `x`, from 256 bytes on. */
const ofBytes = (bytes: number) => 'v'.repeat(bytes - 3 - 2);

/** One update for each keystroke of a person who types at the end. */
function keystrokes(client: number, count: number, characters = 1): Uint8Array[] {
  const doc = new Y.Doc();
  doc.clientID = client;
  const updates: Uint8Array[] = [];
  doc.on('update', (bytes: Uint8Array) => updates.push(bytes));
  for (let i = 0; i < count; i++) doc.getText('text').insert(i * characters, 'k'.repeat(characters));
  return updates;
}

describe('shape', () => {
  test('D30 no ops, too many ops, unknown ops and the server’s own op are refused', () => {
    start({ opsPerChangeMax: 2 });
    expect(offer([])).toBe('malformed');
    expect(offer([insert(A), insert(B)])).toBe('ok');
    expect(offer([update(A, {}), update(A, {}), update(A, {})])).toBe('too_large');
    expect(offer([{ op: 'purge', blocks: [A] }])).toBe('unsupported');
    const unknown = model.decode(new MsgpackWriter().array(1).array(2).int(99).id(A).take()) as Op[];
    expect(model.admit(unknown, stampOf(1), ANN)?.code).toBe('unsupported');
    expect(model.apply(unknown, stampOf(1), ANN)).toEqual([]);
  });

  test('D37 ops without effect are let in, and their sender is told', () => {
    expect(offer([insert(A), insert(A), move(A, A), update(B, { x: 1 }), insert(blockId(9), B)])).toBe('ok');
    expect(commit()).toEqual([[1, 'exists'], [2, 'cycle'], [3, 'gone'], [4, 'gone']]); // prettier-ignore
  });
});

describe('the number of blocks', () => {
  test('D31 at the bound and past it, over state and queue', () => {
    start({ blocksMax: 4 });
    expect(offer([insert(blockId(1))])).toBe('ok');
    commit();
    expect(offer([insert(blockId(2))])).toBe('ok');
    expect(offer([insert(blockId(3)), insert(blockId(4))])).toBe('too_large');
    expect(offer([insert(blockId(3))])).toBe('ok');
    expect(offer([insert(blockId(4))])).toBe('too_large');
    commit();
    expect(model.table.size).toBe(4);
    expect(offer([insert(blockId(4))])).toBe('too_large');
  });
});

describe('depth', () => {
  beforeEach(() => start({ depthMax: 4 }));
  const chain = (from: number, length: number, parent = ROOT) =>
    Array.from({ length }, (_, i) => insert(blockId(from + i), i === 0 ? parent : blockId(from + i - 1)));

  test('D32 inserts at the bound and past it, in one change and over state and queue', () => {
    expect(offer(chain(1, 5))).toBe('too_large');
    expect(offer(chain(1, 4))).toBe('ok');
    expect(offer([insert(blockId(9), blockId(4))])).toBe('too_large');
    commit();
    expect(offer([insert(blockId(9), blockId(4))])).toBe('too_large');
    expect(offer([insert(blockId(9), blockId(3))])).toBe('ok');
  });

  test('D32 moves count what hangs below the block', () => {
    expect(offer([...chain(1, 3), ...chain(11, 2)])).toBe('ok');
    commit();
    expect(offer([move(blockId(11), blockId(3))])).toBe('too_large');
    expect(offer([move(blockId(11), blockId(2))])).toBe('ok');
    expect(offer([move(blockId(12), blockId(3))])).toBe('ok');
  });

  test('D32 moves in the queue count: two that go past it together are not both let in', () => {
    start({ depthMax: 4 });
    expect(offer([...chain(1, 2), ...chain(11, 2), ...chain(21, 2)])).toBe('ok');
    commit();
    expect([offer([move(blockId(11), blockId(2))]), offer([move(blockId(21), blockId(12))])]).toEqual(['ok', 'too_large']);
    expect(commit()).toEqual([]);
  }); // prettier-ignore

  test('D52 blocks that one change takes deeper: at the bound and past it, over all its moves', () => {
    start({ movedBlocksMax: 6 });
    // 1 and 2 with two blocks below each, and 3 to go under.
    const family = [insert(blockId(1)), insert(blockId(2)), insert(blockId(3))];
    for (const n of [4, 5]) family.push(insert(blockId(n), blockId(1)), insert(blockId(n + 2), blockId(2)));
    expect(offer(family)).toBe('ok');
    commit();
    expect(offer([insert(blockId(8), blockId(1)), move(blockId(1), blockId(3)), move(blockId(2), blockId(3))])).toBe('too_large');
    expect(offer([move(blockId(1), blockId(3)), move(blockId(2), blockId(3))])).toBe('ok');
    commit();
    // What gets no deeper is not counted.
    start({ movedBlocksMax: 1 });
    expect(offer([...family])).toBe('ok');
    expect(offer([move(blockId(1), ROOT), move(blockId(2), ROOT), move(blockId(4), ROOT)])).toBe('ok');
    expect(offer([move(blockId(1), blockId(3))])).toBe('too_large');
    expect(offer([move(blockId(4), blockId(3))])).toBe('ok');
  }); // prettier-ignore

  test('D32 chains that are inserted and hung below each other in one change stay within it', () => {
    start({ depthMax: 8 });
    expect(offer(chain(1, 6))).toBe('ok');
    expect(offer([...chain(11, 6), move(blockId(11), blockId(6))])).toBe('too_large');
    commit();
    expect(offer([...chain(21, 6), move(blockId(21), blockId(6))])).toBe('too_large');
    expect(offer([...chain(31, 2), move(blockId(31), blockId(6))])).toBe('ok');
  });
  // prettier-ignore
});

describe('the bytes of props', () => {
  beforeEach(() => {
    start({ propsBytesMax: 1000 });
    offer([insert(A)]);
    commit();
  });

  test('D33 at the bound and past it', () => {
    expect(offer([update(A, { x: ofBytes(1001) })])).toBe('too_large');
    expect(offer([update(A, { x: ofBytes(1000) })])).toBe('ok');
    commit();
    expect(model.table.get(A)!.propsBytes).toBe(1000);
    expect(offer([update(A, { y: 1 })])).toBe('too_large');
    expect(offer([insert(B, ROOT, null, { x: ofBytes(1001) })])).toBe('too_large');
    expect(offer([insert(B, ROOT, null, { x: ofBytes(1000) })])).toBe('ok');
  });

  test('D33 queued writes count, overwriting ones once', () => {
    expect(offer([update(A, { x: ofBytes(600) })])).toBe('ok');
    expect(offer([update(A, { y: ofBytes(600) })])).toBe('too_large');
    for (let i = 0; i < 20; i++) expect(offer([update(A, { x: ofBytes(900 + i) })])).toBe('ok');
    expect(offer([update(A, { y: 1 })])).toBe('ok');
  });

  test('D33 removing a prop many times makes no room for more than the bound', () => {
    offer([update(A, { x: ofBytes(1000) })]);
    commit();
    const removals = Array.from({ length: 10 }, () => update(A, { x: null }));
    expect(offer([...removals, update(A, { y: ofBytes(2000) })])).toBe('too_large');
    expect(offer([...removals, update(A, { y: ofBytes(990) })])).toBe('ok');
    commit();
    expect(model.table.get(A)!.propsBytes).toBeLessThanOrEqual(1000);
  });

  test('D33 a block past a bound that was lowered can still be made smaller', () => {
    offer([update(A, { x: ofBytes(900), y: ofBytes(99 + 1) })]);
    commit();
    const stored = { snapshot: model.encodeSnapshot(), private: model.encodePrivate() };
    model = new BlocksModel(PAGE, { ...defaultLimits, propsBytesMax: 500 }, stored);
    expect(offer([update(A, { x: ofBytes(901) })])).toBe('too_large');
    expect(offer([update(A, { x: ofBytes(800) })])).toBe('ok');
  });
});

describe('text', () => {
  test('D35 of three keystrokes with the middle one refused, the third is refused too', () => {
    offer([insert(A)]);
    commit();
    const [first, second, third] = keystrokes(7, 3) as [Uint8Array, Uint8Array, Uint8Array];
    expect(offer([text(A, first)])).toBe('ok');
    // Refused for another op of its change.
    expect(offer([text(A, second), { op: 'purge', blocks: [A] }])).toBe('unsupported');
    expect(offer([text(A, third)])).toBe('missing');
    commit();
    expect(offer([text(A, third)])).toBe('missing');
    expect(offer([text(A, second)])).toBe('ok');
    expect(offer([text(A, third)])).toBe('ok');
    expect(commit()).toEqual([]);
    expect(model.table.get(A)!.text!.clockOf(7)).toBe(3);
  });

  test('D35 goes on from the text of an insert, in the queue and in the log', () => {
    const keys = keystrokes(7, 4);
    expect(offer([insert(A, ROOT, keys[0]!), text(A, keys[1]!)])).toBe('ok');
    expect(offer([text(A, keys[2]!)])).toBe('ok');
    commit(1);
    expect(offer([text(A, keys[3]!)])).toBe('ok');
    expect(commit()).toEqual([]);
  });

  test('D35 text for one block does not continue that of another', () => {
    offer([insert(A), insert(B)]);
    const keys = keystrokes(7, 2);
    expect(offer([text(A, keys[0]!)])).toBe('ok');
    expect(offer([text(B, keys[1]!)])).toBe('missing');
  });

  test('D35 needs what others wrote: origins and deletions', () => {
    const ann = new Y.Doc();
    ann.clientID = 7;
    ann.getText('text').insert(0, 'abc');
    const first = Y.encodeStateAsUpdate(ann);
    const bob = new Y.Doc();
    bob.clientID = 8;
    Y.applyUpdate(bob, first);
    const edits: Uint8Array[] = [];
    bob.on('update', (bytes: Uint8Array) => edits.push(bytes));
    bob.getText('text').insert(1, 'x');
    bob.getText('text').delete(0, 1);
    offer([insert(A)]);
    for (const edit of edits) expect(offer([text(A, edit)], BOB)).toBe('missing');
    expect(offer([text(A, first)])).toBe('ok');
    for (const edit of edits) expect(offer([text(A, edit)], BOB)).toBe('ok');
    expect(commit()).toEqual([]);
  });

  test('D34 its bytes: at the bound and past it, over state and queue', () => {
    const keys = keystrokes(7, 3, 100);
    const bytes = keys.map((key) => key.length);
    start({ textBytesMax: bytes[0]! + bytes[1]! });
    expect(offer([insert(A, ROOT, keys[0]!)])).toBe('ok');
    expect(offer([text(A, keys[1]!), text(A, keys[2]!)])).toBe('too_large');
    expect(offer([text(A, keys[1]!)])).toBe('ok');
    expect(offer([text(A, keys[2]!)])).toBe('too_large');
    commit();
    expect(offer([text(A, keys[2]!)])).toBe('too_large');
    start({ textBytesMax: bytes[0]! - 1 });
    expect(offer([insert(A, ROOT, keys[0]!)])).toBe('too_large');
  });

  test('D35 an insert that will have no effect lets no text continue it', () => {
    const keys = keystrokes(7, 3);
    expect(offer([insert(A)])).toBe('ok');
    expect(offer([insert(A, ROOT, keys[0]!)])).toBe('ok');
    expect(offer([text(A, keys[1]!)])).toBe('missing');
    expect(commit()).toEqual([[0, 'exists']]);
    expect(offer([insert(A, ROOT, keys[0]!)])).toBe('ok');
    expect(offer([text(A, keys[1]!)])).toBe('missing');
    expect(commit()).toEqual([[0, 'exists']]);
    expect(model.table.get(A)!.text).toBeNull();
  });

  test('D37 of a block that is nowhere has no effect, whatever it builds upon', () => {
    expect(offer([text(A, keystrokes(7, 2)[1]!)])).toBe('ok');
    expect(commit()).toEqual([[0, 'gone']]);
  });
});

describe('Yjs client ids', () => {
  const keys = keystrokes(7, 3);

  test('D36 belong to who wrote first under them, in the queue, in the log and after a restart', () => {
    expect(offer([insert(A), insert(B)])).toBe('ok');
    expect(offer([text(A, keys[0]!)])).toBe('ok');
    expect(offer([text(A, keys[1]!)], BOB)).toBe('not_yours');
    expect(offer([text(B, keys[0]!)], BOB)).toBe('not_yours');
    commit();
    expect(offer([text(A, keys[1]!)], BOB)).toBe('not_yours');
    expect(offer([insert(blockId(3), ROOT, keys[0]!)], BOB)).toBe('not_yours');
    const stored = { snapshot: model.encodeSnapshot(), private: model.encodePrivate() };
    model = new BlocksModel(PAGE, defaultLimits, stored);
    expect(offer([text(A, keys[1]!)], BOB)).toBe('not_yours');
    expect(offer([text(A, keys[1]!)], ANN)).toBe('ok');
  });

  test('D36 what only deletes needs none', () => {
    const doc = new Y.Doc();
    Y.applyUpdate(doc, keys[0]!);
    const edits: Uint8Array[] = [];
    doc.on('update', (bytes: Uint8Array) => edits.push(bytes));
    doc.getText('text').delete(0, 1);
    offer([insert(A, ROOT, keys[0]!)]);
    expect(offer([text(A, edits[0]!)], BOB)).toBe('ok');
    expect(offer([text(A, keys[1]!)], ANN)).toBe('ok');
  });

  test('D36 a refused change takes no id', () => {
    offer([insert(A)]);
    expect(offer([text(A, keys[0]!), { op: 'purge', blocks: [A] }], BOB)).toBe('unsupported');
    expect(offer([text(A, keys[0]!)], ANN)).toBe('ok');
  });
});

describe('housekeeping', () => {
  const DAY_MS = 86_400_000;

  test('D39 purges what has been deleted for longer than it can be restored, and nothing else', () => {
    start({ tombstoneDays: 30 });
    const [old, fresh, below] = [blockId(1), blockId(2), blockId(3)];
    const at = (ms: number, drafts: OpDraft[]) => model.apply(decode(drafts), stampOf(ms), ANN);
    at(1, [insert(old), insert(fresh), insert(below, old), insert(blockId(4))]);
    expect(model.dueHousekeeping(100 * DAY_MS)).toBeUndefined();
    at(10 * DAY_MS, [{ op: 'delete', block: old }]);
    at(20 * DAY_MS, [{ op: 'delete', block: fresh }]);
    expect(model.dueHousekeeping(40 * DAY_MS)).toBeUndefined();
    const body = model.dueHousekeeping(40 * DAY_MS + 1)!;
    expect(body).toEqual(encodeOps([{ op: 'purge', blocks: [old] }]));
    expect(model.apply(model.decode(body) as Op[], stampOf(41 * DAY_MS), ANN)).toEqual([]);
    expect([old, below, fresh].map((id) => model.table.get(id) !== undefined)).toEqual([false, false, true]);
    expect(model.dueHousekeeping(41 * DAY_MS)).toBeUndefined();
  });

  test('D39 a block restored before the purge stays', () => {
    start({ tombstoneDays: 30 });
    model.apply(decode([insert(A), { op: 'delete', block: A }]), stampOf(1), ANN);
    const body = model.dueHousekeeping(31 * DAY_MS)!;
    model.apply(decode([{ op: 'restore', block: A }]), stampOf(2), ANN);
    model.apply(model.decode(body) as Op[], stampOf(31 * DAY_MS), ANN);
    expect(model.table.get(A)!.deleted).toBe(false);
  });
});

test('D38 a refusal leaves nothing behind: the same changes are let in as without it', () => {
  start({ blocksMax: 5, propsBytesMax: 1000, textBytesMax: 60 });
  const keys = keystrokes(7, 3);
  expect(offer([insert(A, ROOT, keys[0]!)])).toBe('ok');
  for (let i = 0; i < 20; i++) {
    const greedy = [insert(B), insert(blockId(3), B), text(A, keys[1]!), update(A, { x: ofBytes(900) })];
    expect(offer([...greedy, { op: 'purge', blocks: [] }], ANN)).toBe('unsupported');
  }
  expect(offer([insert(B), insert(blockId(3), B), update(A, { y: ofBytes(900) })])).toBe('ok');
  expect(offer([text(A, keys[1]!)])).toBe('ok');
  expect(commit()).toEqual([]);
});

test('C19 what is queued is counted whole, though others have filled the page meanwhile: what builds on it has its ground', () => {
  const [mine, theirs] = [keystrokes(7, 3, 20), keystrokes(8, 1, 60)[0]!];
  start({ textBytesMax: 150, blocksMax: 4, depthMax: 2 });
  offer([insert(A)]);
  commit();
  const deeper = blockId(5);
  expect(offer([text(A, mine[0]!), insert(B, A, mine[0]!), move(B, ROOT), text(B, mine[1]!)])).toBe('ok');
  for (const key of mine.slice(1)) expect(offer([text(A, key)])).toBe('ok');
  // Another node's changes come first: they take the room.
  const others = decode([text(A, theirs), insert(blockId(3)), insert(deeper, blockId(3)), move(A, deeper)]);
  model.apply(others, stampOf(1000), BOB);
  model.resetQueue([]);
  expect(queued.map(({ decoded, stamp, author }) => model.lay(decoded, stamp, author))).toEqual([undefined, undefined, undefined]);
  commit();
  expect([model.table.get(A)!.text!.clockOf(7), model.table.get(B)!.text!.clockOf(7)]).toEqual([60, 40]);
}); // prettier-ignore

test('G130 an op that lost to a newer one is counted', () => {
  for (const ms of [20, 10]) model.apply(decode([update(ROOT, { title: `at ${ms}` })]), stampOf(ms), ANN);
  expect(model.lostOps).toBe(1);
});
