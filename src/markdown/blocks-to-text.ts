/**
 * The plain text of a page: what `octavo cat` prints and what is worth searching.
 *
 * One line per block, children indented by two spaces below the first line of their parent. Every word a
 * reader could see is in it, also captions, alternative texts, link titles, raw HTML, footnotes and the labels
 * of definitions; addresses only where they are all there is. The marks (`-`, `1.`, `[x]`, `>`, `|`) are for
 * the eye: this is not Markdown.
 */
import type { JsonValue } from '../base/json.ts';
import type { BlockJson, TextRun } from '../document/block-json.ts';
import { limitDepth } from './block-depth.ts';
import { emptyInsert } from './text-runs.ts';

/** The page as lines of text; empty for an empty page, else ending with a line end. */
export function blocksToText(blocks: readonly BlockJson[]): string {
  const lines: string[] = [];
  writeBlocks(limitDepth(blocks), '', lines);
  return lines.length === 0 ? '' : `${lines.join('\n')}\n`;
}

function writeBlocks(blocks: readonly BlockJson[], indent: string, lines: string[]): void {
  let number = 0;
  for (const block of blocks) {
    const counts = block.type === 'numbered_list' || block.props['ordered'] === true;
    const start = block.props['start'];
    if (!counts) number = 0;
    else if (typeof start === 'number') number = start;
    else number = block.props['new_list'] === true ? 1 : number + 1;
    writeBlock(block, number, indent, lines);
  }
}

function writeBlock(block: BlockJson, number: number, indent: string, lines: string[]): void {
  if (block.type === 'table_row') {
    const cells = block.children.map((cell) => cellText(cell));
    lines.push(
      indent + [runsText(block.text), ...cells].filter((cell, at) => at > 0 || cell !== '').join(' | '),
    );
    return;
  }
  const mark = markOf(block, number);
  const written = [runsText(block.text), propsText(block)].filter((part) => part !== '').join(' ');
  const [first, ...others] = written.split('\n');
  if (written !== '' || mark !== '') {
    lines.push(`${indent}${mark}${first ?? ''}`.trimEnd());
    const hanging = indent + ' '.repeat(mark.length);
    for (const line of others) lines.push(hanging + line);
  }
  const below = block.type === 'table' || written + mark === '' ? indent : `${indent}  `;
  writeBlocks(block.children, below, lines);
}

/** A cell is one line, whatever an editor has put below it. */
function cellText(cell: BlockJson): string {
  return [runsText(cell.text), blocksToText(cell.children)].join(' ').replace(/\s+/g, ' ').trim();
}

function markOf(block: BlockJson, number: number): string {
  switch (block.type) {
    case 'bulleted_list':
      return '- ';
    case 'numbered_list':
      return `${number}. `;
    case 'to_do':
      return `${number > 0 ? `${number}.` : '-'} [${block.props['checked'] === true ? 'x' : ' '}] `;
    case 'quote':
      return '> ';
    case 'callout':
      return `> ${asText(block.props['kind'] ?? 'NOTE')}: `;
    case 'divider':
      return '---';
    case 'markdown_footnote':
      return `[^${asText(block.props['label'])}]: `;
    default:
      return '';
  }
}

/** The words that live in properties. */
function propsText(block: BlockJson): string {
  const { url, caption, title, label } = block.props;
  switch (block.type) {
    case 'image':
    case 'video':
    case 'embed':
      return [asText(caption) || asText(url), asText(title)].filter((part) => part !== '').join(' ');
    case 'markdown_definition':
      return [`[${asText(label)}]:`, asText(url), asText(title)].filter((part) => part !== '').join(' ');
    default:
      return '';
  }
}

function asText(value: JsonValue | undefined): string {
  return typeof value === 'string' ? value : '';
}

/** The text of a line. Titles of links and images come last, so as not to part the words around the link. */
export function runsText(runs: readonly TextRun[]): string {
  const titles = new Set<string>();
  const texts = runs.map(({ insert, attributes = {} }) => {
    for (const key of ['image', 'link']) {
      const title =
        insert === '' || typeof attributes[key] !== 'string' ? '' : asText(attributes[`${key}_title`]);
      if (title !== '') titles.add(` (${title})`);
    }
    const standsIn = attributes['image'] !== undefined || attributes['link'] !== undefined;
    return standsIn ? insert.replaceAll(emptyInsert, '') : insert;
  });
  return [...texts, ...titles].join('');
}
