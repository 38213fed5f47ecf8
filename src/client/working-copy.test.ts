/**
 * One client's copy of a page without a network: what an edit shows at once, and what stays confirmed meanwhile.
 */
import { expect, test } from 'vitest';
import { blockId, PAGE, replicaId, ROOT, userId } from '../../test/support/pages.ts';
import { seededRandom } from '../base/random.ts';
import { systemClock } from '../base/time.ts';
import { encodeOps } from '../document/ops.ts';
import { seq } from '../protocol/ids.ts';
import { defaultLimits } from '../protocol/limits.ts';
import { WorkingCopy } from './working-copy.ts';

const copyOf = (locked: () => null = () => null) =>
  new WorkingCopy({
    page: PAGE,
    replica: replicaId(1),
    clock: systemClock,
    random: seededRandom(1),
    now: () => 5000,
    limits: () => defaultLimits,
    locked,
    heeded: () => false,
    changed: () => {},
    rejected: () => {},
    settled: () => {},
    sealed: () => {},
  });

const update = (title: string) => ({ op: 'update', block: ROOT, props: { title }, type: null }) as const;
const titles = ({ replica: { view, confirmed } }: WorkingCopy) =>
  [view, confirmed].map((table) => table.get(ROOT)!.props.get('title')?.value);

test('K1 an edit is seen at once, over the confirmed state, which it leaves alone until the log has it', () => {
  const copy = copyOf();
  copy.edit(update('mine'));
  expect(titles(copy)).toEqual(['mine', undefined]);
  copy.seal();
  const { n, stamp } = copy.replica.outbox.takeNext()!;
  const change = { replica: replicaId(1), n, hlc: stamp, author: userId('me'), at: 0, ops: encodeOps([update('mine')]) };
  copy.receive(seq(1), [change]);
  expect(titles(copy)).toEqual(['mine', 'mine']);
}); // prettier-ignore

test('K1 what others write is seen beneath what is pending, and alone where nothing of mine is', () => {
  const copy = copyOf();
  copy.edit(update('mine'));
  const insert = { op: 'insert', block: blockId(1), parent: ROOT, key: 'a0', type: 'quote', props: {}, text: null } as const;
  const hlc = { ms: 10, counter: 0 };
  const ops = encodeOps([update('theirs'), insert]);
  copy.receive(seq(1), [{ replica: replicaId(2), n: 1, hlc, author: userId('ann'), at: 0, ops }]);
  expect(titles(copy)).toEqual(['mine', 'theirs']);
  expect(copy.replica.view.get(blockId(1))?.type).toBe('quote');
}); // prettier-ignore
