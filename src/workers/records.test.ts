/**
 * The small records between gateway and shard: what is written is what is read.
 */
import { describe, expect, test } from 'vitest';
import { replicaId, userId } from '../../test/support/pages.ts';
import { ROLES } from '../protocol/messages.ts';
import { readCh, writeCh } from './number-records.ts';
import { readRole, readSubscribeHead, writeRole, writeSubscribeHead } from './records.ts';

describe('subscribe heads', () => {
  test.each([
    ['ann', 3],
    ['', 0],
    ['jörg@例え.jp', 10],
    ['x'.repeat(1000), 5000],
  ])('of user %s', (name, frameBytes) => {
    for (const role of ROLES) {
      const head = { user: userId(name), role, replica: replicaId(7), frame: new Uint8Array(frameBytes).fill(9) };
      const bytes = writeSubscribeHead(head);
      expect(readSubscribeHead(bytes)).toEqual(head);
      const shifted = new Uint8Array(bytes.length + 3);
      shifted.set(bytes, 3);
      expect(readSubscribeHead(shifted.subarray(3))).toEqual(head);
    }
  }); // prettier-ignore
});

test('a ch keeps all of its 32 bits', () => {
  for (const ch of [0, 1, 255, 256, 65_536, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff])
    expect(readCh(writeCh(ch))).toBe(ch);
});

test('a role, or none', () => {
  for (const role of [...ROLES, null]) expect(readRole(writeRole(0xffff_fff0, role))).toEqual({ ch: 0xffff_fff0, role });
}); // prettier-ignore
