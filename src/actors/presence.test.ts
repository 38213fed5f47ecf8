/**
 * Presence: the latest state of each replica, one frame a turn, and a late goodbye that takes nobody away.
 */
import { beforeEach, describe, expect, test } from 'vitest';
import { PAGE, replicaId, userId } from '../../test/support/pages.ts';
import { decodeServerMessage } from '../protocol/decode.ts';
import type { ServerMessage } from '../protocol/messages.ts';
import { MsgpackWriter } from '../protocol/msgpack-writer.ts';
import { Presence } from './presence.ts';

const state = (value: string) => new MsgpackWriter().str(value).take();

let presence: Presence;
beforeEach(() => (presence = new Presence()));

const set = (replica: number, connection: number, value: string | null) =>
  presence.set(
    replicaId(replica),
    userId(`user${replica}`),
    connection,
    value === null ? null : state(value),
  );

function read(frame: Uint8Array | undefined): Record<string, string | null> | undefined {
  if (!frame) return undefined;
  const { states } = decodeServerMessage(frame) as ServerMessage & { kind: 'presence' };
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes.subarray(1));
  return Object.fromEntries(states.map((one) => [one.user, one.state && text(one.state)]));
}

describe('Presence', () => {
  test('a turn’s changes are one frame of the latest states; nothing new is no frame', () => {
    expect(presence.takeDelta(PAGE)).toBeUndefined();
    expect(presence.full(PAGE)).toBeUndefined();
    set(1, 1, 'a');
    set(2, 2, 'b');
    set(1, 1, 'c');
    expect(read(presence.takeDelta(PAGE))).toEqual({ user1: 'c', user2: 'b' });
    expect(presence.takeDelta(PAGE)).toBeUndefined();
    set(2, 2, 'd');
    expect(read(presence.takeDelta(PAGE))).toEqual({ user2: 'd' });
    expect(read(presence.full(PAGE))).toEqual({ user1: 'c', user2: 'd' });
  });

  test('one who leaves is told as gone, once', () => {
    set(1, 1, 'a');
    presence.takeDelta(PAGE);
    set(1, 1, null);
    set(1, 1, null);
    expect(read(presence.takeDelta(PAGE))).toEqual({ user1: null });
    expect(presence.full(PAGE)).toBeUndefined();
    set(1, 1, null);
    expect(presence.takeDelta(PAGE)).toBeUndefined();
    expect(presence.size).toBe(0);
  });

  test('another user under the same replica id neither shows nor removes anything', () => {
    set(1, 1, 'mine');
    presence.takeDelta(PAGE);
    const other = (bytes: Uint8Array | null) => presence.set(replicaId(1), userId('mallory'), 2, bytes);
    expect([other(state('theirs')), other(null)]).toEqual([false, false]);
    expect(presence.takeDelta(PAGE)).toBeUndefined();
    expect(read(presence.full(PAGE))).toEqual({ user1: 'mine' });
  });

  test('the goodbye of an old connection does not take away the replica’s new one', () => {
    set(1, 1, 'old');
    set(1, 2, 'new');
    set(1, 1, null);
    expect(read(presence.full(PAGE))).toEqual({ user1: 'new' });
    set(1, 2, null);
    expect(presence.size).toBe(0);
  });
});
