/**
 * Whether two folds of a page are one: every block, every register with its stamp, every text. Bytes cannot say it: the
 * order of blocks and the way texts were merged may differ between copies that are equal. Pure.
 */
import type { Block } from './block.ts';
import type { BlockText } from './block-text.ts';
import type { BlockTable } from './blocks.ts';
import { compareStamps, type Stamp } from './hlc.ts';
import { textDoc } from './text-doc.ts';

/** What differs, in words, at most `max` of them; empty when both are one. `found` is what is looked at. */
export function tableDifferences(found: BlockTable, wanted: BlockTable, max: number): string[] {
  const differences: string[] = [];
  for (const block of wanted.all()) {
    if (differences.length >= max) return differences;
    const other = found.get(block.id);
    if (!other) differences.push(`block ${block.id} is missing`);
    else
      for (const what of blockDifferences(other, block))
        differences.push(`${what} of block ${block.id} differs`);
  }
  for (const block of found.all()) {
    if (differences.length >= max) break;
    if (!wanted.get(block.id)) differences.push(`block ${block.id} should not be there`);
  }
  return differences.slice(0, max);
}

const sameStamp = (a: Stamp, b: Stamp) => compareStamps(a, b) === 0;

function blockDifferences(a: Block, b: Block): BlockPart[] {
  const parts: [BlockPart, boolean][] = [
    ['the type', a.type === b.type && sameStamp(a.typeStamp, b.typeStamp)],
    ['the place', a.parent === b.parent && a.key === b.key && sameStamp(a.placeStamp, b.placeStamp)],
    ['the deletion', a.deleted === b.deleted && sameStamp(a.deletedStamp, b.deletedStamp)],
    ['a prop', sameProps(a, b)],
    ['the text', sameText(a.text, b.text)],
  ];
  return parts.filter(([, same]) => !same).map(([part]) => part);
}

type BlockPart = 'the type' | 'the place' | 'the deletion' | 'a prop' | 'the text';

function sameProps(a: Block, b: Block): boolean {
  if (a.props.size !== b.props.size) return false;
  for (const [key, prop] of b.props) {
    const other = a.props.get(key);
    if (!other || !sameStamp(other.stamp, prop.stamp)) return false;
    if (canonicalJson(other.value) !== canonicalJson(prop.value)) return false;
  }
  return true;
}

/** JSON with the keys of maps in order: their order in a prop carries no meaning. */
function canonicalJson(value: unknown): string {
  return JSON.stringify(value, (_, inner: unknown) =>
    typeof inner === 'object' && inner !== null && !Array.isArray(inner)
      ? Object.fromEntries(Object.entries(inner).sort(([x], [y]) => (x < y ? -1 : 1)))
      : inner,
  );
}

/** The same clocks held, and the same to read. */
function sameText(a: BlockText | null, b: BlockText | null): boolean {
  const [left, right] = [a?.merged(), b?.merged()];
  if (left === undefined || right === undefined) return left === right;
  if (left.length === right.length && left.every((byte, i) => byte === right[i])) return true;
  const clocks = (text: BlockText) => canonicalJson(Object.fromEntries(text.clocks()));
  return clocks(a!) === clocks(b!) && readable(left) === readable(right);
}

/** Text and formats as a reader sees them: neighbouring runs of one format are one. */
function readable(update: Uint8Array): string {
  const doc = textDoc([update]);
  const text = doc.getText('text');
  const runs: { insert: unknown; format: string }[] = [];
  for (const { insert, attributes } of text.toDelta() as { insert: unknown; attributes?: object }[]) {
    const format = canonicalJson(attributes ?? {});
    const last = runs.at(-1);
    if (last && last.format === format && typeof last.insert === 'string' && typeof insert === 'string')
      last.insert += insert;
    else runs.push({ insert, format });
  }
  doc.destroy();
  return canonicalJson(runs);
}
