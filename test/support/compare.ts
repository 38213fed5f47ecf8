/**
 * Whether all copies of a page are one: SDK pages with each other, and with the fold of the log.
 */
import { expect } from 'vitest';
import * as Y from 'yjs';
import type { BlockTable } from '../../src/document/blocks.ts';
import { compareOrder } from '../../src/document/order.ts';
import type { BlockJson, Page } from '../../src/client/index.ts';

/** What the SDK's `toJSON` would show of a table. */
function tableToJson(table: BlockTable, id = table.root): BlockJson {
  const block = table.get(id)!;
  const doc = new Y.Doc();
  for (const update of block.text?.updates ?? []) Y.applyUpdate(doc, update);
  const text = doc.getText('text').toDelta() as BlockJson['text'];
  const children = [...(block.children ?? [])].map((child) => table.get(child)!).filter((child) => !child.deleted);
  children.sort((a, b) => compareOrder(a.key, a.id, b.key, b.id));
  const props = Object.fromEntries([...block.props].flatMap(([key, { value }]) => (value === null ? [] : [[key, value]])));
  return { id, type: block.type, props, text, children: children.map((child) => tableToJson(table, child.id)) };
} // prettier-ignore

/** Expects every page to show exactly what the folded log holds. */
export function expectAllEqual(pages: readonly Page[], folded: BlockTable): void {
  const wanted = tableToJson(folded);
  for (const page of pages) expect(page.toJSON().root).toEqual(wanted);
}

/** A tree without ids, for comparing two pages of equal content. */
export function withoutIds(block: BlockJson): BlockJson {
  const { id: _, children, ...rest } = block;
  return { ...rest, children: children.map(withoutIds) };
}
