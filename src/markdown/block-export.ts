/**
 * From blocks to the block part of mdast: the inverse of block-import.ts.
 *
 * Neighbouring items of one kind become one list. Blocks that Markdown has no form for are put into an
 * envelope. The tree given must be of bounded depth, see block-depth.ts: this file recurses.
 */
import type { ListItem, RootContent, Table } from 'mdast';
import type { BlockJson, TextRun } from '../document/block-json.ts';
import { type EnvelopeLabel, envelopeEnd, envelopeStart } from './envelope.ts';
import { runsToInline } from './inline-export.ts';
import { canContain, hasNativeForm, listKind, splitProps } from './native-form.ts';

/** Markdown source that goes out as it is. blocks-to-markdown.ts brings the handler for it. */
export interface RawInline {
  type: 'octavoRaw';
  value: string;
}

/** Converts a page or the children of a block. */
export function blocksToFlow(blocks: readonly BlockJson[]): RootContent[] {
  const nodes: RootContent[] = [];
  for (let index = 0; index < blocks.length;) {
    const block = blocks[index];
    if (block === undefined) break;
    if (!isPlain(block)) {
      nodes.push(...inEnvelope(block));
      index += 1;
    } else if (listKind(block) !== undefined) {
      const end = listEnd(blocks, index);
      nodes.push(listNode(blocks.slice(index, end)));
      index = end;
    } else {
      nodes.push(...nativeNodes(block, block.children));
      index += 1;
    }
  }
  return nodes;
}

/** Whether the native form says everything about the block. */
function isPlain(block: BlockJson): boolean {
  if (isBlank(block)) return true;
  return (
    hasNativeForm(block) &&
    Object.keys(splitProps(block).unsaid).length === 0 &&
    (block.children.length === 0 || canContain(block.type))
  );
}

/** An empty line, as editors have them; Markdown does not, and an envelope for nothing is noise. */
function isBlank(block: BlockJson): boolean {
  const empty = block.text.every((run) => run.insert.trim() === '');
  return (
    block.type === 'paragraph' &&
    empty &&
    block.children.length === 0 &&
    Object.keys(block.props).length === 0
  );
}

function listEnd(blocks: readonly BlockJson[], start: number): number {
  const first = blocks[start];
  let end = start + 1;
  for (; end < blocks.length; end += 1) {
    const block = blocks[end];
    if (first === undefined || block === undefined || listKind(block) !== listKind(first) || !isPlain(block))
      break;
    if (block.props['new_list'] === true || block.props['start'] !== undefined) break;
  }
  return end;
}

function listNode(items: readonly BlockJson[]): RootContent {
  const first = items[0];
  const ordered = first !== undefined && listKind(first) === 'ordered';
  const start = first?.props['start'];
  const spread = first?.props['loose'] === true;
  const children = items.map((item): ListItem => {
    const flow = withHead(item.text, item.children);
    const checked = item.type === 'to_do' ? item.props['checked'] === true : null;
    return { type: 'listItem', spread, checked, children: flow as ListItem['children'] };
  });
  return { type: 'list', ordered, start: typeof start === 'number' ? start : 1, spread, children };
}

function withHead(text: readonly TextRun[], children: readonly BlockJson[]): RootContent[] {
  const inline = runsToInline(text);
  const head: RootContent[] = inline.length > 0 ? [{ type: 'paragraph', children: inline }] : [];
  return [...head, ...blocksToFlow(children)];
}

function sourceOf(block: BlockJson): string {
  return block.text
    .map((run) => run.insert)
    .join('')
    .replace(/\r\n?/g, '\n')
    .replaceAll('\0', '\uFFFD');
}

