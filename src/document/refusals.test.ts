/**
 * A refused change takes back what it recorded, op by op: the model must judge what follows as one that recorded the
 * whole queue anew does, which is the slow way to the same.
 */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { blockId, PAGE, ROOT, stampOf, userId } from '../../test/support/pages.ts';
import { editAtRandom } from '../../test/support/text-edits.ts';
import { type Random, randomBelow, seededRandom } from '../base/random.ts';
import type { BlockId } from '../protocol/ids.ts';
import { defaultLimits } from '../protocol/limits.ts';
import { BlocksModel } from './blocks-model.ts';
import type { QueuedOps } from './model.ts';
import { decodeOps, encodeOps, type Op, type OpDraft } from './ops.ts';

/** So low that each of them is met. */
const limits = {
  ...defaultLimits, blocksMax: 9, depthMax: 3, propsBytesMax: 40, textBytesMax: 160, textCharactersMax: 12, movedBlocksMax: 2,
}; // prettier-ignore

/** Changes of several people to a few blocks; their texts lose an update now and then, so that others lack their ground. */
function offers(random: Random) {
  const below = (bound: number) => randomBelow(random, bound);
  const texts = new Map<BlockId, { update: Uint8Array }[]>();
  const block = () => blockId(1 + below(8));
  const parent = () => (below(2) ? ROOT : block());
  const draft = (): OpDraft => {
    const id = block();
    const props = { [['x', 'y', 'z'][below(3)]!]: 'v'.repeat(below(25)) };
    switch (below(7)) {
      case 0:
      case 1: {
        const text = below(3) === 0 ? (editAtRandom(1 + below(20), 1, 3)[0]?.update ?? null) : null;
        return { op: 'insert', block: id, parent: parent(), key: 'a0', type: 'quote', props, text };
      }
      case 2:
        return { op: 'update', block: id, props, type: null };
      case 3:
        return { op: 'move', block: id, parent: parent(), key: 'a1' };
      case 4:
        return { op: below(2) ? 'delete' : 'restore', block: id };
      default: {
        let queue = texts.get(id);
        if (!queue?.length) texts.set(id, (queue = editAtRandom(1 + below(1e6), 2, 20)));
        if (below(8) === 0) queue.shift();
        const update = queue.shift()?.update;
        return update ? { op: 'text', block: id, update } : { op: 'delete', block: id };
      }
    }
  };
  return (): Op[] => decodeOps(encodeOps(Array.from({ length: 1 + below(4) }, draft))) as Op[];
}

test('D38 after a refusal the next changes are judged as if the queue had been recorded anew', () => {
  const seen = new Map<string, number>();
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 1e9 }), (seed) => {
      const random = seededRandom(seed);
      const next = offers(random);
      const [quick, slow] = [new BlocksModel(PAGE, limits), new BlocksModel(PAGE, limits)];
      let queued: QueuedOps<Op[]>[] = [];
      for (let i = 1; i <= 40; i++) {
        const one = { decoded: next(), stamp: stampOf(i), author: userId(['ann', 'bob'][randomBelow(random, 2)]!) };
        const verdict = slow.admit(one.decoded, one.stamp, one.author);
        expect(quick.admit(one.decoded, one.stamp, one.author)).toEqual(verdict);
        if (verdict) slow.resetQueue(queued);
        else queued.push(one);
        seen.set(verdict?.code ?? 'ok', (seen.get(verdict?.code ?? 'ok') ?? 0) + 1);
        if (randomBelow(random, 10) > 0) continue;
        for (const model of [quick, slow]) {
          for (const { decoded, stamp, author } of queued) model.apply(decoded, stamp, author);
          model.resetQueue([]);
        }
        queued = [];
      }
    }),
    { numRuns: 150 },
  );
  expect([...seen.keys()].sort()).toEqual(['missing', 'not_yours', 'ok', 'too_large']);
}); // prettier-ignore

test('G127 when a part of the queue is in the log the next changes are judged as if the rest had been recorded anew', () => {
  let dequeued = 0;
  const seen = new Map<string, number>();
  const wider = { ...limits, textBytesMax: 800, textCharactersMax: 60 };
  for (let seed = 1; seed <= 3; seed++) {
    const random = seededRandom(seed);
    const other = offers(random);
    const [quick, slow] = [new BlocksModel(PAGE, wider), new BlocksModel(PAGE, wider)];
    const blocks = [1, 2, 3].map(blockId);
    const texts = blocks.map((_, i) => editAtRandom(1000 * seed + i, 2, 25));
    let queued: QueuedOps<Op[]>[] = [];
    const offer = (i: number, decoded: Op[], author: number) => {
      const one = { decoded, stamp: stampOf(i), author: userId(['ann', 'bob'][author & 1]!) };
      const verdict = slow.admit(one.decoded, one.stamp, one.author);
      expect(quick.admit(one.decoded, one.stamp, one.author)).toEqual(verdict);
      if (verdict) slow.resetQueue(queued);
      else queued.push(one);
      seen.set(verdict?.code ?? 'ok', (seen.get(verdict?.code ?? 'ok') ?? 0) + 1);
      return verdict;
    };
    for (const block of blocks) offer(block === blocks[0] ? 1 : 2, insertOf(block), 0);
    for (let i = 3; i <= 150; i++) {
      const at = randomBelow(random, blocks.length);
      if (randomBelow(random, 30) === 0) texts[at]!.shift();
      const typed = texts[at]!.shift();
      if (!typed || randomBelow(random, 50) === 0) offer(i, other(), i);
      else if (offer(i, textOf(blocks[at]!, typed.update), typed.client + (randomBelow(random, 40) === 0 ? 1 : 0)))
        texts[at] = editAtRandom(10_000 * seed + i, 2, 25);
      if (randomBelow(random, 4) > 0) continue;
      const committed = queued.slice(0, randomBelow(random, queued.length + 1));
      queued = queued.slice(committed.length);
      let isAsLaid = true;
      for (const { decoded, stamp, author } of committed) {
        isAsLaid = quick.apply(decoded, stamp, author).length === 0 && isAsLaid;
        slow.apply(decoded, stamp, author);
      }
      slow.resetQueue(queued);
      if (isAsLaid && quick.dequeue(committed)) dequeued += committed.length;
      else quick.resetQueue(queued);
    }
  }
  expect(dequeued).toBeGreaterThan(40);
  expect([...seen.keys()].sort()).toEqual(['missing', 'not_yours', 'ok', 'too_large']);
}); // prettier-ignore

const insertOf = (block: BlockId) =>
  decodeOps(
    encodeOps([{ op: 'insert', block, parent: ROOT, key: 'a0', type: 'quote', props: {}, text: null }]),
  ) as Op[];
const textOf = (block: BlockId, update: Uint8Array) =>
  decodeOps(encodeOps([{ op: 'text', block, update }])) as Op[];
