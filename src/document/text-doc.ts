/**
 * A Yjs document that says what its updates say, and nothing else. Left to itself, Yjs tidies formats after an edit of
 * somebody else by an edit of its own: where two make the same words bold it deletes one of both. Nobody sends that, so a
 * copy which did it would differ, as soon as somebody who has both writes between them.
 */
import * as Y from 'yjs';
import { TEXT_ROOT } from './text-update.ts';

/** The document of these updates; `gc`: without the characters that were deleted. */
export function textDoc(updates: readonly Uint8Array[], gc = false): Y.Doc {
  const doc = new Y.Doc({ gc });
  doc.getText(TEXT_ROOT);
  doc.on('afterTransaction', (transaction) => {
    transaction._needFormattingCleanup = false;
  });
  for (const update of updates) Y.applyUpdate(doc, update);
  return doc;
}
