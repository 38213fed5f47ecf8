/**
 * The envelope: how a block that Markdown has no form for travels through Markdown unharmed.
 *
 *     <!-- octavo {"type":"toggle","props":{"open":true}} -->
 *
 *     What it says            <- head: the first block inside, in the nearest native form
 *
 *     - its children          <- everything after the head
 *
 *     <!-- /octavo -->
 *
 * A reader of the Markdown sees ordinary text. On import the pair is folded into one block: type and
 * properties of the comment win over those of the head. `bare` says that there is no head, `view` that the
 * head only shows what the properties say. Comments that do not pair up stay raw HTML.
 */
import type { BlockJson, TextRun } from '../document/block-json.ts';
import { emptyInsert } from './text-runs.ts';

export interface EnvelopeLabel {
  type?: string;
  props?: BlockJson['props'];
  bare?: true;
  view?: true;
}

export const envelopeEnd = '<!-- /octavo -->';

/** The opening comment. No `<`, `>` or line end inside, whatever the properties hold. */
export function envelopeStart(label: EnvelopeLabel): string {
  const json = JSON.stringify(label).replace(
    /[<>\u0085\u2028\u2029]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
  return `<!-- octavo ${json} -->`;
}

/** Turns each opening comment, what follows and its closing comment into one block. */
export function foldEnvelopes(blocks: readonly BlockJson[]): BlockJson[] {
  interface Frame {
    start: BlockJson;
    label: EnvelopeLabel;
    inside: BlockJson[];
  }
  const top: BlockJson[] = [];
  const open: Frame[] = [];
  const target = (): BlockJson[] => open.at(-1)?.inside ?? top;
  for (const block of blocks) {
    const source = block.type === 'markdown_html' ? (block.text[0]?.insert ?? '') : '';
    const label = source === envelopeEnd ? undefined : readLabel(source);
    if (label !== undefined) {
      open.push({ start: block, label, inside: [] });
    } else if (source === envelopeEnd && open.length > 0) {
      const frame = open.pop();
      if (frame !== undefined) target().push(unpack(frame.label, frame.inside));
    } else {
      target().push(block);
    }
  }
  // Never closed: they are comments like any other.
  for (let frame = open.pop(); frame !== undefined; frame = open.pop())
    target().push(frame.start, ...frame.inside);
  return top;
}

function unpack(label: EnvelopeLabel, inside: BlockJson[]): BlockJson {
  const head = label.bare === true ? undefined : inside[0];
  const rest = head === undefined ? inside : inside.slice(1);
  const kept = label.view === true ? undefined : head;
  if (label.type !== undefined && kept?.type === 'image') {
    // The head was a line of text which happened to be one image.
    return { type: label.type, props: { ...label.props }, text: [imageRun(kept)], children: rest };
  }
  return {
    type: label.type ?? kept?.type ?? 'paragraph',
    props: { ...kept?.props, ...label.props },
    text: kept?.text ?? [],
    children: [...(kept?.children ?? []), ...rest],
  };
}

function imageRun({ props }: BlockJson): TextRun {
  const { url, caption, title } = props;
  const attributes: BlockJson['props'] = { image: url ?? '' };
  if (title !== undefined) attributes['image_title'] = title;
  return { insert: typeof caption === 'string' ? caption : emptyInsert, attributes };
}

function readLabel(source: string): EnvelopeLabel | undefined {
  const json = /^<!-- octavo (\{.*\}) -->$/.exec(source)?.[1];
  if (json === undefined) return undefined;
  try {
    const { type, props, bare, view } = JSON.parse(json) as { [key: string]: unknown };
    const label: EnvelopeLabel = {};
    if (typeof type === 'string') label.type = type;
    if (typeof props === 'object' && props !== null && !Array.isArray(props)) {
      label.props = props as BlockJson['props'];
    }
    if (bare === true) label.bare = true;
    if (view === true) label.view = true;
    return label;
  } catch {
    // Outside world: a comment edited by hand. Then it is a comment like any other.
    return undefined;
  }
}
