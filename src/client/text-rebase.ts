/**
 * Makes text edits again after something they were built upon is lost: a change that the server refused, or a log that
 * is another one. Yjs cannot take an update without what its client wrote before, so the edits are replayed in a scratch
 * document that still has it, read there as plain deltas, and made anew (under a new Yjs client id) upon what is held.
 *
 *     scratch:  before ─ refused ─ its inverse ─ edit 1 ─ edit 2 …      each edit is observed as a delta
 *     fresh:    base ──────────────────────────── delta 1 ─ delta 2 …    each gives the new update
 *
 * Where `before` and `base` show the same text (a refusal), the deltas fit exactly; where not, they are cut to length.
 */
import * as Y from 'yjs';
import { textDoc } from '../document/text-doc.ts';
import { continues, scanTextUpdate, TEXT_ROOT } from '../document/text-update.ts';

export interface Rebase {
  /** What the edits were made upon, without the refused updates. */
  readonly before: readonly Uint8Array[];
  readonly refused: readonly Uint8Array[];
  /** What they shall be made upon now. */
  readonly base: readonly Uint8Array[];
  readonly edits: readonly Uint8Array[];
  readonly client: number;
}

export type Rebased = Uint8Array | 'lost' | null;

type Delta = { insert?: unknown; retain?: number; delete?: number; attributes?: object }[];

/** One for each edit: the new update; null where nothing is left to say; `lost` where it could not be read at all. */
export function rebaseEdits({ before, refused, base, edits, client }: Rebase): Rebased[] {
  const scratch = textDoc(before);
  const old = scratch.getText(TEXT_ROOT);
  // Its own edits only take back, and never leave it; drawn by Yjs, the id would make two runs differ.
  scratch.clientID = 0;
  takeBack(scratch, old, refused);
  const fresh = textDoc(base);
  const text = fresh.getText(TEXT_ROOT);
  fresh.clientID = client;
  let made: Uint8Array[] = [];
  fresh.on('update', (update: Uint8Array) => made.push(update));
  let delta: Delta = [];
  old.observe((event) => (delta = event.delta as Delta));
  const results = edits.map((edit) => {
    [delta, made] = [[], []];
    if (!fits(scratch, edit)) return 'lost';
    Y.applyUpdate(scratch, edit);
    const fitting = cut(delta, text.length);
    if (fitting.length > 0) fresh.transact(() => text.applyDelta(fitting, { sanitize: false }));
    return made[0] ?? null;
  });
  scratch.destroy();
  fresh.destroy();
  return results;
}

/** Applies updates and their inverse, so that the text shows what it showed before, but later updates find them. */
function takeBack(doc: Y.Doc, text: Y.Text, updates: readonly Uint8Array[]): void {
  if (updates.length === 0) return;
  const origin = {};
  const undo = new Y.UndoManager(text, { trackedOrigins: new Set([origin]) });
  for (const update of updates) {
    if (!fits(doc, update)) continue;
    Y.applyUpdate(doc, update, origin);
    undo.stopCapturing();
  }
  while (undo.undoStack.length > 0) undo.undo();
  undo.destroy();
}

/** Whether the document holds what the update builds upon. */
function fits(doc: Y.Doc, update: Uint8Array): boolean {
  const shape = scanTextUpdate(update);
  return !('malformed' in shape) && continues(shape, (client) => Y.getState(doc.store, client));
}

/** The part of a delta that fits a text of `length`. */
function cut(delta: Delta, length: number): Delta {
  let left = length;
  const fitting: Delta = [];
  for (const step of delta) {
    const wanted = step.retain ?? step.delete;
    if (wanted === undefined) {
      fitting.push(step);
      continue;
    }
    const count = Math.min(wanted, left);
    left -= count;
    if (count > 0) fitting.push(step.retain === undefined ? { delete: count } : { ...step, retain: count });
  }
  return fitting;
}
