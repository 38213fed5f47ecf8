/**
 * The recent part of a log: what it covers, what it gives, what it lets go of; and the frames made of it.
 */
import { describe, expect, test } from 'vitest';
import { entry } from '../../test/support/actor-world.ts';
import { PAGE } from '../../test/support/pages.ts';
import { AssertionError } from '../base/assert.ts';
import { decodeServerMessage } from '../protocol/decode.ts';
import { seq } from '../protocol/ids.ts';
import { WIRE } from '../protocol/limits.ts';
import type { ServerMessage } from '../protocol/messages.ts';
import { RecentLog } from './recent-log.ts';
import { changesFrames } from './telling.ts';

function logOf(after: number, count: number): RecentLog {
  const log = new RecentLog(seq(after));
  for (let i = 1; i <= count; i++) log.push(entry(after + i, 1, i));
  return log;
}

const seqs = (log: RecentLog, position: number) => log.since(seq(position)).map((one) => one.seq);

describe('RecentLog', () => {
  test('covers what lies between its start and its head', () => {
    const log = logOf(10, 3);
    expect(log.head).toBe(13);
    expect([9, 10, 12, 13, 14].map((position) => log.covers(seq(position)))).toEqual([false, true, true, true, false]);
    expect(seqs(log, 10)).toEqual([11, 12, 13]);
    expect(seqs(log, 12)).toEqual([13]);
    expect(seqs(log, 13)).toEqual([]);
    expect(() => log.since(seq(9))).toThrow(AssertionError);
  }); // prettier-ignore

  test('takes the next seq only', () => {
    const log = logOf(10, 3);
    for (const at of [13, 15]) expect(() => log.push(entry(at, 1, 1))).toThrow(AssertionError);
  });

  test('an empty one covers its start', () => {
    const log = new RecentLog(seq(0));
    expect([log.head, log.covers(seq(0)), log.covers(seq(1))]).toEqual([0, true, false]);
  });

  test('trim lets go of what is at or before a position, and of its bytes', () => {
    const log = logOf(10, 3);
    const bytes = log.bytes;
    log.trim(seq(9));
    expect(log.bytes).toBe(bytes);
    log.trim(seq(12));
    expect([log.head, log.covers(seq(11)), log.covers(seq(12))]).toEqual([13, false, true]);
    expect(seqs(log, 12)).toEqual([13]);
    expect(log.bytes).toBe(bytes / 3);
    log.trim(seq(13));
    expect([log.head, log.bytes]).toEqual([13, 0]);
    log.push(entry(14, 1, 4));
    expect(seqs(log, 13)).toEqual([14]);
  });
});

describe('changesFrames', () => {
  const decoded = (sizes: number[]) =>
    changesFrames(
      PAGE,
      sizes.map((size, i) => ({ ...entry(5 + i, 1, i + 1), body: bodyOf(size) })),
    )
      .map((frame) => decodeServerMessage(frame) as ServerMessage & { kind: 'changes' })
      .map(({ firstSeq, changes }) => [firstSeq, changes.length]);

  /** An array of one bin: any bytes that are one MessagePack array will do. */
  function bodyOf(size: number): Uint8Array {
    const body = new Uint8Array(size);
    body.set([0x91, 0xc6]);
    new DataView(body.buffer).setUint32(2, size - 6);
    return body;
  }

  test('W17 none for no entries, one for a few', () => {
    expect(changesFrames(PAGE, [])).toEqual([]);
    expect(decoded([10, 10, 10])).toEqual([[5, 3]]);
  });

  test('W17 are cut at their size, each naming its first seq; a large change stands alone', () => {
    const half = WIRE.changesBytes / 2;
    expect(decoded([half, half, 100, 2 * WIRE.changesBytes, 100])).toEqual([
      [5, 1],
      [6, 2],
      [8, 1],
      [9, 1],
    ]);
  });
});
