/**
 * The texts of a page's blocks, as the application sees them: a Y.Doc for each block it asked for with `page.text`, runs
 * of text for those it only reads. A live document holds confirmed and own pending text; what the application edits in it
 * comes out as one update per Yjs transaction, what others edit goes in with the origin `REMOTE`.
 *
 * One Yjs client id serves all blocks of the page session. After a refusal it is replaced, for what is written next
 * could not continue what was refused; and the documents concerned are replaced too: the handed-out Y.Text is *stale*.
 */
import * as Y from 'yjs';
import type { Random } from '../base/random.ts';
import type { TextRun } from '../document/block-json.ts';
import { textDoc } from '../document/text-doc.ts';
import { TEXT_ROOT } from '../document/text-update.ts';
import type { BlockId } from '../protocol/ids.ts';
import { readRuns, runsOf } from './text-codec.ts';

/** The origin of Yjs transactions that bring others' edits. */
export const REMOTE = { octavo: 'remote' } as const;

export interface LiveText {
  readonly doc: Y.Doc;
  readonly text: Y.Text;
  stale: boolean;
}

export interface TextHooks {
  /** All updates that the block's text adds up to. */
  updatesOf(block: BlockId): readonly Uint8Array[];
  opened(block: BlockId, live: LiveText): void;
  edited(block: BlockId, update: Uint8Array, live: LiveText): void;
}

export class Texts {
  readonly #random: Random;
  readonly #hooks: TextHooks;
  readonly #live = new Map<BlockId, LiveText>();
  readonly #runs = new Map<BlockId, readonly TextRun[]>();
  /** Blocks that are read and edited by others in turn: reading them from their bytes each time would cost their whole text. */
  readonly #watched = new Set<BlockId>();
  #client: number;

  constructor(random: Random, hooks: TextHooks) {
    this.#random = random;
    this.#hooks = hooks;
    this.#client = random.uint32();
  }

  /** The Yjs client id of what is written now. */
  get client(): number {
    return this.#client;
  }

  /** The live text of a block; made when first asked for. */
  open(block: BlockId): Y.Text {
    const known = this.#live.get(block);
    if (known) return known.text;
    const doc = new Y.Doc();
    const live: LiveText = { doc, text: doc.getText(TEXT_ROOT), stale: false };
    // Yjs tidies redundant formats after a remote edit by an edit of its own. Every reader would send the same one, and
    // those who may only read could not; unsent it would make this copy differ. So it is left alone, from the beginning.
    doc.on('afterTransaction', (transaction) => {
      if (transaction.origin === REMOTE) transaction._needFormattingCleanup = false;
    });
    doc.transact(() => {
      for (const update of this.#hooks.updatesOf(block)) Y.applyUpdate(doc, update, REMOTE);
    }, REMOTE);
    // Not before: Yjs gives a document another id when updates under its own come in.
    doc.clientID = this.#client;
    this.#live.set(block, live);
    this.#hooks.opened(block, live);
    doc.on('update', (update: Uint8Array, origin: unknown) => {
      this.#runs.delete(block);
      if (origin !== REMOTE) this.#hooks.edited(block, update, live);
    });
    return live.text;
  }

  /** The block's text as runs. Cached until it changes; the caller must not write to it. */
  runs(block: BlockId): readonly TextRun[] {
    let runs = this.#runs.get(block);
    if (!runs) {
      if (this.#watched.has(block)) this.open(block);
      const live = this.#live.get(block);
      runs = live ? runsOf(live.text) : readRuns(this.#hooks.updatesOf(block));
      this.#runs.set(block, runs);
    }
    return runs;
  }

  /** Somebody else's edit has been applied. */
  remote(block: BlockId, update: Uint8Array): void {
    if (this.#runs.delete(block)) this.#watched.add(block);
    const live = this.#live.get(block);
    if (live) Y.applyUpdate(live.doc, update, REMOTE);
  }

  /** Whether the block has a live document. */
  isOpen(block: BlockId): boolean {
    return this.#live.has(block);
  }

  /** Forgets what was read of a block, when its updates changed by other ways. */
  forgetRuns(block: BlockId): void {
    this.#runs.delete(block);
  }

  /** Everything may have changed: a newer snapshot of the same log. Returns the blocks that must be reset. */
  refreshAll(): BlockId[] {
    this.#runs.clear();
    return [...this.#live.keys()].filter((block) => !this.refresh(block));
  }

  /**
   * Brings a live document up to what its block's text adds up to. False if it holds edits that are not held any more
   * (mine, for a block that another made first; another's, that was withdrawn): it must be reset.
   */
  refresh(block: BlockId): boolean {
    this.#runs.delete(block);
    const live = this.#live.get(block);
    if (!live) return true;
    const updates = this.#hooks.updatesOf(block);
    const held = textDoc(updates);
    for (const update of updates) Y.applyUpdate(live.doc, update, REMOTE);
    // By what was written and by what was deleted: both may be held no more.
    const same = Y.equalSnapshots(Y.snapshot(held), Y.snapshot(live.doc));
    held.destroy();
    return same;
  }

  /** What follows is written under a new Yjs client id. */
  renewClient(): void {
    this.#client = this.#random.uint32();
  }

  /** The block's document no longer stands for its text. Whoever holds it must ask again. */
  reset(block: BlockId): void {
    this.#runs.delete(block);
    const live = this.#live.get(block);
    if (!live) return;
    live.stale = true;
    this.#live.delete(block);
    // Later: this may run inside an event of that very document.
    queueMicrotask(() => live.doc.destroy());
  }

  resetAll(): BlockId[] {
    const blocks = [...this.#live.keys()];
    for (const block of blocks) this.reset(block);
    this.#runs.clear();
    return blocks;
  }
}
