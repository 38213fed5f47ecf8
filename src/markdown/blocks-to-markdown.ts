/**
 * Export of a page as GitHub flavoured Markdown.
 *
 * Deterministic, and total: any block tree gives Markdown, with all of its text. What Markdown cannot say is
 * wrapped in comments (envelope.ts) or tags (inline-export.ts) that import understands and readers ignore.
 * docs/blocks.md has the forms. Called by the CLI, the HTTP API, and by import to check itself.
 */
import type { Root } from 'mdast';
import { gfmToMarkdown } from 'mdast-util-gfm';
import { type Options, toMarkdown } from 'mdast-util-to-markdown';
import type { BlockJson } from '../document/block-json.ts';
import { type RawInline, blocksToFlow } from './block-export.ts';
import { limitDepth } from './block-depth.ts';
import { frontmatterSource } from './frontmatter.ts';
import { writeLink } from './link-export.ts';

/**
 * One marker each, whatever the source used: `***` for rules because `---` after a paragraph is a heading,
 * and no padding of table columns because one long cell would multiply the size of the page.
 */
const options: Options = {
  bullet: '-',
  bulletOther: '*',
  emphasis: '*',
  strong: '*',
  fence: '`',
  fences: true,
  rule: '*',
  listItemIndent: 'one',
  extensions: [gfmToMarkdown({ tablePipeAlign: false })],
  handlers: { link: writeLink, octavoRaw: (node: RawInline) => node.value } as Options['handlers'] & object,
};

/** The page as Markdown; empty for an empty page, else ending with a line end. */
export function blocksToMarkdown(blocks: readonly BlockJson[]): string {
  const [first, ...others] = blocks;
  const frontmatter = first === undefined ? undefined : frontmatterSource(first);
  const flow = blocksToFlow(limitDepth(frontmatter === undefined ? blocks : others));
  const root = { type: 'root', children: flow } as Root;
  const body = flow.length === 0 ? '' : toMarkdown(root, options);
  if (frontmatter === undefined) return body;
  return body === '' ? frontmatter : `${frontmatter}\n${body}`;
}
