/**
 * Refusals in a stall, when thousands of changes wait: what each costs, and that those which wait are none the worse.
 */
import { expect, test } from 'vitest';
import { ActorBench, title } from '../../test/support/actor-world.ts';
import { blockId, PAGE } from '../../test/support/pages.ts';
import { BlocksModel } from '../document/blocks-model.ts';
import type { Refusal } from '../document/model.ts';
import { defaultLimits } from '../protocol/limits.ts';

/** Counts what is looked at. */
class CountingModel extends BlocksModel {
  looks = 0;

  override admit(...change: Parameters<BlocksModel['admit']>): Refusal | undefined {
    this.looks++;
    return super.admit(...change);
  }

  override lay(...change: Parameters<BlocksModel['lay']>): Refusal | undefined {
    this.looks++;
    return super.lay(...change);
  }
}

test('A130 a refusal costs what the refused change holds, however many changes of the page wait', () => {
  const bench = new ActorBench();
  const model = new CountingModel(PAGE, defaultLimits);
  bench.load([], { model });
  bench.subscribe(1);
  bench.subscribe(2);
  for (let n = 1; n <= 500; n++) bench.change(1, n, [title(`${n}`)]);
  bench.actor.takeBatch();
  bench.take();
  expect(model.looks).toBe(500);
  const tooLarge = [title('seen'), { op: 'update', block: blockId(1), props: {}, type: null } as const, title('x'.repeat(70_000))];
  for (let i = 0; i < 100; i++) expect(bench.change(2, 1, tooLarge)).toEqual(['send 2 reject n=1 too_large']);
  expect(model.looks).toBe(600);
  // Nothing of them is left, and what waited is committed as it came.
  expect(bench.change(2, 1, [title('y'.repeat(60_000))])).toEqual([]);
  bench.tell({ type: 'appended' });
  expect(model.table.get(model.table.root)!.props.get('title')!.value).toBe('500');
}); // prettier-ignore
