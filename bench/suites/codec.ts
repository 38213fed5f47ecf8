/**
 * The wire codec: what the gateway reads of every frame, what a shard decodes, what it encodes for a broadcast, and the
 * ops of a keystroke and of a large import. Every piece is first checked to give back what went in.
 */
import { decodeClientMessage, decodeServerMessage } from '../../src/protocol/decode.ts';
import { encodeClientMessage, encodeServerMessage } from '../../src/protocol/encode.ts';
import { type BlockId, seq } from '../../src/protocol/ids.ts';
import type { ClientMessage, ServerMessage } from '../../src/protocol/messages.ts';
import { readRouteHead } from '../../src/protocol/route.ts';
import { decodeOps, encodeOps } from '../../src/document/ops.ts';
import type { Figure, SuiteOptions, SuiteResult } from '../lib/figures.ts';
import { keystroke } from '../lib/keystroke.ts';
import { must } from '../lib/must.ts';
import { AUTHOR, decoded, planPage, stampAt } from '../lib/pages.ts';
import { keep, measureRate } from '../lib/rounds.ts';

const IMPORT_OPS = 1000;
const same = (a: unknown, b: unknown) => JSON.stringify(a) === JSON.stringify(b);

function changesOf(count: number, page: ReturnType<typeof planPage>, ops: Uint8Array): ServerMessage {
  const { replica, ms, counter } = stampAt(1);
  const change = { replica, n: 4711, hlc: { ms, counter }, author: AUTHOR, at: ms, ops };
  return {
    kind: 'changes',
    page: page.page,
    firstSeq: seq(123_456),
    changes: Array.from({ length: count }, () => change),
  };
}

export async function codec(options: SuiteOptions): Promise<SuiteResult> {
  const page = planPage(IMPORT_OPS, 80);
  const block = page.blocks[7] as BlockId;
  const ops = encodeOps([{ op: 'text', block, update: keystroke(2_345_678_901, 4711) }]);
  const { ms, counter } = stampAt(1);
  const change: ClientMessage = { kind: 'change', ch: 3, n: 4711, hlc: { ms, counter }, ops, replica: null };
  const frame = encodeClientMessage(change);
  must(same(decodeClientMessage(frame), change), 'CHANGE comes back as it went');
  must(same(readRouteHead(frame), { kind: 6, ch: 3, n: 4711 }), 'the head of CHANGE is read');
  const figures: Figure[] = [];
  const add = (name: string, run: () => unknown) => {
    figures.push(
      ...measureRate(name, options, (times) => {
        for (let i = 0; i < times; i++) keep(run());
      }),
    );
  };
  add('readRouteHead of CHANGE', () => readRouteHead(frame));
  add('decode CHANGE', () => decodeClientMessage(frame));
  add('encode CHANGE', () => encodeClientMessage(change));
  for (const count of [1, 20]) {
    const message = changesOf(count, page, ops);
    const bytes = encodeServerMessage(message);
    must(same(decodeServerMessage(bytes), message), 'CHANGES come back as they went');
    add(`encode CHANGES × ${count}`, () => encodeServerMessage(message));
    add(`decode CHANGES × ${count}`, () => decodeServerMessage(bytes));
  }
  const body = page.bodies[0]!;
  must(decoded(ops)[0]!.op === 'text' && decoded(body).length === IMPORT_OPS, 'the ops are read');
  add('decodeOps of a keystroke', () => decodeOps(ops));
  add(`decodeOps of ${IMPORT_OPS} inserts`, () => decodeOps(body));
  const settings = {
    'CHANGE of a keystroke': `${frame.length} bytes`,
    [`change of ${IMPORT_OPS} inserts`]: `${body.length} bytes`,
  };
  return { suite: 'codec', settings, figures, notes: [] };
}
