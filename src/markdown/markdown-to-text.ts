/**
 * The words of Markdown source, straight from the parsed mdast.
 *
 * The measure for "no word is lost": it shares only the parser with import, so a word that import forgets
 * shows up as a difference. Used by tests; also handy to index Markdown that is not a page.
 */
import type { Nodes } from 'mdast';
import { parseMdast, walkMdast } from './mdast-tree.ts';

/** Nodes that begin a new line; what is inline continues the word before it, as in **bold**face. */
const lineTypes = new Set(
  'paragraph heading code html table tableRow tableCell definition footnoteDefinition thematicBreak break'.split(
    ' ',
  ),
);

/** All literal values, alternative texts, titles and labels. */
export function markdownToText(markdown: string): string {
  const root = parseMdast(markdown);
  const parts: string[] = [];
  const titles = new Set<string>();
  for (const node of walkMdast(root)) {
    // At the end, as the words around a link may be one word.
    if ('title' in node && node.title) titles.add(`\n${node.title}`);
    // Raw HTML is a line of its own only as a block.
    const beginsLine = node.type === 'html' ? root.children.includes(node) : lineTypes.has(node.type);
    parts.push(beginsLine ? '\n' : '', ...literalsOf(node));
  }
  return [...parts, ...titles].join('').trim();
}

function literalsOf(node: Nodes): string[] {
  const parts: string[] = [];
  if ('value' in node) parts.push(node.value);
  if ('alt' in node && node.alt) parts.push(node.alt);
  if (node.type === 'definition') parts.push(` ${node.label ?? node.identifier} ${node.url} `);
  if (node.type === 'footnoteDefinition' || node.type === 'footnoteReference') {
    parts.push(`[^${node.label ?? node.identifier}]`);
  }
  return parts;
}
