/**
 * What the document model costs: checks and merge of one edit, on a page of 10 blocks and on one of 10,000, turn by turn
 * in one run. The two must be equal: an edit to a large page costs what an edit to a small page costs. Then what does
 * depend on size: snapshots of 10,000 blocks, and the merge of one block's text after many keystrokes.
 */
import * as Y from 'yjs';
import { BlocksModel } from '../../src/document/blocks-model.ts';
import { BlockText } from '../../src/document/block-text.ts';
import { encodeOps, type Op, type OpDraft } from '../../src/document/ops.ts';
import { stateHash } from '../../src/document/state-hash.ts';
import { scanTextUpdate } from '../../src/document/text-update.ts';
import type { BlockId } from '../../src/protocol/ids.ts';
import { defaultLimits } from '../../src/protocol/limits.ts';
import { figure, type Figure, type SuiteOptions, type SuiteResult } from '../lib/figures.ts';
import { expectedText, keystroke } from '../lib/keystroke.ts';
import { must } from '../lib/must.ts';
import { AUTHOR, buildModel, decoded, type PagePlan, planPage, stampAt } from '../lib/pages.ts';
import { collectGarbage, rateFigures, timed } from '../lib/rounds.ts';

const SMALL = 10;
const LARGE = 10_000;
const CHARACTERS = 80;
const EDITS = 20_000;
/** So many blocks are edited in turn: as many people at once, on either page. */
const EDITED = 8;
const FIRST_CLIENT = 3_000_000_000;

type MakeOp = (i: number, block: BlockId, page: PagePlan) => OpDraft;

const EDIT_KINDS: Readonly<Record<string, MakeOp>> = {
  keystroke: (i, block) => ({
    op: 'text',
    block,
    update: keystroke(FIRST_CLIENT + (i % EDITED), Math.floor(i / EDITED)),
  }),
  update: (i, block) => ({ op: 'update', block, props: { checked: i % 2 === 0 }, type: null }),
  move: (i, block, { page }) => ({
    op: 'move',
    block,
    parent: page as string as BlockId,
    key: i % 2 === 0 ? 'a0V' : 'a1V',
  }),
};

/** The decoded changes of one kind: spread over the page, the same number of blocks on both. */
function changesFor(page: PagePlan, make: MakeOp): Op[][] {
  const stride = Math.max(1, Math.floor(page.blocks.length / EDITED));
  return Array.from({ length: EDITS }, (_, i) => {
    const block = page.blocks[((i % EDITED) * stride) % page.blocks.length]!;
    return decoded(encodeOps([make(i, block, page)]));
  });
}

/** As a live page does it: check, then apply, then forget the queue. Returns ns an edit. */
function editNs(model: BlocksModel, changes: readonly Op[][]): number {
  let refused = 0;
  let without = 0;
  collectGarbage();
  const ms = timed(() => {
    for (let i = 0; i < changes.length; i++) {
      const stamp = stampAt(1000 + i);
      if (model.admit(changes[i]!, stamp, AUTHOR)) refused++;
      without += model.apply(changes[i]!, stamp, AUTHOR).length;
      model.resetQueue([]);
    }
  });
  must(refused === 0 && without === 0, 'every edit is let in and has an effect');
  return (ms * 1e6) / changes.length;
}

function edits(options: SuiteOptions, plans: readonly PagePlan[]): { figures: Figure[]; notes: string[] } {
  const figures: Figure[] = [];
  const notes: string[] = [];
  for (const [kind, make] of Object.entries(EDIT_KINDS)) {
    const changes = plans.map((plan) => changesFor(plan, make));
    const ns = plans.map((): number[] => []);
    // Round −1 warms up. The pages take turns, so that both meet the same machine.
    for (let round = -1; round < options.rounds; round++) {
      plans.forEach((plan, i) => {
        const took = editNs(buildModel(plan), changes[i]!);
        if (round >= 0) ns[i]!.push(took);
      });
    }
    plans.forEach((plan, i) => figures.push(...rateFigures(`${kind}, ${plan.blocks.length} blocks`, ns[i]!)));
    // Of the fastest rounds: other work on the machine only ever adds.
    const ratio = Math.min(...ns[1]!) / Math.min(...ns[0]!);
    notes.push(
      `${kind}: on ${LARGE} blocks it takes ${ratio.toFixed(2)} times what it takes on ${SMALL} (fastest rounds)`,
    );
  }
  return { figures, notes };
}

