/**
 * A page at rest is the same page; and what a page says it takes is about what it does take.
 */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { deflateSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { entry, paragraph, title } from '../../test/support/actor-world.ts';
import { blockId, EPOCH, PAGE, ROOT } from '../../test/support/pages.ts';
import { textUpdates } from '../../test/support/raw-page.ts';
import { BlocksModel } from '../document/blocks-model.ts';
import type { OpDraft } from '../document/ops.ts';
import { type Seq, seq } from '../protocol/ids.ts';
import { defaultLimits } from '../protocol/limits.ts';
import { PageState } from './page-state.ts';
import { defaultSnapshotPolicy } from './snapshot-policy.ts';

const REST_MS = 10_000;

function newState(): PageState {
  const own = { latestMs: 0, replicas: new Map(), model: new Uint8Array() };
  const model = new BlocksModel(PAGE, defaultLimits);
  const page = {
    kind: 'blocks',
    epoch: EPOCH,
    closed: false,
    model,
    private: own,
    snapshot: null,
    tail: [],
  } as const;
  return new PageState({ ...page, tail: [] }, 0, defaultSnapshotPolicy);
}

/** Adds a change of replica 9. */
function write(state: PageState, drafts: OpDraft[], now = 0): void {
  const n = state.head + 1;
  state.applyEntry(entry(n, 9, n, drafts), now);
}

function save(state: PageState, now = 0): void {
  const taken = state.takeSnapshot(now, true)!;
  state.snapshotSaved({
    seq: taken.seq,
    body: new Uint8Array(deflateSync(taken.plain)),
    plainBytes: taken.plain.length,
  });
}

const text = (n: number, client: number, value: string): OpDraft => ({
  op: 'text',
  block: blockId(n),
  update: textUpdates(client, [value])[0]!,
});

/** A page with texts, a snapshot, and changes after it. */
function lively(): PageState {
  const state = newState();
  for (let n = 1; n <= 20; n++) write(state, [paragraph(n), text(n, 100 + n, `paragraph ${n}`)]);
  save(state);
  for (let n = 1; n <= 5; n++) write(state, [title(`title ${n}`), text(n, 200 + n, 'more')]);
  return state;
}

describe('a page at rest', () => {
  test('A74 is what it was: its hash, its snapshot, its own part, what it lets in and what it refuses', () => {
    const [rested, awake] = [lively(), lively()];
    rested.rest(0, false);
    expect(rested.rest(REST_MS, false)).toBe(true);
    expect(rested.isAtRest).toBe(true);
    expect(rested.stateHash()).toEqual(awake.stateHash());
    expect(rested.isAtRest).toBe(true);
    expect(rested.model.encodeSnapshot()).toEqual(awake.model.encodeSnapshot());
    expect(rested.isAtRest).toBe(false);
    rested.rest(2 * REST_MS, true);
    expect(rested.model.encodePrivate()).toEqual(awake.model.encodePrivate());
    const drafts: OpDraft[][] = [
      [title('new')],
      [paragraph(21, blockId(3))],
      [text(3, 300, 'x')],
      [text(4, 204, 'another')],
    ];
    for (const draft of drafts) {
      for (const state of [rested, awake]) write(state, draft);
      expect(rested.stateHash()).toEqual(awake.stateHash());
      rested.rest(0, true);
    }
    expect(rested.model.encodeSnapshot()).toEqual(awake.model.encodeSnapshot());
  });

  test('A74 comes to rest after ten seconds in which nobody has used its document', () => {
    const state = lively();
    state.rest(0, false);
    state.rest(REST_MS - 1, false);
    expect(state.isAtRest).toBe(false);
    expect(state.model).toBeDefined();
    state.rest(REST_MS, false);
    state.rest(2 * REST_MS - 1, false);
    expect(state.isAtRest).toBe(false);
    state.rest(2 * REST_MS, false);
    expect(state.isAtRest).toBe(true);
  });

  test('A74 a large page rests only when memory is short', () => {
    const state = newState();
    write(state, [title('x'.repeat(60_000))]);
    const taken = state.takeSnapshot(0, true)!;
    state.snapshotSaved({ seq: taken.seq, body: deflateSync(taken.plain), plainBytes: 2 << 20 });
    state.rest(100 * REST_MS, false);
    expect(state.isAtRest).toBe(false);
    state.rest(100 * REST_MS, true);
    expect(state.isAtRest).toBe(true);
  });

  test('A74 with much since its snapshot it asks for a new one first, and waits for one under way', () => {
    const state = newState();
    for (let n = 1; n <= 3; n++) write(state, [title('x'.repeat(30_000))]);
    state.rest(0, false);
    expect(state.rest(REST_MS, false)).toBe(false);
    const taken = state.takeSnapshot(0, true)!;
    expect([state.rest(REST_MS, false), state.isAtRest]).toEqual([true, false]);
    state.snapshotSaved({ seq: taken.seq, body: deflateSync(taken.plain), plainBytes: taken.plain.length });
    state.rest(REST_MS, false);
    expect([state.rest(2 * REST_MS, false), state.isAtRest]).toEqual([true, true]);
  });

  test('A74 keeps the newest of its log, for those who were away for a moment, and all after its snapshot', () => {
    const state = newState();
    save2(state, 10);
    save2(state, 10);
    expect(state.recent.covers(seq(10))).toBe(true);
    state.rest(REST_MS, true);
    expect(state.recent.covers(seq(10))).toBe(false);
    expect(state.recent.covers(seq(17))).toBe(true);
    expect(state.recent.newest?.seq).toBe(20);
    expect(state.catchUp(seq(3)).snapshot?.seq).toBe(20 as Seq);
  });
});

/** So many changes of 20 KB, then a snapshot. */
function save2(state: PageState, changes: number): void {
  for (let n = 0; n < changes; n++) write(state, [title('x'.repeat(20_000 + n))]);
  save(state);
}

describe('what a page says it takes', () => {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  const used = () => {
    collect();
    collect();
    const { heapUsed, external } = process.memoryUsage();
    return heapUsed + external;
  };

  const grown = (blocks: number, characters: number): PageState => {
    const state = newState();
    for (let n = 1; n <= blocks; n++) {
      const insert = { op: 'insert', block: blockId(n), parent: ROOT, key: 'a0', type: 'paragraph' } as const;
      write(state, [
        { ...insert, props: { color: 'red' }, text: textUpdates(n, ['x'.repeat(characters)])[0]! },
      ]);
    }
    return state;
  };
  /** Makers of the page as the store has it, every buffer its own. */
  const stored = (from: PageState): (() => PageState) => {
    const { seq: at, plain } = from.takeSnapshot(0, true)!;
    const body = new Uint8Array(deflateSync(plain));
    const own = from.model.encodePrivate();
    return () => {
      const model = new BlocksModel(PAGE, defaultLimits, { snapshot: plain.slice(), private: own });
      const snapshot = { seq: at, body: body.slice(), plainBytes: plain.length };
      const known = { latestMs: 0, replicas: new Map(), model: own };
      const page = {
        kind: 'blocks',
        epoch: EPOCH,
        closed: false,
        model,
        private: known,
        snapshot,
        tail: [],
      } as const;
      const state = new PageState({ ...page, tail: [] }, 0, defaultSnapshotPolicy);
      for (let n = 1; n <= 10; n++) write(state, [title(`title ${n}`)]);
      return state;
    };
  };
  const rested = (make: () => PageState) => () => {
    const state = make();
    state.rest(0, true);
    return state;
  };

  test.each([
    { name: 'written, with its log', copies: 10, make: () => grown(300, 80) },
    { name: 'decoded from its snapshot', copies: 50, make: stored(grown(500, 80)) },
    { name: 'at rest', copies: 50, make: rested(stored(grown(500, 80))) },
    { name: 'a few long texts', copies: 50, make: stored(grown(5, 20_000)) },
  ])('A73 is what it takes, give or take 30 %: $name', ({ copies, make }) => {
    make();
    const pages: PageState[] = [];
    const before = used();
    for (let i = 0; i < copies; i++) pages.push(make());
    const taken = (used() - before) / copies;
    expect(pages[0]!.bytes / taken).toBeGreaterThan(0.7);
    expect(pages[0]!.bytes / taken).toBeLessThan(1.3);
  });
});
