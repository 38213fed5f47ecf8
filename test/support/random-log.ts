/**
 * A random log of one page, with every kind of op: inserts of ids that exist, moves into themselves, ops on blocks that
 * are gone, late stamps, texts that several people write at once, deletes, restores and purges. Deterministic by seed.
 */
import { type Random, randomBelow, seededRandom } from '../../src/base/random.ts';
import type { JsonValue } from '../../src/base/json.ts';
import { decodeOps, encodeOps, type Op, type OpDraft } from '../../src/document/ops.ts';
import type { Stamp } from '../../src/document/hlc.ts';
import type { BlockTable } from '../../src/document/blocks.ts';
import type { BlockId } from '../../src/protocol/ids.ts';
import { blockId, ROOT, stampOf } from './pages.ts';
import { editAtRandom } from './text-edits.ts';

export interface RandomChange {
  readonly stamp: Stamp;
  readonly ops: readonly Op[];
  readonly body: Uint8Array;
}

const BLOCKS = 12;
const PEOPLE = 3;
const VALUES: readonly JsonValue[] = [
  null,
  true,
  false,
  0,
  1,
  -1.5,
  2 ** 40,
  '',
  'ü',
  [1, { a: null }],
  { b: 1, a: ['x'] },
];

export function randomLog(seed: number, changes: number): RandomChange[] {
  const random = seededRandom(seed);
  const below = (bound: number) => randomBelow(random, bound);
  const any = () => (below(9) === 0 ? ROOT : blockId(1 + below(BLOCKS)));
  const texts = new Map<BlockId, { client: number; update: Uint8Array }[]>();
  const nextText = (block: BlockId) => {
    let queue = texts.get(block);
    if (!queue) texts.set(block, (queue = editAtRandom(1 + below(1e6), PEOPLE, 40)));
    return queue.shift()?.update;
  };
  const draft = (): OpDraft => {
    const props = { [['x', 'y', '__proto__'][below(3)]!]: VALUES[below(VALUES.length)]! };
    const key = ['a0', 'a1V', 'Zz'][below(3)]!;
    const block = any();
    switch (below(10)) {
      case 0:
      case 1:
        return {
          op: 'insert',
          block,
          parent: any(),
          key,
          type: ['paragraph', 'quote'][below(2)]!,
          props,
          text: null,
        };
      case 2:
        return { op: 'update', block, props, type: below(2) ? 'to_do' : null };
      case 3:
        return { op: below(2) ? 'delete' : 'restore', block };
      case 4:
        return { op: 'move', block, parent: any(), key };
      case 5:
        return below(4) === 0 ? { op: 'purge', blocks: [any(), any()] } : { op: 'delete', block };
      default: {
        const update = nextText(block);
        return update ? { op: 'text', block, update } : { op: 'restore', block };
      }
    }
  };
  return Array.from({ length: changes }, (_, i) => {
    const body = encodeOps(Array.from({ length: 1 + below(4) }, draft));
    // Mostly later than all before, sometimes much earlier: written offline.
    const stamp = stampOf(below(5) === 0 ? 1 + below(i + 1) : 10 + i, below(3), 1 + below(4));
    return { stamp, ops: decodeOps(body) as Op[], body };
  });
}

export function applyChanges(table: BlockTable, log: readonly RandomChange[]): void {
  for (const { stamp, ops } of log) for (const op of ops) table.apply(op, stamp);
}

/** A random order of the same items. */
export function shuffled<T>(items: readonly T[], random: Random): T[] {
  const left = [...items];
  return items.map(() => left.splice(randomBelow(random, left.length), 1)[0]!);
}
