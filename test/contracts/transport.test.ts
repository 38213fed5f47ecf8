/**
 * Runs the transport contract on both twins, and tries the choice between them. The addon must load where the tests
 * run: a skipped twin would let the two drift apart unseen.
 */
import { describe, expect, it } from 'vitest';
import { silentLog } from '../../src/base/log.ts';
import { openTransport } from '../../src/gateway/open-transport.ts';
import { plainAddress } from '../../src/gateway/plain-address.ts';
import type { TransportHandlers } from '../../src/gateway/transport.ts';
import { transportContract } from './transport.ts';

transportContract('uws', (limits, handlers) => openTransport('uws', limits, handlers, silentLog));
transportContract('ws', (limits, handlers) => openTransport('ws', limits, handlers, silentLog));

describe('openTransport', () => {
  const limits = { messageBytesMax: 1_000, backpressureBytesMax: 1_000, idleSeconds: 60 };
  const handlers = {} as TransportHandlers<string>;
  const missing = (): Promise<never> => Promise.reject(new Error('no build for this platform.'));

  it('G39 takes uws when it loads, falls back once and aloud when not, and fails by name when told to insist', async () => {
    const lines: string[] = [];
    const log = {
      ...silentLog,
      warn: (fields: object, line: string) => void lines.push(line + JSON.stringify(fields)),
    };
    expect((await openTransport('auto', limits, handlers, log)).name).toBe('uws');
    expect(lines).toEqual([]);
    expect((await openTransport('auto', limits, handlers, log, missing)).name).toBe('ws');
    expect(lines).toHaveLength(1);
    expect(lines[0]).toContain('no build for this platform');
    const insisted = openTransport('uws', limits, handlers, log, missing);
    await expect(insisted).rejects.toMatchObject({ name: 'TransportUnavailableError' });
    await expect(insisted).rejects.toThrow(/no build for this platform.*'ws'/);
  });
});

describe('plainAddress', () => {
  it('G37 spells each address in one way', () => {
    expect(plainAddress('127.0.0.1')).toBe('127.0.0.1');
    expect(plainAddress('::ffff:10.1.2.3')).toBe('10.1.2.3');
    expect(plainAddress('0000:0000:0000:0000:0000:ffff:0a01:0203')).toBe('10.1.2.3');
    expect(plainAddress('2001:0db8:0000:0000:0000:0000:0000:0001')).toBe('2001:db8::1');
    expect(plainAddress('fe80::1%eth0')).toBe('fe80::1');
    expect(plainAddress('')).toBe('');
  });
});
