/** A writer's changes: numbered, kept until they have an answer, sent again from where they were refused. */
import { expect, test } from 'vitest';
import { decodeClientMessage } from '../protocol/decode.ts';
import { clientFrame } from './socket.ts';
import { WriterOutbox } from './outbox.ts';

const ops = (length: number) =>
  Uint8Array.of(0x91, 0x92, 3, 0xc5, length >> 8, length & 0xff, ...new Uint8Array(length));

test('frames are what the protocol’s own encoder makes, whatever their size', () => {
  for (const length of [1, 80, 84, 85, 86, 200, 70_000]) {
    const body =
      length > 60_000 ? Uint8Array.of(0x91, 0xc6, 0, 1, 0x11, 0x70, ...new Uint8Array(70_000)) : ops(length);
    const outbox = new WriterOutbox();
    outbox.add(body, 1_700_000_000_000);
    const [frame] = outbox.takeUnsent();
    const head = { 126: 8, 127: 14 }[frame![1]! & 0x7f] ?? 6;
    const payload = frame!.subarray(head);
    const message = decodeClientMessage(payload);
    expect(message).toMatchObject({
      kind: 'change',
      ch: 1,
      n: 1,
      hlc: { ms: 1_700_000_000_000, counter: 0 },
    });
    expect(Buffer.from((message as { ops: Uint8Array }).ops).equals(body)).toBe(true);
    expect(frame!.equals(clientFrame(payload))).toBe(true);
  }
});

test('stamps grow, also within one millisecond and when the clock steps back', () => {
  const outbox = new WriterOutbox();
  for (const at of [5, 5, 4, 6]) outbox.add(ops(1), at);
  const stamps = outbox
    .takeUnsent()
    .map((frame) => (decodeClientMessage(frame.subarray(6)) as { hlc: object }).hlc);
  expect(stamps).toEqual([
    { ms: 5, counter: 0 },
    { ms: 5, counter: 1 },
    { ms: 5, counter: 2 },
    { ms: 6, counter: 0 },
  ]);
});

test('what has an answer is let go of, what was refused is sent again with all behind it', () => {
  const outbox = new WriterOutbox();
  const durable: number[] = [];
  for (let i = 0; i < 2000; i++) outbox.add(ops(1), i);
  expect(outbox.takeUnsent()).toHaveLength(2000);
  outbox.acknowledge(1500, (n) => durable.push(n));
  outbox.acknowledge(1400, (n) => durable.push(n));
  expect(durable).toEqual(Array.from({ length: 1500 }, (_, i) => i + 1));
  outbox.rewind(1990);
  expect(outbox.takeUnsent()).toHaveLength(11);
  expect(outbox.pending).toBe(500);
  outbox.rewind(1);
  expect(outbox.takeUnsent(3)).toHaveLength(3);
  expect(outbox.takeUnsent(3)).toHaveLength(0);
  outbox.rewind(1);
  const again = outbox.takeUnsent();
  expect(again).toHaveLength(500);
  expect(decodeClientMessage(again[0]!.subarray(6))).toMatchObject({ n: 1501 });
});
