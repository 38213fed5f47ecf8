/**
 * Which blocks have a form in Markdown, and which of their properties that form can say.
 *
 * Export asks here block by block. What is not expressible goes into an envelope (envelope.ts) around the
 * nearest form that is. The rules are deliberately narrow: a property of the wrong type, or one an editor has
 * put on a block where Markdown has no place for it, is treated as unknown and so survives.
 */
import type { JsonValue } from '../base/json.ts';
import type { BlockJson } from '../document/block-json.ts';
import { parseMdast } from './mdast-tree.ts';

type Check = (value: JsonValue) => boolean;

const isString: Check = (value) => typeof value === 'string';
const isTrue: Check = (value) => value === true;
const isStart: Check = (value) =>
  Number.isInteger(value) && (value as number) >= 0 && (value as number) <= 900_000_000;
const isTitle: Check = (value) => typeof value === 'string' && value !== '';
/** Info strings: one word, then the rest of the line. */
const isWord: Check = (value) => typeof value === 'string' && /^[^\s\0]+$/.test(value);
const isMeta: Check = (value) => typeof value === 'string' && /^[^\s\0]([^\r\n\0]*[^\s\0])?$/.test(value);
const isKind: Check = (value) => typeof value === 'string' && /^[A-Z]+$/.test(value) && value !== 'NOTE';
const isAlign: Check = (value) =>
  Array.isArray(value) && value.every((side) => side === null || /^(left|right|center)$/.test(String(side)));
/** A label of letters, without what would need escapes that count as part of the label. */
const isLabel: Check = (value) =>
  typeof value === 'string' && /^[^\s[\]\\^]([^[\]\\\r\n]*[^\s[\]\\])?$/.test(value) && value.length < 900;
const isFootnoteLabel: Check = (value) => isLabel(value) && !/\s/.test(String(value));

const listProps = { loose: isTrue, new_list: isTrue };

const propChecks: { [type: string]: { [prop: string]: Check } } = {
  paragraph: {},
  heading_1: {},
  heading_2: {},
  heading_3: {},
  heading_4: {},
  heading_5: {},
  heading_6: {},
  bulleted_list: listProps,
  numbered_list: { ...listProps, start: isStart },
  to_do: { ...listProps, start: isStart, ordered: isTrue, checked: (value) => typeof value === 'boolean' },
  quote: {},
  callout: { kind: isKind },
  code: { language: isWord, meta: isMeta },
  divider: {},
  image: { url: isString, caption: isTitle, title: isTitle },
  table: { align: isAlign },
  table_row: {},
  table_cell: {},
  markdown_html: {},
  markdown_frontmatter: {},
  markdown_definition: { label: isString, url: isString, title: isTitle },
  markdown_footnote: { label: isFootnoteLabel },
};

const containerTypes = new Set([
  'bulleted_list',
  'numbered_list',
  'to_do',
  'quote',
  'callout',
  'markdown_footnote',
  'table',
]);
const textlessTypes = new Set(['divider', 'image', 'table', 'table_row', 'markdown_definition']);

/** The lists an item can be part of, or undefined for all other blocks. */
export function listKind(block: BlockJson): 'ordered' | 'unordered' | undefined {
  if (block.type === 'numbered_list') return 'ordered';
  if (block.type === 'bulleted_list') return 'unordered';
  if (block.type !== 'to_do') return undefined;
  return block.props['ordered'] === true ? 'ordered' : 'unordered';
}

/** Splits the properties into those the native form says and the others. */
export function splitProps(block: BlockJson): { said: BlockJson['props']; unsaid: BlockJson['props'] } {
  const checks = Object.hasOwn(propChecks, block.type) ? propChecks[block.type] : undefined;
  const said: BlockJson['props'] = {};
  const unsaid: BlockJson['props'] = {};
  for (const [key, value] of Object.entries(block.props)) {
    const check = checks !== undefined && Object.hasOwn(checks, key) ? checks[key] : undefined;
    (check?.(value) === true ? said : unsaid)[key] = value;
  }
  if (block.type === 'code' && said['language'] === undefined && said['meta'] !== undefined) {
    // The first word of an info string is the language.
    unsaid['meta'] = said['meta'];
    delete said['meta'];
  }
  return { said, unsaid };
}

/** Whether a block with only expressible properties can stand in Markdown as it is, its children apart. */
export function hasNativeForm(block: BlockJson): boolean {
  if (!Object.hasOwn(propChecks, block.type)) return false;
  if (textlessTypes.has(block.type) && block.text.length > 0) return false;
  const empty = block.text.every((run) => run.insert.trim() === '');
  switch (block.type) {
    case 'table':
      return isGrid(block);
    case 'table_row':
    case 'table_cell':
    case 'markdown_frontmatter':
      // Only where they belong; there they are not asked.
      return false;
    case 'markdown_html':
      return isClosedHtml(block);
    case 'paragraph':
      return !empty;
    case 'to_do':
      return !empty;
    case 'bulleted_list':
    case 'numbered_list':
    case 'quote':
    case 'markdown_footnote':
      // Without a text of its own, it would take that of its first child.
      return !(empty && block.children[0]?.type === 'paragraph') && hasLabelIfNeeded(block);
    case 'markdown_definition':
      return isLabel(block.props['label'] ?? null);
    default:
      return true;
  }
}

/** Whether the native form has room for children. */
export function canContain(type: string): boolean {
  return containerTypes.has(type);
}

function hasLabelIfNeeded(block: BlockJson): boolean {
  return block.type !== 'markdown_footnote' || isFootnoteLabel(block.props['label'] ?? null);
}

/** Rows of cells that hold nothing but text. */
function isGrid(table: BlockJson): boolean {
  const plain = (block: BlockJson, type: string): boolean =>
    block.type === type && Object.keys(block.props).length === 0;
  return (
    table.children.length > 0 &&
    table.children.every(
      (row) =>
        plain(row, 'table_row') &&
        row.text.length === 0 &&
        row.children.length > 0 &&
        row.children.every((cell) => plain(cell, 'table_cell') && cell.children.length === 0),
    )
  );
}

/** Whether raw HTML ends where the block ends: an open comment would swallow the rest of the page. */
function isClosedHtml(block: BlockJson): boolean {
  const source = block.text.map((run) => run.insert).join('');
  const [html, after, ...others] = parseMdast(`${source}\n\nx`).children;
  return html?.type === 'html' && html.value === source && after?.type === 'paragraph' && others.length === 0;
}
