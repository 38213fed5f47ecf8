/**
 * Whether all copies of a page are one: SDK pages with each other, and with the fold of the log.
 */
import { expect } from 'vitest';
import { tableToJson } from '../../src/chaos/replay.ts';
import type { BlockTable } from '../../src/document/blocks.ts';
import type { BlockJson, Page } from '../../src/client/index.ts';

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