function nativeNodes(block: BlockJson, children: readonly BlockJson[]): RootContent[] {
  const text = (key: string): string | null => {
    const value = block.props[key];
    return typeof value === 'string' ? value : null;
  };
  switch (block.type) {
    case 'paragraph':
      return withHead(block.text, []);
    case 'divider':
      return [{ type: 'thematicBreak' }];
    case 'code':
      return [{ type: 'code', lang: text('language'), meta: text('meta'), value: sourceOf(block) }];
    case 'markdown_html':
      return [{ type: 'html', value: sourceOf(block) }];
    case 'image': {
      const image = {
        type: 'image',
        url: text('url') ?? '',
        alt: text('caption'),
        title: text('title'),
      } as const;
      return [{ type: 'paragraph', children: [image] }];
    }
    case 'quote':
      return [{ type: 'blockquote', children: withHead(block.text, children) as never[] }];
    case 'callout':
      return [
        { type: 'blockquote', children: calloutFlow(block, text('kind') ?? 'NOTE', children) as never[] },
      ];
    case 'table':
      return [tableNode(block)];
    case 'markdown_definition': {
      const label = text('label') ?? '';
      return [{ type: 'definition', identifier: label, label, url: text('url') ?? '', title: text('title') }];
    }
    case 'markdown_footnote': {
      const label = text('label') ?? '';
      const flow = withHead(block.text, children) as never[];
      return [{ type: 'footnoteDefinition', identifier: label, label, children: flow }];
    }
    case 'bulleted_list':
    case 'numbered_list':
    case 'to_do':
      return [listNode([{ ...block, children: [...children] }])];
    default: {
      const depth = Number(block.type.slice('heading_'.length)) as 1 | 2 | 3 | 4 | 5 | 6;
      return [{ type: 'heading', depth, children: runsToInline(block.text) }];
    }
  }
}

function calloutFlow(block: BlockJson, kind: string, children: readonly BlockJson[]): RootContent[] {
  const inline = runsToInline(block.text);
  const mark: RawInline = { type: 'octavoRaw', value: inline.length > 0 ? `[!${kind}]\n` : `[!${kind}]` };
  return [{ type: 'paragraph', children: [mark as never, ...inline] }, ...blocksToFlow(children)];
}

function tableNode(table: BlockJson): Table {
  const rows = table.children.map((row) => ({
    type: 'tableRow' as const,
    children: row.children.map((cell) => ({ type: 'tableCell' as const, children: runsToInline(cell.text) })),
  }));
  const align = table.props['align'];
  return {
    type: 'table',
    align: Array.isArray(align) ? (align as Table['align'] & object) : [],
    children: rows,
  };
}

/** The block as comment, head, children, comment; what the head says is not repeated in the comment. */
function inEnvelope(block: BlockJson): RootContent[] {
  const { unsaid } = splitProps(block);
  const { label, head, children } = envelopeHead(block);
  const native = label.type === undefined;
  const props = native ? unsaid : block.props;
  if (Object.keys(props).length > 0) label.props = props;
  return [
    { type: 'html', value: envelopeStart(label) },
    ...head,
    ...blocksToFlow(children),
    { type: 'html', value: envelopeEnd },
  ];
}

function envelopeHead(block: BlockJson): {
  label: EnvelopeLabel;
  head: RootContent[];
  children: readonly BlockJson[];
} {
  const { type, children, text } = block;
  if (type !== 'table' && hasNativeForm(block)) {
    const inside = canContain(type);
    const said = { ...block, props: splitProps(block).said };
    return { label: {}, head: nativeNodes(said, inside ? children : []), children: inside ? [] : children };
  }
  if (type === 'table' && hasNativeForm(block)) return { label: {}, head: [tableNode(block)], children: [] };
  if (type === 'markdown_html' || type === 'markdown_frontmatter') {
    return { label: { type }, head: [{ type: 'code', value: sourceOf(block) }], children };
  }
  const head = withHead(text, []);
  if (head.length > 0) return { label: { type }, head, children };
  const { url, caption } = block.props;
  if (typeof url === 'string' && url !== '') {
    const shown: TextRun = {
      insert: typeof caption === 'string' && caption.trim() !== '' ? caption : url,
      attributes: { link: url },
    };
    return { label: { type, view: true }, head: withHead([shown], []), children };
  }
  return { label: { type, bare: true }, head: [], children };
}
