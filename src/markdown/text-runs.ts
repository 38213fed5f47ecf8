/**
 * The normal form of formatted text, shared by import and export.
 *
 * Markdown cannot say everything attributes can: emphasis does not start or end with a space, a line does
 * not begin with one, a code span holds no line break. Both directions first bring runs into the form that
 * Markdown can say, which is what makes import(export(x)) = x possible at all.
 *
 * Invariants of the result: no empty run, no two neighbours with equal attributes, attribute keys sorted, no
 * attribute that is null or false, no white space at either end of the text, no link around space alone.
 */
import type { JsonValue } from '../base/json.ts';
import type { TextRun } from '../document/block-json.ts';

export type Attributes = { [key: string]: JsonValue };

/** Stands for an image without alternative text or a link without text: a run cannot be empty. */
export const emptyInsert = '\uFFFC';

/** Marks whose Markdown delimiters must touch what they enclose. */
const tightMarks = ['bold', 'italic', 'strike'] as const;

interface Piece {
  insert: string;
  attributes: Attributes;
}

/** Brings runs into normal form; applying it twice changes nothing more. */
export function normalizeRuns(runs: readonly TextRun[]): TextRun[] {
  const pieces = runs.flatMap((run) => splitSpace(cleanRun(run)));
  for (const mark of tightMarks) {
    dropMarkAtEdge(pieces, mark);
    pieces.reverse();
    dropMarkAtEdge(pieces, mark);
    pieces.reverse();
  }
  const kept = keepBlankLinks(pieces);
  trimAroundBreaks(kept);
  kept.reverse();
  trimAroundBreaks(kept);
  kept.reverse();
  return merge(kept);
}

/** Structural equality of JSON values, whatever the order of keys. */
export function jsonEquals(a: unknown, b: unknown): boolean {
  if (a === b) return true;
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false;
  if (Array.isArray(a) !== Array.isArray(b)) return false;
  const keys = Object.keys(a);
  if (keys.length !== Object.keys(b).length) return false;
  return keys.every(
    (key) =>
      Object.hasOwn(b, key) &&
      jsonEquals((a as Record<string, unknown>)[key], (b as Record<string, unknown>)[key]),
  );
}

/** Code, raw HTML, images and footnote marks are one thing each: the space in them is their own. */
export function isAtom(attributes: Attributes): boolean {
  return (
    attributes['code'] === true ||
    attributes['html'] === true ||
    typeof attributes['image'] === 'string' ||
    typeof attributes['footnote'] === 'string'
  );
}

function cleanRun(run: TextRun): Piece {
  const attributes: Attributes = {};
  for (const key of Object.keys(run.attributes ?? {}).sort()) {
    const value = run.attributes?.[key];
    if (value === undefined || value === null || value === false) continue;
    const isTitle = (key === 'link_title' || key === 'image_title') && typeof value === 'string';
    // Through defineProperty, as an attribute may be called `__proto__`.
    Object.defineProperty(attributes, key, {
      value: isTitle ? oneLine(value) : value,
      enumerable: true,
      configurable: true,
      writable: true,
    });
  }
  const text = String(run.insert).replace(/\r\n?/g, '\n').replaceAll('\0', '\uFFFD');
  return { insert: isAtom(attributes) ? oneLine(text) : text, attributes };
}

/** A line break inside a code span, tag, title or alternative text is no more than a space. */
export function oneLine(text: string): string {
  return /[\r\n]/.test(text) ? trimLines(text.replace(/\r\n?/g, '\n'), ' ') : text;
}

/** Puts the space at both ends of a run into pieces of its own, so that marks can leave it. */
function splitSpace(piece: Piece): Piece[] {
  if (isAtom(piece.attributes)) return [piece];
  const text = piece.insert;
  let start = 0;
  let end = text.length;
  while (start < end && isSpaceAt(text, start)) start += 1;
  while (end > start && isSpaceAt(text, end - 1)) end -= 1;
  return [text.slice(0, start), text.slice(start, end), text.slice(end)]
    .filter((part) => part !== '')
    .map((insert) => ({ insert, attributes: { ...piece.attributes } }));
}

function isSpaceAt(text: string, index: number): boolean {
  const character = text[index];
  return character === ' ' || character === '\t' || character === '\n';
}

/** Takes the space off both sides of each line break. Not by one pattern: that is quadratic in long space. */
function trimLines(text: string, joint: string): string {
  const lines = text.split('\n');
  return lines
    .map((line, index) => {
      let start = 0;
      let end = line.length;
      while (index > 0 && start < end && isSpaceAt(line, start)) start += 1;
      while (index < lines.length - 1 && end > start && isSpaceAt(line, end - 1)) end -= 1;
      return line.slice(start, end);
    })
    .join(joint);
}

function isSpace(piece: Piece): boolean {
  return !isAtom(piece.attributes) && /^[ \t\n]*$/.test(piece.insert);
}

/** Takes a mark off the space that begins a marked range. */
function dropMarkAtEdge(pieces: Piece[], mark: string): void {
  let inside = false;
  for (const piece of pieces) {
    if (piece.attributes[mark] === undefined) inside = false;
    else if (inside || !isSpace(piece)) inside = true;
    else delete piece.attributes[mark];
  }
}

/** Puts the empty insert behind space that is all a link holds: trimmed, it would take the address along. */
function keepBlankLinks(pieces: readonly Piece[]): Piece[] {
  const kept: Piece[] = [];
  let blank = true;
  for (const [index, piece] of pieces.entries()) {
    kept.push(piece);
    const target = linkOf(piece);
    blank = blank && isSpace(piece);
    if (jsonEquals(target, linkOf(pieces[index + 1]))) continue;
    if (blank && target !== undefined)
      kept.push({ insert: emptyInsert, attributes: { ...piece.attributes } });
    blank = true;
  }
  return kept;
}

function linkOf(piece: Piece | undefined): Attributes | undefined {
  const { link, link_title: title } = piece?.attributes ?? {};
  return typeof link === 'string' ? { link, title: title ?? null } : undefined;
}

/** No space beside a hard break or at the edge of the text. Called once in each direction. */
function trimAroundBreaks(pieces: Piece[]): void {
  let atEdge = true;
  let afterBreak = true;
  for (const piece of pieces) {
    if (isAtom(piece.attributes)) {
      if (piece.insert !== '') atEdge = afterBreak = false;
      continue;
    }
    piece.insert = trimLines(piece.insert, '\n');
    if (!isSpace(piece)) {
      atEdge = afterBreak = false;
    } else if (atEdge) {
      piece.insert = '';
    } else if (piece.insert.includes('\n')) {
      afterBreak = true;
    } else if (afterBreak) {
      piece.insert = '';
    }
  }
}

function merge(pieces: readonly Piece[]): TextRun[] {
  const runs: TextRun[] = [];
  let last: Piece | undefined;
  for (const piece of pieces) {
    if (piece.insert === '') continue;
    const run = runs.at(-1);
    if (run !== undefined && last !== undefined && jsonEquals(last.attributes, piece.attributes)) {
      run.insert += piece.insert;
    } else {
      const plain = Object.keys(piece.attributes).length === 0;
      runs.push(plain ? { insert: piece.insert } : { insert: piece.insert, attributes: piece.attributes });
      last = piece;
    }
  }
  return runs;
}
