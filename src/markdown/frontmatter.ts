/**
 * The settings that many tools write at the top of a Markdown file:
 *
 *     ---
 *     title: A page
 *     ---
 *
 * Markdown itself would read a rule and a heading. They become one block `markdown_frontmatter` with the
 * lines between the rules as its text. Only a first line that looks like `key:` counts, and no blank lines,
 * so that a page which merely begins with a rule is not mistaken.
 */
import type { BlockJson } from '../document/block-json.ts';

const pattern = /^---[ \t]*\n([\w-]+:(?:[ \t][^\n]*)?(?:\n[^\n]*\S[^\n]*)*?)\n---[ \t]*(?:\n|$)/;

/** Splits the settings off a source with `\n` line ends. */
export function takeFrontmatter(source: string): { block: BlockJson | undefined; rest: string } {
  const match = pattern.exec(source);
  if (match === null) return { block: undefined, rest: source };
  const block: BlockJson = {
    type: 'markdown_frontmatter',
    props: {},
    text: [{ insert: match[1] ?? '' }],
    children: [],
  };
  return { block, rest: source.slice(match[0].length) };
}

/** The block as it stood in the source; undefined if it is none, or would not be read as one again. */
export function frontmatterSource(block: BlockJson): string | undefined {
  if (block.type !== 'markdown_frontmatter') return undefined;
  if (block.children.length > 0 || Object.keys(block.props).length > 0) return undefined;
  const text = block.text.map((run) => run.insert).join('');
  const source = `---\n${text}\n---\n`;
  const again = takeFrontmatter(source);
  return again.rest === '' && again.block?.text[0]?.insert === text ? source : undefined;
}
