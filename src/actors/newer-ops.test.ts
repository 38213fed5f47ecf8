/**
 * A page whose log holds what this version does not know: an op of a newer one, or a known op with more in it. It is kept,
 * told and passed on byte for byte; what cannot be judged is not judged.
 */
import { deflateSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import * as Y from 'yjs';
import { ActorBench, entry, paragraph, title } from '../../test/support/actor-world.ts';
import { blockId, PAGE, replicaId, ROOT, userId } from '../../test/support/pages.ts';
import { BlocksModel } from '../document/blocks-model.ts';
import { encodeOps, type OpDraft } from '../document/ops.ts';
import type { LogEntry } from '../persistence/log-store.ts';
import { seq, SERVER_REPLICA, SERVER_USER } from '../protocol/ids.ts';
import { defaultLimits } from '../protocol/limits.ts';
import type { ServerMessage } from '../protocol/messages.ts';
import { MsgpackWriter } from '../protocol/msgpack-writer.ts';
import { toWire } from './wire-change.ts';

/** `[99, block, [1, "more"]]`, beside an op that is known. */
const FUTURE = new MsgpackWriter().array(2).array(3).int(99).id(blockId(7)).array(2).int(1).str('more')
  .raw(encodeOps([title('t')]).subarray(1)).take(); // prettier-ignore
/** An update whose op has an element more than this version knows. */
const LONGER = new MsgpackWriter().array(1).array(5).int(2).id(ROOT).json({ title: 'longer' }).nil().str('more').take(); // prettier-ignore

const holding = (at: number, n: number, body: Uint8Array): LogEntry => ({ ...entry(at, 9, n), body });
const told = (first: number, ...entries: LogEntry[]): ServerMessage & { kind: 'changes' } => ({
  kind: 'changes',
  page: PAGE,
  firstSeq: seq(first),
  changes: entries.map(toWire),
});

const bodies = (bench: ActorBench): Uint8Array[] =>
  bench.take().flatMap((one) => {
    const isTold = one.effect === 'publish' || one.effect === 'send';
    return isTold && one.message.kind === 'changes' ? one.message.changes.map(({ ops }) => ops) : [];
  });

function textOf(words: string[]): OpDraft[] {
  const doc = new Y.Doc();
  const drafts: OpDraft[] = [];
  doc.on('update', (update: Uint8Array) => drafts.push({ op: 'text', block: blockId(1), update }));
  for (const word of words) doc.getText('text').insert(0, word);
  return drafts;
}

describe('an op of a newer version in the log', () => {
  test('A120 is told and sent to who comes, byte for byte; so is a known op with more in it', () => {
    const bench = new ActorBench();
    bench.load([holding(1, 1, FUTURE)]);
    bench.subscribe(1);
    bench.actor.receive({ type: 'told', message: told(2, holding(2, 2, LONGER), holding(3, 3, FUTURE)) });
    expect(bodies(bench)).toEqual([LONGER, FUTURE]);
    const late = { connection: 2, ch: 20, user: userId('late'), replica: replicaId(2), role: 'viewer' as const };
    bench.actor.receive({ type: 'subscribe', request: { subscriber: late, since: null, epoch: null, create: null, at: 0 } });
    expect(bodies(bench)).toEqual([FUTURE, LONGER, FUTURE]);
  }); // prettier-ignore

  test('A120 the page is written on behind it, and never snapshotted, however much is written', () => {
    const bench = new ActorBench();
    bench.load([holding(1, 1, FUTURE)]);
    bench.subscribe(1);
    for (let n = 1; n <= 1100; n++) bench.change(1, n);
    expect(bench.batch()).toMatch(/^after 1: 1\.1 1\.2 /);
    bench.actor.receive({ type: 'appended' });
    bench.now += 60_000;
    bench.actor.receive({ type: 'tick' });
    bench.actor.snapshot(true);
    const effects = bench.take();
    expect(effects.some(({ effect }) => effect === 'save')).toBe(false);
    expect(effects.some((one) => one.effect === 'publish' && one.message.kind === 'hash')).toBe(false);
    expect(bench.actor.isQuiet).toBe(true);
  });

  test('A120 a page at rest comes back as it was, and still makes no snapshot', () => {
    const plain = new BlocksModel(PAGE, defaultLimits).encodeSnapshot();
    const snapshot = { seq: seq(0), body: deflateSync(plain), plainBytes: plain.length };
    const bench = new ActorBench();
    bench.load([holding(1, 1, FUTURE), entry(2, 9, 2, [paragraph(1)])], { snapshot });
    bench.subscribe(1);
    bench.now += 60_000;
    bench.actor.receive({ type: 'tick' });
    bench.actor.receive({ type: 'tick' });
    bench.actor.rest(true);
    expect(bench.actor.isAtRest).toBe(true);
    const [word] = textOf(['w']);
    expect(bench.change(1, 1, [word!])).toEqual(['dirty']);
    expect([bench.actor.isAtRest, bench.batch()]).toEqual([false, 'after 2: 1.1']);
    bench.actor.receive({ type: 'appended' });
    bench.actor.snapshot(true);
    expect(bench.story()).toEqual(['publish changes 3: 1.1']);
  });

  test('A120 D30 from a client it is refused as unsupported, and nothing else is', () => {
    const bench = new ActorBench();
    bench.load([holding(1, 1, FUTURE)]);
    bench.subscribe(1);
    const change = { type: 'change', connection: 1, hlc: { ms: 5, counter: 0 }, replica: null, userWaitMs: 0 } as const; // prettier-ignore
    expect(bench.tell({ ...change, n: 1, ops: FUTURE })).toEqual(['send 1 reject n=1 unsupported']);
    expect(bench.tell({ ...change, n: 1, ops: LONGER })).toEqual(['dirty']);
  });

  test('A120 one of a newer server’s own is kept and told like any other', () => {
    const bench = new ActorBench();
    bench.load([entry(1, 9, 1)]);
    bench.subscribe(1);
    const own = { ...holding(2, 1, FUTURE), replica: SERVER_REPLICA, author: SERVER_USER };
    bench.actor.receive({ type: 'told', message: told(2, own) });
    expect(bodies(bench)).toEqual([FUTURE]);
    bench.actor.snapshot(true);
    expect(bench.take()).toEqual([]);
  });

  test('A121 told before its commit it is not told here; named as committed, it is read from the log', () => {
    const bench = new ActorBench();
    bench.load([entry(1, 9, 1)]);
    bench.subscribe(1);
    const future = holding(2, 2, FUTURE);
    expect(bench.tell({ type: 'told', message: told(0, future) })).toEqual([]);
    const { replica, n, hlc } = toWire(future);
    const names = {
      kind: 'committed',
      page: PAGE,
      firstSeq: seq(2),
      changes: [{ replica, n, hlc }],
    } as const;
    expect(bench.tell({ type: 'told', message: names })).toEqual(['settle after 1']);
    bench.actor.receive({ type: 'settled', entries: [future], closed: false });
    expect(bodies(bench)).toEqual([FUTURE]);
  });
});

describe('what stands on an op of a newer version', () => {
  const [first, second, third] = textOf(['a', 'b', 'c']);

  test('D100 text is let in and told, for who knows the op; and nobody is told that it had no effect', () => {
    const bench = new ActorBench();
    // The block is here, and perhaps that op has written its text.
    bench.load([entry(1, 9, 1, [paragraph(1)]), holding(2, 2, FUTURE)]);
    bench.subscribe(1);
    expect(bench.change(1, 1, [second!])).toEqual(['dirty']);
    expect(bench.change(1, 2, [third!, { op: 'delete', block: blockId(8) }])).toEqual(['dirty']);
    expect(bench.batch()).toBe('after 2: 1.1 1.2');
    expect(bench.tell({ type: 'appended' })).toEqual(['publish changes 3: 1.1 1.2']);
    // As ever, on a page that is known whole.
    const whole = new ActorBench();
    whole.load([entry(1, 9, 1, [paragraph(1)])]);
    whole.subscribe(1);
    expect(whole.change(1, 1, [second!])).toEqual(['settle after 1']);
    expect(whole.tell({ type: 'settled', entries: [], closed: false })).toEqual([
      'send 1 reject n=1 missing',
    ]);
    expect(whole.change(1, 1, [first!])).toEqual(['dirty']);
  });

  test('D100 nothing is purged by who does not know all that was done', () => {
    const old = { ...entry(2, 9, 2, [{ op: 'delete', block: blockId(1) }]), hlcMs: 5 };
    const log = [{ ...entry(1, 9, 1, [paragraph(1)]), hlcMs: 1 }, old];
    const now = Date.UTC(2030, 0);
    const known = new ActorBench();
    known.now = now;
    known.load(log);
    expect(known.tell({ type: 'tick' })).toEqual(['dirty']);
    const passed = new ActorBench();
    passed.now = now;
    passed.load([...log, holding(3, 3, FUTURE)]);
    expect(passed.tell({ type: 'tick' })).toEqual([]);
  });
});
