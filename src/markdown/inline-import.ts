/**
 * From the inline part of mdast (emphasis inside links inside emphasis, ...) to flat runs of text.
 *
 * What is an attribute and what is text, see docs/blocks.md. Nothing is skipped: a node this file does not
 * know gives its value or its children. Nesting is unbounded in Markdown, hence a stack instead of recursion.
 */
import type { Definition, Nodes, PhrasingContent } from 'mdast';
import type { TextRun } from '../document/block-json.ts';
import type { Attributes } from './text-runs.ts';
import { emptyInsert, jsonEquals, normalizeRuns, oneLine } from './text-runs.ts';
import { walkMdast } from './mdast-tree.ts';

/** Where `[text][label]` leads; references become plain links, the definitions stay as blocks. */
export type DefinitionByLabel = ReadonlyMap<string, Definition>;

/** The link reference definitions of a document; of several with one label the first counts. */
export function collectDefinitions(root: Nodes): DefinitionByLabel {
  const definitionByLabel = new Map<string, Definition>();
  for (const node of walkMdast(root)) {
    if (node.type !== 'definition') continue;
    const key = node.identifier.toUpperCase();
    if (!definitionByLabel.has(key)) definitionByLabel.set(key, node);
  }
  return definitionByLabel;
}

/** The normalised runs of a paragraph, heading or table cell. */
export function inlineToRuns(nodes: readonly PhrasingContent[], definitions: DefinitionByLabel): TextRun[] {
  const runs: TextRun[] = [];
  const stack = [...nodes].reverse().map((node) => ({ node, attributes: {} as Attributes }));
  for (let next = stack.pop(); next !== undefined; next = stack.pop()) {
    const { node, attributes } = next;
    const inner = innerAttributes(node, attributes, definitions);
    if ('children' in node && node.children.length > 0) {
      for (let index = node.children.length - 1; index >= 0; index -= 1) {
        const child = node.children[index];
        if (child !== undefined) stack.push({ node: child, attributes: inner });
      }
    } else {
      runs.push({ insert: leafText(node), attributes: inner });
    }
  }
  return normalizeRuns(foldTags(runs));
}

function innerAttributes(
  node: PhrasingContent,
  outer: Attributes,
  definitions: DefinitionByLabel,
): Attributes {
  switch (node.type) {
    case 'strong':
      return { ...outer, bold: true };
    case 'emphasis':
      return { ...outer, italic: true };
    case 'delete':
      return { ...outer, strike: true };
    case 'inlineCode':
      return { ...outer, code: true };
    case 'html':
      return { ...outer, html: true };
    case 'footnoteReference':
      return { ...outer, footnote: node.label ?? node.identifier };
    case 'link':
      return withTarget(outer, 'link', node.url, node.title);
    case 'image':
      return withTarget(outer, 'image', node.url, node.title);
    case 'linkReference':
    case 'imageReference': {
      const definition = definitions.get(node.identifier.toUpperCase());
      const key = node.type === 'linkReference' ? 'link' : 'image';
      return withTarget(outer, key, definition?.url ?? '', definition?.title);
    }
    default:
      return outer;
  }
}

function withTarget(
  outer: Attributes,
  key: 'link' | 'image',
  url: string,
  title: string | null | undefined,
): Attributes {
  const target: Attributes = { ...outer, [key]: url };
  if (typeof title === 'string' && title !== '') target[`${key}_title`] = title;
  return target;
}

function leafText(node: PhrasingContent): string {
  switch (node.type) {
    case 'break':
      return '\n';
    case 'image':
    case 'imageReference':
      return node.alt ? oneLine(node.alt) : emptyInsert;
    case 'footnoteReference':
      return `[^${node.label ?? node.identifier}]`;
    case 'link':
    case 'linkReference':
      // Without a character to stand for it, a link without text would vanish with its address.
      return emptyInsert;
    case 'text':
      return oneLine(node.value);
    default:
      return 'value' in node ? node.value : '';
  }
}

/**
 * Finds the two pairs of tags that export writes for what Markdown lacks, `<u>` and
 * `<span data-octavo='...'>`, and turns them back into attributes. All other tags stay as they are.
 */
function foldTags(runs: TextRun[]): TextRun[] {
  const open: { index: number; tag: string; attributes: Attributes | undefined }[] = [];
  const pairs = new Map<number, Attributes | 'end'>();
  for (const [index, run] of runs.entries()) {
    if (run.attributes?.['html'] !== true) continue;
    const opening = /^<(u|span)[ >]/.exec(run.insert)?.[1];
    if (opening !== undefined) open.push({ index, tag: opening, attributes: tagAttributes(run.insert) });
    const closing = /^<\/(u|span)>$/.exec(run.insert)?.[1];
    if (closing === undefined || open.at(-1)?.tag !== closing) continue;
    // Export writes both in one place; a tag that is all there is in a link would take its address along.
    if (!jsonEquals(runs[open.at(-1)?.index ?? index]?.attributes, run.attributes)) continue;
    const match = open.pop();
    // An empty pair stays, as there is no text that could carry it.
    if (match?.attributes === undefined || match.index + 1 === index) continue;
    pairs.set(match.index, match.attributes).set(index, 'end');
  }
  if (pairs.size === 0) return runs;
  const around: Attributes[] = [{}];
  const folded: TextRun[] = [];
  for (const [index, run] of runs.entries()) {
    const pair = pairs.get(index);
    if (pair === 'end') around.pop();
    else if (pair !== undefined) around.push({ ...around.at(-1), ...pair });
    else folded.push({ insert: run.insert, attributes: { ...around.at(-1), ...run.attributes } });
  }
  return folded;
}

function tagAttributes(tag: string): Attributes | undefined {
  if (tag === '<u>') return { underline: true };
  const json = /^<span data-octavo='([^']*)'>$/.exec(tag)?.[1];
  if (json === undefined) return undefined;
  try {
    const value: unknown = JSON.parse(json);
    return typeof value === 'object' && value !== null && !Array.isArray(value)
      ? (value as Attributes)
      : undefined;
  } catch {
    // Outside world: somebody edited the tag by hand. Then it is a tag like any other.
    return undefined;
  }
}
