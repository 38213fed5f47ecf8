/**
 * Import of GitHub flavoured Markdown.
 *
 * The promise: export and import again gives the same blocks. Markdown has corners where no serializer can
 * keep it (emphasis that starts inside a word, text that only looks like an address, ...), so import does
 * not hope, it iterates:
 *
 *     blocks = parse(markdown)
 *     until parse(export(blocks)) = blocks: blocks = that
 *
 * What is returned is a fixed point, so importing its export stops at once with the same blocks. Nearly all
 * documents are fixed points at the start, which costs them one export and one more parse. The words are
 * compared in each round. A block that does not settle, or would lose a word, first loses its formatting;
 * if that does not help, it becomes a code block of its plain text: a form that is always stable.
 */
import type { BlockJson } from '../document/block-json.ts';
import { flowToBlocks } from './block-import.ts';
import { limitDepth } from './block-depth.ts';
import { blocksToMarkdown } from './blocks-to-markdown.ts';
import { blocksToText, runsText } from './blocks-to-text.ts';
import { takeFrontmatter } from './frontmatter.ts';
import { collectDefinitions } from './inline-import.ts';
import { parseMdast, tameSource } from './mdast-tree.ts';
import { jsonEquals, normalizeRuns } from './text-runs.ts';

/** Rounds of settling before blocks are replaced; documents need none, fuzzed ones up to three. */
const settleRoundsMax = 5;

/** Blocks replaced one by one before everything after the last of them is. */
const replacementsMax = 10;

/** The blocks of a Markdown document. Total: any string is a document. */
export function markdownToBlocks(markdown: string): BlockJson[] {
  let blocks = parseBlocks(markdown);
  for (let round = 0; round < settleRoundsMax; round += 1) {
    const again = parseBlocks(blocksToMarkdown(blocks));
    if (jsonEquals(again, blocks)) return blocks;
    if (lettersOf(again) !== lettersOf(blocks)) break;
    blocks = again;
  }
  return forceSettled(blocks);
}

function parseBlocks(markdown: string): BlockJson[] {
  const { block, rest } = takeFrontmatter(tameSource(markdown));
  const root = parseMdast(rest);
  const blocks = limitDepth(flowToBlocks(root.children, collectDefinitions(root)));
  return block === undefined ? blocks : [block, ...blocks];
}

/** Replaces what does not settle, from the top down. */
function forceSettled(unsettled: BlockJson[]): BlockJson[] {
  let blocks = unsettled;
  for (let round = 0; round < replacementsMax; round += 1) {
    const again = parseBlocks(blocksToMarkdown(blocks));
    const index = blocks.findIndex((block, at) => !jsonEquals(block, again[at]));
    if (index === -1 && again.length === blocks.length) return blocks;
    const culprit = index === -1 ? blocks.length - 1 : index;
    blocks = blocks.map((block, at) => {
      if (at !== culprit) return block;
      const plain = withoutMarks(block);
      return jsonEquals(plain, block) ? asCode([block]) : plain;
    });
  }
  return [asCode(blocks)];
}

/** The same block with bare text, titles included: what fails to settle is nearly always emphasis or a link. */
function withoutMarks(block: BlockJson): BlockJson {
  const insert = runsText(block.text);
  return {
    ...block,
    text: insert === '' ? [] : normalizeRuns([{ insert }]),
    children: block.children.map(withoutMarks),
  };
}

function asCode(blocks: readonly BlockJson[]): BlockJson {
  return { type: 'code', props: {}, text: [{ insert: blocksToText(blocks) }], children: [] };
}

/** All letters and digits in order: what must not change from round to round. */
function lettersOf(blocks: readonly BlockJson[]): string {
  return blocksToText(blocks).replace(/[^\p{L}\p{N}]+/gu, '');
}
