/**
 * From flat runs of text to the inline part of mdast: the inverse of inline-import.ts.
 *
 *   runs    a{bold}  b{bold,link}  c{link}
 *   tree    strong( a, link( b ) ), link( c )
 *
 * At each run the attribute that lasts longest is opened first; so a link or bold range is not cut into more
 * pieces than it must be. The depth of the tree is at most the number of kinds of marks.
 */
import type { PhrasingContent } from 'mdast';
import type { TextRun } from '../document/block-json.ts';
import type { Attributes } from './text-runs.ts';
import { parseMdast } from './mdast-tree.ts';
import { emptyInsert, jsonEquals, normalizeRuns } from './text-runs.ts';

/** Kinds of enclosing nodes, outermost first when two last equally long. */
const markKinds = ['link', 'extra', 'underline', 'bold', 'italic', 'strike'] as const;
type MarkKind = (typeof markKinds)[number];

const nativeKeys = new Set(
  'link link_title underline bold italic strike code html image image_title footnote'.split(' '),
);

interface MarkedRun {
  insert: string;
  attributes: Attributes;
  /** What each mark says here; undefined where it is absent. */
  marks: { [kind in MarkKind]: unknown };
}

/** The mdast children of a paragraph, heading or cell that carries these runs. */
export function runsToInline(runs: readonly TextRun[]): PhrasingContent[] {
  return nest(normalizeRuns(runs).map(readMarks), new Set());
}

function readMarks(run: TextRun): MarkedRun {
  const attributes = { ...run.attributes };
  const extra: Attributes = {};
  for (const [key, value] of Object.entries(attributes)) {
    if (!isNative(key, value, attributes)) extra[key] = value;
  }
  if (attributes['html'] === true && !isInlineHtml(run.insert)) {
    // Written as it is it would be read as something else.
    extra['html'] = true;
    delete attributes['html'];
  }
  const flag = (key: string): true | undefined => (attributes[key] === true ? true : undefined);
  const link = attributes['link'];
  const title = attributes['link_title'];
  const marks = {
    link:
      typeof link === 'string' ? { url: link, title: typeof title === 'string' ? title : null } : undefined,
    extra: Object.keys(extra).length > 0 ? extra : undefined,
    underline: flag('underline'),
    bold: flag('bold'),
    italic: flag('italic'),
    strike: flag('strike'),
  };
  return { insert: run.insert, attributes, marks };
}

function isNative(key: string, value: unknown, attributes: Attributes): boolean {
  if (!nativeKeys.has(key)) return false;
  // A title without what it is the title of is just another attribute.
  if (key.endsWith('_title') && typeof attributes[key.slice(0, -'_title'.length)] !== 'string') return false;
  const isText = ['link', 'link_title', 'image', 'image_title', 'footnote'].includes(key);
  return isText ? typeof value === 'string' : value === true;
}

function isInlineHtml(source: string): boolean {
  const [paragraph, ...others] = parseMdast(`x${source}x`).children;
  if (paragraph?.type !== 'paragraph' || others.length > 0) return false;
  const inner = paragraph.children.slice(1, -1);
  return inner.every((node) => node.type === 'html') && inner.map((node) => node.value).join('') === source;
}

function nest(runs: readonly MarkedRun[], done: ReadonlySet<MarkKind>): PhrasingContent[] {
  const nodes: PhrasingContent[] = [];
  for (let start = 0; start < runs.length;) {
    const first = runs[start];
    if (first === undefined) break;
    let best: MarkKind | undefined;
    let end = start + 1;
    for (const kind of markKinds) {
      if (done.has(kind) || first.marks[kind] === undefined) continue;
      const reach = markEnd(runs, start, kind);
      if (best === undefined || reach > end) {
        best = kind;
        end = reach;
      }
    }
    if (best === undefined) nodes.push(...leafNodes(first));
    else
      nodes.push(...enclose(best, first.marks[best], nest(runs.slice(start, end), new Set([...done, best]))));
    start = end;
  }
  return nodes;
}

function markEnd(runs: readonly MarkedRun[], start: number, kind: MarkKind): number {
  const value = runs[start]?.marks[kind];
  let end = start + 1;
  while (end < runs.length && jsonEquals(runs[end]?.marks[kind], value)) end += 1;
  return end;
}

function enclose(kind: MarkKind, value: unknown, children: PhrasingContent[]): PhrasingContent[] {
  // Only a link can be empty.
  if (children.length === 0 && kind !== 'link') return [];
  switch (kind) {
    case 'bold':
      return [{ type: 'strong', children }];
    case 'italic':
      return [{ type: 'emphasis', children }];
    case 'strike':
      return [{ type: 'delete', children }];
    case 'underline':
      return [{ type: 'html', value: '<u>' }, ...children, { type: 'html', value: '</u>' }];
    case 'extra':
      return [
        { type: 'html', value: `<span data-octavo='${attributeJson(value)}'>` },
        ...children,
        { type: 'html', value: '</span>' },
      ];
    case 'link': {
      const { url, title } = value as { url: string; title: string | null };
      // The types forbid a link in a link; there is none, as each kind is opened once.
      return [{ type: 'link', url, title, children: children as never[] }];
    }
  }
}

/** JSON without the characters that end an attribute, a tag or a table cell. */
function attributeJson(value: unknown): string {
  return JSON.stringify(value).replace(
    /['<>&|`\u0085\u2028\u2029]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

function leafNodes(run: MarkedRun): PhrasingContent[] {
  const { insert, attributes } = run;
  const { image, image_title: title, footnote } = attributes;
  if (attributes['html'] === true) return [{ type: 'html', value: insert }];
  if (attributes['code'] === true) return [{ type: 'inlineCode', value: insert }];
  if (typeof image === 'string') {
    const imageTitle = typeof title === 'string' ? title : null;
    const alts = insert.split(emptyInsert);
    // Neighbouring images without alternative text have become one run: one mark each.
    const images = alts.every((alt) => alt === '') ? alts.slice(1) : [alts.join('')];
    return images.map((alt) => ({ type: 'image', url: image, title: imageTitle, alt }));
  }
  if (typeof footnote === 'string') return footnoteNodes(insert, footnote);
  const text = typeof attributes['link'] === 'string' ? insert.replaceAll(emptyInsert, '') : insert;
  return text.split('\n').flatMap((line, index): PhrasingContent[] => {
    const node: PhrasingContent[] = line === '' ? [] : [{ type: 'text', value: line }];
    return index === 0 ? node : [{ type: 'break' }, ...node];
  });
}

/** `[^1][^1]` is one run; what an editor has typed into the mark is text after it. */
function footnoteNodes(insert: string, label: string): PhrasingContent[] {
  const mark = `[^${label}]`;
  const nodes: PhrasingContent[] = [];
  let rest = insert;
  while (rest.startsWith(mark)) {
    nodes.push({ type: 'footnoteReference', identifier: label.toLowerCase(), label });
    rest = rest.slice(mark.length);
  }
  if (rest !== '') nodes.push({ type: 'text', value: rest });
  return nodes;
}