function snapshots(options: SuiteOptions, plan: PagePlan): { figures: Figure[]; bytes: number } {
  const model = buildModel(plan);
  const bytes = model.encodeSnapshot();
  const own = model.encodePrivate();
  const open = () => new BlocksModel(plan.page, defaultLimits, { snapshot: bytes, private: own });
  must(Buffer.compare(open().encodeSnapshot(), bytes) === 0, 'a snapshot of a snapshot is the same bytes');
  const encode: number[] = [];
  const decode: number[] = [];
  for (let round = 0; round < options.rounds; round++) {
    collectGarbage();
    encode.push(timed(() => void model.encodeSnapshot()));
    decode.push(timed(() => void open()));
  }
  return {
    bytes: bytes.length,
    figures: [
      figure(`snapshot of ${LARGE} blocks: encode`, 'ms', 'lower', encode),
      figure(`snapshot of ${LARGE} blocks: decode`, 'ms', 'lower', decode),
    ],
  };
}

/** A block's text after so many keystrokes of four people, as a snapshot meets it. */
function mergedText(options: SuiteOptions, keystrokes: number): Figure {
  const updates = Array.from({ length: keystrokes }, (_, i) => keystroke(FIRST_CLIENT + (i % 4), i >> 2));
  const shapes = updates.map((update) => {
    const shape = scanTextUpdate(update);
    must(!('malformed' in shape), 'a keystroke can be scanned');
    return shape;
  });
  const filled = () => {
    const text = new BlockText();
    updates.forEach((update, i) => must(text.append(update, shapes[i]!), 'a keystroke continues the text'));
    return text;
  };
  const doc = new Y.Doc();
  Y.applyUpdate(doc, filled().merged()!);
  const typed = new Map([0, 1, 2, 3].map((client) => [FIRST_CLIENT + client, keystrokes / 4]));
  must(doc.getText('text').toJSON() === expectedText(typed), 'the merged text is what was typed');
  const rounds = Array.from({ length: options.rounds }, () => {
    const text = filled();
    return timed(() => void text.merged());
  });
  return figure(`BlockText.merged after ${keystrokes} keystrokes`, 'ms', 'lower', rounds);
}

/** What the state's hash costs: of one keystroke, and of a whole state, as a load checks it. */
function hashes(options: SuiteOptions, plan: PagePlan): Figure[] {
  const { table } = buildModel(plan);
  const block = table.get(plan.blocks[0]!)!;
  const updates = Array.from({ length: EDITS }, (_, i) => keystroke(FIRST_CLIENT, i));
  const stamps = updates.map((_, i) => stampAt(1000 + i));
  const hash = stateHash(table.all());
  const [each, whole]: [number[], number[]] = [[], []];
  // Round −1 warms up.
  for (let round = -1; round < options.rounds; round++) {
    const ms = timed(() => updates.forEach((update, i) => hash.appendText(block, stamps[i]!, update)));
    const all = timed(() => void stateHash(table.all()));
    if (round < 0) continue;
    each.push((ms * 1e6) / EDITS);
    whole.push(all);
  }
  return [
    figure('hash of the state: one keystroke', 'ns', 'lower', each),
    figure(`hash of the state: ${LARGE} blocks anew`, 'ms', 'lower', whole),
  ];
}

export async function merge(options: SuiteOptions): Promise<SuiteResult> {
  const plans = [planPage(SMALL, CHARACTERS), planPage(LARGE, CHARACTERS)];
  const { figures, notes } = edits(options, plans);
  const snapshot = snapshots(options, plans[1]!);
  figures.push(
    ...snapshot.figures,
    ...hashes(options, plans[1]!),
    mergedText(options, 1000),
    mergedText(options, 4000),
  );
  const settings = {
    edits: `${EDITS} a round, over ${EDITED} blocks in turn: admit, apply, resetQueue`,
    pages: `blocks of ${CHARACTERS} characters; the snapshot of ${LARGE} takes ${snapshot.bytes} bytes`,
  };
  return { suite: 'merge', settings, figures, notes };
}
