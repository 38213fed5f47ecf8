/**
 * What is held for a socket that does not read, and what becomes of it: a socket whose buffer the test fills and empties,
 * and time that stands still.
 */
import { beforeEach, describe, expect, test } from 'vitest';
import type { PageId, ShardIndex } from '../protocol/ids.ts';
import { Connection } from './connection.ts';
import { SlowReaders } from './slow-readers.ts';
import type { TransportSocket } from './transport.ts';

const MAX = 1024;
const A = 'a' as PageId;
const B = 'b' as PageId;

let now: number;
let buffered: number;
let story: string[];
let connection: Connection;
let slow: SlowReaders;

beforeEach(() => {
  now = 0;
  buffered = 0;
  story = [];
  const tell = (word: string) => void story.push(word);
  const socket: TransportSocket = {
    id: 1,
    send(bytes) {
      buffered += bytes.length;
      tell(`send ${bytes.length}`);
      return 'queued';
    },
    cork: (write) => write(),
    join: (topic) => tell(`join ${topic}`),
    leave: (topic) => tell(`leave ${topic}`),
    bufferedBytes: () => buffered,
    end() {},
    terminate() {},
  };
  connection = new Connection(socket, { bytesMax: MAX, pull: (_, ch) => tell(`pull ${ch}`) }, 0);
  slow = new SlowReaders({
    clock: { now: () => now, monotonic: () => now, after: () => ({ cancel() {} }) },
    bytesMax: MAX,
    resume: (_, { ch }) => tell(`resume ${ch}`),
    close: () => tell('close'),
    counts: { paused: () => tell('paused'), resumed: () => tell('resumed') },
  });
  connection.openPage(1, A, 0 as ShardIndex, 'editor');
  connection.openPage(2, B, 0 as ShardIndex, 'editor');
});

const bytes = (length: number) => new Uint8Array(length);
function take(): string[] {
  const told = story;
  story = [];
  return told;
}

/** The peer reads until so much is left. */
function drainTo(left: number): string[] {
  buffered = left;
  connection.outbox.drained();
  slow.drained(connection);
  return take();
}

describe('what is held for one socket', () => {
  test('G90 an answer waits while the transport would drop it, keeps its order, and is not lost', () => {
    buffered = MAX / 2;
    connection.outbox.answer(bytes(10));
    connection.outbox.answer(bytes(20));
    expect(take()).toEqual(['send 10']);
    expect(connection.outbox.held).toBe(MAX / 2 + 30);
    expect(drainTo(MAX / 2 + 1)).toEqual([]);
    connection.outbox.answer(bytes(5));
    expect(drainTo(100)).toEqual(['send 20', 'send 5']);
    expect(connection.outbox.isEmpty).toBe(true);
  });

  test('G90 more answers than it may hold make it overfull; one large frame into an empty buffer does not', () => {
    connection.outbox.answer(bytes(3 * MAX));
    expect(connection.outbox.isOverfull).toBe(false);
    expect(drainTo(MAX - 10)).toEqual(['send 3072']);
    connection.outbox.answer(bytes(10));
    expect(connection.outbox.isOverfull).toBe(false);
    connection.outbox.answer(bytes(1));
    expect(connection.outbox.isOverfull).toBe(true);
  });

  test('G94 bulk is asked for one window at a time, in the order of its offers, while little is unread', () => {
    connection.outbox.offer(1);
    connection.outbox.offer(2);
    expect(take()).toEqual(['pull 1']);
    connection.outbox.bulk(bytes(200));
    connection.outbox.bulk(bytes(50));
    connection.outbox.offer(1);
    connection.outbox.pulled(1);
    expect(take()).toEqual(['send 200']);
    expect(drainTo(100)).toEqual(['send 50']);
    expect(drainTo(100)).toEqual(['pull 2']);
    connection.outbox.pulled(2);
    expect(take()).toEqual(['pull 1']);
  });

  test('G94 a page whose shard is gone keeps no other from its turn', () => {
    connection.outbox.offer(1);
    connection.outbox.offer(2);
    connection.outbox.forget(1);
    expect(take()).toEqual(['pull 1', 'pull 2']);
    connection.outbox.forget(2);
    expect(connection.outbox.isEmpty).toBe(true);
  });
});

describe('a socket that does not keep up', () => {
  test('G91 leaves all its pages at the first frame that it lost, and joins none', () => {
    buffered = MAX / 2;
    slow.dropped(connection);
    slow.dropped(connection);
    expect(take()).toEqual(['paused', 'leave a', 'leave b']);
    expect(slow.paused).toBe(1);
    connection.openPage(3, 'c' as PageId, 0 as ShardIndex, 'editor');
    slow.join(connection, 'c' as PageId);
    expect(take()).toEqual([]);
    now = 1000;
    expect(drainTo(0)).toEqual(['resumed', 'resume 1', 'resume 2', 'resume 3']);
  });

  test('G92 follows its pages again once it has read what was held, at most once a second', () => {
    buffered = MAX / 2;
    slow.dropped(connection);
    take();
    now = 999;
    expect(drainTo(MAX / 16)).toEqual([]);
    now = 1000;
    slow.sweep();
    expect(take()).toEqual(['resumed', 'resume 1', 'resume 2']);
    slow.join(connection, A);
    expect(take()).toEqual(['join a']);
    expect(slow.paused).toBe(0);
    slow.sweep();
    expect(take()).toEqual([]);
  });

  test('G92 not while more than a little is unread, or bulk waits', () => {
    buffered = MAX / 2;
    slow.dropped(connection);
    take();
    now = 5000;
    expect(drainTo(MAX / 16 + 1)).toEqual([]);
    connection.outbox.offer(1);
    expect(take()).toEqual(['pull 1']);
    expect(drainTo(0)).toEqual([]);
    connection.outbox.pulled(1);
    slow.sweep();
    expect(take()).toEqual(['resumed', 'resume 1', 'resume 2']);
  });

  test('G93 is closed when nothing at all could be written for 30 s, and not while it reads a little', () => {
    buffered = MAX / 2;
    slow.dropped(connection);
    take();
    for (; now < 300_000; now += 29_000) {
      slow.sweep();
      expect(drainTo(buffered - 1)).toEqual([]);
    }
    now += 1000;
    slow.sweep();
    expect(take()).toEqual(['close']);
  });

  test('G93 the same for one that waits for bulk; one for which nothing is held is left alone', () => {
    buffered = MAX / 2;
    connection.outbox.bulk(bytes(10));
    slow.watch(connection);
    now = 30_000;
    slow.sweep();
    expect(take()).toEqual(['close']);
    slow.forget(connection);
    drainTo(0);
    drainTo(0);
    connection.outbox.offer(1);
    slow.watch(connection);
    take();
    for (; now < 90_000; now += 1000) slow.sweep();
    expect(take()).toEqual([]);
  });
});
