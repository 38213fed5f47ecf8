/**
 * From the block part of mdast to blocks. docs/blocks.md lists what becomes what.
 *
 * The shapes differ in two ways. mdast has lists of items, we have items only, so what belongs to a list
 * (where it starts counting, whether it is loose, that it is not the list before) is written on its first item.
 * And mdast containers hold paragraphs, while our blocks have a text of their own, so the first paragraph of
 * a container moves up into it.
 *
 * The tree given must be of bounded depth, see mdast-tree.ts: this file recurses.
 */
import type { Blockquote, List, ListItem, Paragraph, RootContent, Table } from 'mdast';
import type { BlockJson, TextRun } from '../document/block-json.ts';
import { foldEnvelopes } from './envelope.ts';
import { type DefinitionByLabel, inlineToRuns } from './inline-import.ts';
import { emptyInsert, oneLine } from './text-runs.ts';

/** Beyond this a list could not count its items in the nine digits Markdown allows. */
const listStartMax = 900_000_000;

/** Converts the children of a root or container. */
export function flowToBlocks(nodes: readonly RootContent[], definitions: DefinitionByLabel): BlockJson[] {
  const blocks: BlockJson[] = [];
  let before: RootContent | undefined;
  for (const node of nodes) {
    if (node.type === 'list') {
      const continues = before?.type === 'list' && Boolean(before.ordered) === Boolean(node.ordered);
      blocks.push(...listToBlocks(node, continues, definitions));
    } else {
      blocks.push(...leafToBlocks(node, definitions));
    }
    before = node;
  }
  return foldEnvelopes(blocks);
}

function block(
  type: string,
  props: BlockJson['props'] = {},
  text: TextRun[] = [],
  children: BlockJson[] = [],
): BlockJson {
  return { type, props, text, children };
}

function rawText(value: string): TextRun[] {
  return value === '' ? [] : [{ insert: value }];
}

function leafToBlocks(node: RootContent, definitions: DefinitionByLabel): BlockJson[] {
  switch (node.type) {
    case 'paragraph':
      return paragraphToBlocks(node, definitions);
    case 'heading':
      return [block(`heading_${node.depth}`, {}, inlineToRuns(node.children, definitions))];
    case 'thematicBreak':
      return [block('divider')];
    case 'blockquote':
      return [quoteToBlock(node, definitions)];
    case 'code': {
      const props: BlockJson['props'] = {};
      if (node.lang) props['language'] = node.lang;
      if (node.meta) props['meta'] = node.meta;
      return [block('code', props, rawText(node.value))];
    }
    case 'html':
      return [block('markdown_html', {}, rawText(node.value))];
    case 'table':
      return [tableToBlock(node, definitions)];
    case 'definition': {
      const props: BlockJson['props'] = { label: oneLine(node.label ?? node.identifier), url: node.url };
      if (node.title) props['title'] = oneLine(node.title);
      return [block('markdown_definition', props)];
    }
    case 'footnoteDefinition': {
      const { text, children } = headAndRest(node.children, definitions);
      return [block('markdown_footnote', { label: node.label ?? node.identifier }, text, children)];
    }
    default:
      // Nothing else is produced by the extensions in use; its words would be kept all the same.
      return 'value' in node ? [block('paragraph', {}, rawText(node.value))] : [];
  }
}

/** A paragraph; or an image, if that is all there is in it; or nothing, if there is only space in it. */
function paragraphToBlocks(node: Paragraph, definitions: DefinitionByLabel): BlockJson[] {
  const text = inlineToRuns(node.children, definitions);
  const [run] = text;
  if (run === undefined) return [];
  const { image, image_title: title, ...others } = run.attributes ?? {};
  const isImage = text.length === 1 && typeof image === 'string' && Object.keys(others).length === 0;
  // Neighbouring images of one address have become one run.
  const images = node.children.filter(({ type }) => type === 'image' || type === 'imageReference');
  if (!isImage || images.length !== 1) return [block('paragraph', {}, text)];
  const props: BlockJson['props'] = { url: image };
  if (run.insert !== emptyInsert) props['caption'] = run.insert;
  if (title !== undefined) props['title'] = title;
  return [block('image', props)];
}

/** The text of a container is that of its first paragraph, if it begins with one. */
function headAndRest(
  nodes: readonly RootContent[],
  definitions: DefinitionByLabel,
): { text: TextRun[]; children: BlockJson[] } {
  for (const [index, node] of nodes.entries()) {
    const text = node.type === 'paragraph' ? inlineToRuns(node.children, definitions) : undefined;
    if (text === undefined) return { text: [], children: flowToBlocks(nodes.slice(index), definitions) };
    if (text.length > 0) return { text, children: flowToBlocks(nodes.slice(index + 1), definitions) };
  }
  return { text: [], children: [] };
}

function listToBlocks(list: List, continues: boolean, definitions: DefinitionByLabel): BlockJson[] {
  const loose = list.spread === true || list.children.some((item) => item.spread === true);
  return list.children.map((item, index) => {
    const props: BlockJson['props'] = {};
    if (item.checked === true) props['checked'] = true;
    if (typeof item.checked === 'boolean' && list.ordered === true) props['ordered'] = true;
    if (index === 0) {
      const start = Math.min(list.start ?? 1, listStartMax);
      if (list.ordered === true && start !== 1) props['start'] = start;
      if (continues) props['new_list'] = true;
      if (loose) props['loose'] = true;
    }
    const { text, children } = headAndRest(item.children, definitions);
    return block(itemType(list, item), props, text, children);
  });
}

function itemType(list: List, item: ListItem): string {
  if (typeof item.checked === 'boolean') return 'to_do';
  return list.ordered === true ? 'numbered_list' : 'bulleted_list';
}

/** A quote; or a callout, if its first line is a mark like `[!NOTE]`. */
function quoteToBlock(quote: Blockquote, definitions: DefinitionByLabel): BlockJson {
  const paragraph = quote.children[0];
  const first = paragraph?.type === 'paragraph' ? paragraph.children[0] : undefined;
  const mark = first?.type === 'text' ? /^\[!([A-Z]+)\][ \t]*(\n|$)/.exec(first.value) : null;
  if (mark === null || paragraph?.type !== 'paragraph' || first?.type !== 'text') {
    const { text, children } = headAndRest(quote.children, definitions);
    return block('quote', {}, text, children);
  }
  const second = paragraph.children[1];
  const endsLine = mark[2] === '\n' || second === undefined || second.type === 'break';
  if (!endsLine) {
    const { text, children } = headAndRest(quote.children, definitions);
    return block('quote', {}, text, children);
  }
  const inline = [{ ...first, value: first.value.slice(mark[0].length) }, ...paragraph.children.slice(1)];
  const kind = mark[1] ?? 'NOTE';
  return block(
    'callout',
    kind === 'NOTE' ? {} : { kind },
    inlineToRuns(inline, definitions),
    flowToBlocks(quote.children.slice(1), definitions),
  );
}

/** All rows are made equally long, as export would do it: cells beyond the header are not lost. */
function tableToBlock(table: Table, definitions: DefinitionByLabel): BlockJson {
  const width = table.children.reduce((most, row) => Math.max(most, row.children.length), 1);
  const align = Array.from({ length: width }, (_, index) => table.align?.[index] ?? null);
  const rows = table.children.map((row) => {
    const cells = Array.from({ length: width }, (_, index) =>
      block('table_cell', {}, inlineToRuns(row.children[index]?.children ?? [], definitions)),
    );
    return block('table_row', {}, [], cells);
  });
  return block('table', align.some((side) => side !== null) ? { align } : {}, [], rows);
}
