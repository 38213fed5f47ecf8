/**
 * What a page takes in memory: just loaded, written to, at rest, with many props, as one long text; and how far the
 * server's own account of it is off, on which budget and eviction stand. Then what an idle socket on a page takes, beside
 * one of a bare relay on uWebSockets.js.
 */
import { deflateSync } from 'node:zlib';
import { PageState } from '../../src/actors/page-state.ts';
import { encodePrivateState } from '../../src/actors/replicas.ts';
import { decodePrivateState, type PrivateState } from '../../src/actors/replicas.ts';
import { defaultSnapshotPolicy } from '../../src/actors/snapshot-policy.ts';
import type { LoadedPage } from '../../src/actors/world.ts';
import { BlocksModel } from '../../src/document/blocks-model.ts';
import { encodeOps, type OpDraft } from '../../src/document/ops.ts';
import { type EpochId, seq } from '../../src/protocol/ids.ts';
import { defaultLimits } from '../../src/protocol/limits.ts';
import { figure, type Figure, type SuiteOptions, type SuiteResult } from '../lib/figures.ts';
import { bytesOfEach } from '../lib/heap.ts';
import { must } from '../lib/must.ts';
import { AUTHOR, buildModel, decoded, type PagePlan, planPage, stampAt, textUpdate } from '../lib/pages.ts';
import { socketFigures } from '../lib/socket-memory.ts';

const COPIES = 20;
/** Of the small ones, so that they can be seen at all. */
const SMALL_COPIES = 1000;
/** How far the account may be off. */
const OFF_MAX = 0.3;
const { replica } = stampAt(0);
const EPOCH = '00000000-0000-4000-8000-000000000001' as EpochId;

interface Stored {
  readonly plan: PagePlan;
  readonly packed: Uint8Array;
  readonly plain: Uint8Array;
  readonly private: Uint8Array;
}

/** A page as the store has it. */
function stored(plan: PagePlan): Stored {
  const model = buildModel(plan);
  const plain = model.encodeSnapshot();
  const replicas: PrivateState['replicas'] = new Map([[replica, { owner: AUTHOR, lastN: plan.bodies.length, lastSeq: seq(plan.bodies.length), lastHlc: null }]]);
  const own = encodePrivateState({ replicas, latestMs: 0, model: model.encodePrivate() });
  return { plan, plain, packed: deflateSync(plain, { level: 3 }), private: own };
} // prettier-ignore

/** The page as the loader hands it over: every buffer its own. */
function load({ plan, packed, plain, private: own }: Stored): PageState {
  const state = decodePrivateState(own);
  const model = new BlocksModel(plan.page, defaultLimits, { snapshot: plain.slice(), private: state.model });
  const snapshot = { seq: seq(plan.bodies.length), body: new Uint8Array(packed), plainBytes: plain.length };
  const page: LoadedPage = {
    kind: 'blocks',
    epoch: EPOCH,
    closed: false,
    model,
    private: state,
    snapshot,
    tail: [],
  };
  return new PageState(page, 0, defaultSnapshotPolicy);
}

/** A new page, made by its changes. */
function written({ page, bodies }: PagePlan): PageState {
  const model = new BlocksModel(page, defaultLimits);
  const own = { latestMs: 0, replicas: new Map(), model: new Uint8Array() };
  const state = new PageState({ kind: 'blocks', epoch: EPOCH, closed: false, model, private: own, snapshot: null, tail: [] }, 0, defaultSnapshotPolicy);
  bodies.forEach((body) => append(state, body.slice()));
  return state;
} // prettier-ignore

function append(state: PageState, body: Uint8Array): void {
  const n = state.head + 1;
  const { ms, counter } = stampAt(n);
  const entry = { seq: seq(n), replica, n, hlcMs: ms, hlcCounter: counter, author: AUTHOR, at: ms, body };
  state.apply(entry, decoded(body), 0);
}

/** So many changes of one character each, in as many blocks. */
function type(state: PageState, { blocks }: PagePlan, changes: number): PageState {
  for (let i = 0; i < changes; i++) {
    const block = blocks[i % blocks.length]!;
    const draft: OpDraft = { op: 'text', block, update: textUpdate('x', 4_000_000 + i) };
    append(state, encodeOps([draft]));
  }
  return state;
}

function rested(state: PageState): PageState {
  must(state.rest(0, true) && state.isAtRest, 'the page is at rest');
  return state;
}

const CASES: readonly { readonly name: string; readonly make: () => () => PageState }[] = [
  { name: '160 KB in 2,000 blocks, at rest', make: () => from(planPage(2000, 80), (page) => rested(page)) },
  { name: '160 KB in 2,000 blocks, decoded', make: () => from(planPage(2000, 80), (page) => page) },
  { name: 'the same, a change for each block', make: () => from(planPage(2000, 80, 1, 1), (page) => page) },
  { name: 'the first after 500 changes', make: () => from(planPage(2000, 80), (page, plan) => type(page, plan, 500)) },
  { name: 'the first, just made by changes', make: () => withPlan(planPage(2000, 80), written) },
  { name: '160 KB in 20 blocks, decoded', make: () => from(planPage(20, 8000), (page) => page) },
  { name: '10 blocks, decoded', make: () => from(planPage(10, 80), (page) => page) },
  { name: '10 blocks, at rest', make: () => from(planPage(10, 80), (page) => rested(page)) },
]; // prettier-ignore

function from(plan: PagePlan, change: (state: PageState, plan: PagePlan) => PageState): () => PageState {
  const store = stored(plan);
  return () => change(load(store), plan);
}

const withPlan = (plan: PagePlan, make: (plan: PagePlan) => PageState) => () => make(plan);

async function pageFigures(rounds: number): Promise<{ figures: Figure[]; notes: string[] }> {
  const figures: Figure[] = [];
  const notes: string[] = [];
  for (const { name, make } of CASES) {
    const one = make();
    // The first pays for what V8 keeps of every function.
    one();
    const bytes: number[] = [];
    const off: number[] = [];
    for (let round = 0; round < rounds; round++) {
      const measured = await bytesOfEach(name.startsWith('10 ') ? SMALL_COPIES : COPIES, one);
      bytes.push(measured.bytes / 1000);
      off.push(100 * (measured.made[0]!.bytes / measured.bytes - 1));
    }
    figures.push(figure(name, 'KB', 'lower', bytes), figure('  the account is off by', '%', 'lower', off));
    const worst = off.find((one) => Math.abs(one) > 100 * OFF_MAX);
    if (worst !== undefined) notes.push(`${name}: the account is off by ${worst.toFixed(0)} %, more than ${100 * OFF_MAX} %`);
  }
  return { figures, notes };
} // prettier-ignore

export async function memory(options: SuiteOptions): Promise<SuiteResult> {
  const pages = await pageFigures(options.rounds);
  const sockets = await socketFigures(options);
  return {
    suite: 'memory',
    settings: { 'copies of each page': COPIES, ...sockets.settings },
    figures: [...pages.figures, ...sockets.figures],
    notes: [...pages.notes, ...sockets.notes],
  };
}
