/**
 * The two shapes of text that need no Y.Doc: a block's first text, written as a Yjs update by hand, and the same shape
 * read back. Most blocks of a page are made once and never typed in again; a 10,000-block page is read ten times faster
 * than through 10,000 documents. Anything else goes through Yjs. Layout: see `document/text-update.ts`.
 */
import * as Y from 'yjs';
import type { TextRun } from '../document/block-json.ts';
import { textDoc } from '../document/text-doc.ts';
import { TEXT_ROOT } from '../document/text-update.ts';

const utf8 = new TextEncoder();
const fromUtf8 = new TextDecoder('utf-8', { ignoreBOM: true });
/** content string, neither origin; then parent info: a root, named `text`. */
const HEAD = [4, 1, TEXT_ROOT.length, ...utf8.encode(TEXT_ROOT)];
/** Stands for an embed in runs of plain text: the object replacement character. */
const EMBED = '\uFFFC';

function pushUint(bytes: number[], value: number): void {
  let rest = value;
  for (; rest > 127; rest = Math.floor(rest / 128)) bytes.push((rest % 128) | 128);
  bytes.push(rest);
}

/** One update that holds `text` as the first edit of Yjs client id `client`; null for an empty text. */
export function encodeFirstText(client: number, text: string | readonly TextRun[]): Uint8Array | null {
  if (typeof text !== 'string') return encodeFirstRuns(client, text);
  if (text.length === 0) return null;
  const content = utf8.encode(text);
  const head = [1, 1];
  pushUint(head, client);
  head.push(0, ...HEAD);
  pushUint(head, content.length);
  const bytes = new Uint8Array(head.length + content.length + 1);
  bytes.set(head);
  bytes.set(content, head.length);
  return bytes;
}

function encodeFirstRuns(client: number, runs: readonly TextRun[]): Uint8Array | null {
  const filled = runs.filter((run) => run.insert.length > 0);
  if (filled.length === 0) return null;
  if (filled.every((run) => !run.attributes || Object.keys(run.attributes).length === 0)) {
    return encodeFirstText(client, filled.map((run) => run.insert).join(''));
  }
  const doc = new Y.Doc();
  doc.clientID = client;
  doc.getText(TEXT_ROOT).applyDelta(filled, { sanitize: false });
  const update = Y.encodeStateAsUpdate(doc);
  doc.destroy();
  return update;
}

/** The text, if the update is of the shape that `encodeFirstText` writes; else `undefined`. */
export function decodeFirstText(update: Uint8Array): string | undefined {
  if (update[0] !== 1 || update[1] !== 1 || update[update.length - 1] !== 0) return undefined;
  let at = 2;
  while (update[at]! > 127) at++;
  if (update[++at] !== 0) return undefined;
  at++;
  for (const byte of HEAD) if (update[at++] !== byte) return undefined;
  let length = 0;
  for (let factor = 1; ; factor *= 128) {
    const byte = update[at++];
    if (byte === undefined) return undefined;
    length += (byte & 127) * factor;
    if (byte < 128) break;
  }
  return at + length + 1 === update.length ? fromUtf8.decode(update.subarray(at, at + length)) : undefined;
}

/** The text that a list of updates adds up to. */
export function readRuns(updates: readonly Uint8Array[]): TextRun[] {
  if (updates.length === 0) return [];
  const plain = updates.length === 1 ? decodeFirstText(updates[0]!) : undefined;
  if (plain !== undefined) return [{ insert: plain }];
  const doc = textDoc(updates);
  const runs = runsOf(doc.getText(TEXT_ROOT));
  doc.destroy();
  return runs;
}

/** A live text as runs. An embed becomes the object replacement character with the attribute `embed`. */
export function runsOf(text: Y.Text): TextRun[] {
  return (text.toDelta() as { insert: unknown; attributes?: TextRun['attributes'] }[]).map(
    ({ insert, attributes }) => {
      if (typeof insert !== 'string')
        return { insert: EMBED, attributes: { ...attributes, embed: insert as never } };
      return attributes ? { insert, attributes } : { insert };
    },
  );
}
