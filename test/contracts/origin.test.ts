/**
 * The handshake's look at the Origin header, on both transports and through real sockets.
 */
import { afterEach, describe, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { silentLog } from '../../src/base/log.ts';
import { openTransport } from '../../src/gateway/open-transport.ts';
import type { OriginPolicy } from '../../src/gateway/origin.ts';
import type { Transport } from '../../src/gateway/transport.ts';
import { TrustedProxies } from '../../src/gateway/trusted-proxies.ts';
import { decideUpgrade } from '../../src/gateway/upgrade.ts';
import { SUBPROTOCOL } from '../../src/protocol/messages.ts';

const limits = { messageBytesMax: 1000, backpressureBytesMax: 1000, idleSeconds: 60 };
let transport: Transport;

afterEach(() => transport.close());

describe.each(['uws', 'ws'] as const)('%s', (name) => {
  let opened = 0;

  async function listen(origins: OriginPolicy): Promise<number> {
    opened = 0;
    const nothing = () => {};
    transport = await openTransport(
      name,
      limits,
      {
        upgrade: (request) => decideUpgrade(request, { origins, proxies: new TrustedProxies() }),
        open: () => opened++,
        message: nothing,
        drain: nothing,
        dropped: nothing,
        close: nothing,
        http: async () => ({ status: 404, contentType: 'text/plain', body: '' }),
      },
      silentLog,
    );
    return transport.listen('127.0.0.1', 0);
  }

  /** `open`, or status and body of the refusal. */
  function handshake(port: number, origin?: string, host?: string): Promise<string> {
    const headers = { ...(origin === undefined ? {} : { origin }), ...(host ? { host } : {}) };
    const socket = new WebSocket(`ws://127.0.0.1:${port}/v1/sync`, [SUBPROTOCOL], { headers });
    return new Promise((resolve) => {
      socket.once('open', () => {
        socket.terminate();
        resolve('open');
      });
      socket.once('error', () => {});
      socket.once('unexpected-response', (_, response) => {
        let body = '';
        response.on('data', (chunk: Buffer) => (body += String(chunk)));
        response.on('end', () => resolve(`${response.statusCode} ${body}`));
      });
    });
  }

  const REFUSED = /^403 origin_not_allowed: .*ALLOWED_ORIGINS/;

  test('G68 without a list: no Origin, the same host, and this machine on loopback are let in, others get a 403', async () => {
    const port = await listen({ allowed: null, loopback: true });
    expect(await handshake(port)).toBe('open');
    expect(await handshake(port, 'http://localhost:5173')).toBe('open');
    expect(await handshake(port, 'https://app.example', 'app.example')).toBe('open');
    expect(await handshake(port, 'https://evil.example', 'app.example')).toMatch(REFUSED);
    expect(await handshake(port, 'null')).toMatch(REFUSED);
    expect(opened).toBe(3);
  });

  test('G68 with a list: those of the list, and programs that name no origin', async () => {
    const port = await listen({ allowed: ['https://app.example'], loopback: true });
    expect(await handshake(port)).toBe('open');
    expect(await handshake(port, 'https://app.example')).toBe('open');
    expect(await handshake(port, 'http://localhost:5173')).toMatch(REFUSED);
    expect(opened).toBe(2);
  });
});
