/**
 * Presence: the latest state of each replica, one frame a turn, and a late goodbye that takes nobody away.
 */
import { beforeEach, describe, expect, test } from 'vitest';
import { PAGE, replicaId, userId, uuid } from '../../test/support/pages.ts';
import { decodeServerMessage } from '../protocol/decode.ts';
import type { NodeId } from '../protocol/ids.ts';
import type { ServerMessage, WirePresence } from '../protocol/messages.ts';
import { MsgpackWriter } from '../protocol/msgpack-writer.ts';
import { Presence, type PresenceNews } from './presence.ts';

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
  test('A17 a turn’s changes are one frame of the latest states; nothing new is no frame', () => {
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

  test('A18 one who leaves is told as gone, once', () => {
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

  test('A19 another user under the same replica id neither shows nor removes anything', () => {
    set(1, 1, 'mine');
    presence.takeDelta(PAGE);
    const other = (bytes: Uint8Array | null) => presence.set(replicaId(1), userId('mallory'), 2, bytes);
    expect([other(state('theirs')), other(null)]).toEqual([false, false]);
    expect(presence.takeDelta(PAGE)).toBeUndefined();
    expect(read(presence.full(PAGE))).toEqual({ user1: 'mine' });
  });

  test('A19 the goodbye of an old connection does not take away the replica’s new one', () => {
    set(1, 1, 'old');
    set(1, 2, 'new');
    set(1, 1, null);
    expect(read(presence.full(PAGE))).toEqual({ user1: 'new' });
    set(1, 2, null);
    expect(presence.size).toBe(0);
  });
});

describe('Presence of other nodes', () => {
  const [a, b] = [uuid<NodeId>(1, 7), uuid<NodeId>(2, 7)];
  const at = 1_000_000;
  const one = (replica: number, value: string | null, user = `user${replica}`) => ({
    replica: replicaId(replica),
    user: userId(user),
    state: value === null ? null : state(value),
  });
  const hear = (node: NodeId, kind: PresenceNews['kind'], states: WirePresence[], now = at) =>
    presence.hear({ node, kind, states }, now, 100);
  const shown = () => read(presence.full(PAGE)) ?? {};
  const delta = () => read(presence.takeDelta(PAGE));

  test('A102 is shown with those here, in one frame a turn; other nodes are told of those here only', () => {
    set(1, 1, 'here');
    hear(a, 'change', [one(2, 'there')]);
    hear(b, 'list', [one(3, 'there too')]);
    expect(delta()).toEqual({ user1: 'here', user2: 'there', user3: 'there too' });
    expect(shown()).toEqual({ user1: 'here', user2: 'there', user3: 'there too' });
    expect(presence.takeOwnChanges().map(({ user }) => user)).toEqual(['user1']);
    expect(presence.own().map(({ user }) => user)).toEqual(['user1']);
    expect(hear(b, 'list', [one(3, 'there too')])).toBe(false);
    hear(a, 'change', [one(2, null)]);
    expect(delta()).toEqual({ user2: null });
  });

  test('A104 is gone 30 s after it was last renewed, or at once with its node', () => {
    hear(a, 'change', [one(2, 'x'), one(3, 'y')]);
    hear(b, 'change', [one(4, 'z')]);
    hear(a, 'list', [one(2, 'x')], at + 20_000);
    delta();
    expect(presence.expire(at + 29_999)).toBe(false);
    expect(presence.expire(at + 30_000)).toBe(true);
    expect(delta()).toEqual({ user3: null, user4: null });
    hear(b, 'change', [one(4, 'z')], at + 30_000);
    hear(a, 'gone', []);
    expect(delta()).toEqual({ user2: null, user4: 'z' });
    expect(shown()).toEqual({ user4: 'z' });
    hear(b, 'gone', []);
    expect(presence.elsewhereBytes).toBe(0);
  });

  test('A105 does not touch a replica that another user shows', () => {
    set(1, 1, 'mine');
    hear(a, 'change', [one(2, 'theirs')]);
    delta();
    for (const kind of ['change', 'list'] as const) {
      hear(a, kind, [one(1, 'not mine', 'mallory'), one(1, null, 'mallory')]);
      hear(b, kind, [one(2, 'not theirs', 'mallory'), one(2, null, 'mallory')]);
    }
    expect(delta()).toBeUndefined();
    expect(presence.set(replicaId(2), userId('mallory'), 9, state('mine now'))).toBe(false);
    expect(shown()).toEqual({ user1: 'mine', user2: 'theirs' });
  });

  test('A105 of one who has moved to another node is what that node says', () => {
    // From here to a: the socket here ends later.
    set(1, 1, 'here');
    hear(a, 'change', [one(1, 'at a')]);
    set(1, 1, null);
    expect(shown()).toEqual({ user1: 'at a' });
    expect(presence.own()).toEqual([]);
    // From a to b: a has not noticed, and says so later.
    hear(b, 'change', [one(1, 'at b')]);
    hear(a, 'list', [one(1, 'at a')]);
    hear(a, 'change', [one(1, null)]);
    hear(a, 'gone', []);
    expect(shown()).toEqual({ user1: 'at b' });
    // And back here.
    set(1, 2, 'here again');
    hear(b, 'list', [one(1, 'at b')]);
    hear(b, 'gone', []);
    expect(shown()).toEqual({ user1: 'here again' });
  });

  test('A105 an old word of the node that it came from takes nobody away from a socket here', () => {
    set(1, 1, 'here');
    hear(a, 'change', [one(1, 'late')]);
    expect(shown()).toEqual({ user1: 'late' });
    presence.takeOwnChanges();
    presence.expire(at + 30_000);
    expect([shown(), presence.own().length, presence.takeOwnChanges().length]).toEqual([
      { user1: 'here' },
      1,
      1,
    ]);
    hear(a, 'change', [one(1, 'later')]);
    hear(a, 'gone', []);
    expect(shown()).toEqual({ user1: 'here' });
  });

  test('A105 a node that has missed its time to renew loses a replica to the list of another', () => {
    hear(a, 'change', [one(1, 'at a')]);
    hear(b, 'list', [one(1, 'at b')], at + 14_999);
    expect(shown()).toEqual({ user1: 'at a' });
    hear(b, 'list', [one(1, 'at b')], at + 15_000);
    expect(shown()).toEqual({ user1: 'at b' });
  });

  test('A106 is bounded in people and in bytes of each', () => {
    hear(a, 'list', [one(1, 'x'.repeat(100))]);
    expect(shown()).toEqual({});
    hear(
      a,
      'list',
      Array.from({ length: 2500 }, (_, i) => one(i + 1, 'x')),
    );
    expect(presence.size).toBe(2000);
    // Those who are shown may still move, and those who leave make room.
    hear(a, 'change', [one(1, 'y'), one(2, null), one(2400, 'z'), one(2401, 'z')]);
    expect(shown()).toMatchObject({ user1: 'y', user2400: 'z' });
    expect(presence.size).toBe(2000);
    set(3000, 1, 'here');
    expect(presence.size).toBe(2001);
  });
});
