/**
 * Reading Markdown source into an mdast tree that the rest of this folder can walk without fear.
 *
 * The parser itself survives any nesting, but pays for it: a thousand nested lists cost half a minute, and
 * whoever walks the result recursively runs out of stack. So depth is bounded twice:
 *
 *   source --tame--> source --micromark--> mdast --boundContainers--> mdast of at most 32 containers
 *
 * Both bounds lose markers and white space only, never a word.
 */
import type { Nodes, Parents, Root, RootContent } from 'mdast';
import { fromMarkdown } from 'mdast-util-from-markdown';
import { gfmFromMarkdown } from 'mdast-util-gfm';
import { gfm } from 'micromark-extension-gfm';

/** Deeper quotes and lists are flattened into this level. Leaves room for table rows and cells below 64. */
const containerDepthMax = 32;

/** Container markers (`>`, `-`, `1.`) at the start of one line; the next one is escaped. */
const lineMarkersMax = 100;

/** Indentation of a line that starts a list item, in characters: six for each level that is kept. */
const listIndentMax = 200;

const tooManyMarkers = new RegExp(
  `^((?:[ \\t]*(?:>|(?:[-*+]|\\d{1,9}[.)])(?=[ \\t]))){${lineMarkersMax}}[ \\t]*)([-*+>]|\\d{1,9}[.)])`,
  'gm',
);
const tooMuchIndent = new RegExp(
  `^([ \\t>]{${listIndentMax}})[ \\t>]+(?=(?:[-*+]|\\d{1,9}[.)])[ \\t])`,
  'gm',
);

/**
 * The extensions without their `transforms`: those search the finished text for more addresses to link, by
 * recursion, and the tokenizer has found the real ones by then.
 */
const mdastExtensions = gfmFromMarkdown().map((extension) => ({ ...extension, transforms: [] }));

/** Parses GitHub flavoured Markdown; the tree is at most about a hundred levels of blocks deep. */
export function parseMdast(markdown: string): Root {
  const root = fromMarkdown(tameSource(markdown), { extensions: [gfm()], mdastExtensions });
  return boundContainers(root);
}

/** All nodes in document order, without recursion: inline nesting is unbounded. */
export function* walkMdast(root: Nodes): Generator<Nodes> {
  const stack: Nodes[] = [root];
  for (let node = stack.pop(); node !== undefined; node = stack.pop()) {
    yield node;
    if (!('children' in node)) continue;
    for (let index = node.children.length - 1; index >= 0; index -= 1) {
      const child = node.children[index];
      if (child !== undefined) stack.push(child);
    }
  }
}

/** One kind of line ending, no byte order mark, and no line that opens hundreds of containers. */
export function tameSource(markdown: string): string {
  return markdown
    .replace(/^\uFEFF/, '')
    .replace(/\r\n?/g, '\n')
    .replace(tooMuchIndent, '$1')
    .replace(tooManyMarkers, (_, kept: string, marker: string) =>
      // Only punctuation can be escaped: of `12.` that is the dot.
      /^\d/.test(marker) ? `${kept}${marker.slice(0, -1)}\\${marker.slice(-1)}` : `${kept}\\${marker}`,
    );
}

function isContainer(node: Nodes): node is Parents & RootContent {
  return (
    node.type === 'blockquote' ||
    node.type === 'list' ||
    node.type === 'listItem' ||
    node.type === 'footnoteDefinition'
  );
}

/** Replaces containers below the limit by the leaf blocks in them. Changes the tree in place. */
function boundContainers(root: Root): Root {
  const queue: { parent: Parents; depth: number }[] = [{ parent: root, depth: 0 }];
  for (let next = queue.pop(); next !== undefined; next = queue.pop()) {
    const { parent, depth } = next;
    if (depth >= containerDepthMax && parent.type !== 'list') {
      parent.children = leavesOf(parent) as typeof parent.children;
      continue;
    }
    for (const child of parent.children) {
      // A list adds no level of its own: its items do.
      if (isContainer(child)) queue.push({ parent: child, depth: depth + (child.type === 'list' ? 0 : 1) });
    }
  }
  return root;
}

function leavesOf(parent: Parents): RootContent[] {
  const leaves: RootContent[] = [];
  const stack: RootContent[] = [...parent.children].reverse();
  for (let node = stack.pop(); node !== undefined; node = stack.pop()) {
    if (isContainer(node)) stack.push(...[...(node.children as RootContent[])].reverse());
    else leaves.push(node);
  }
  return leaves;
}
