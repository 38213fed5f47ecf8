/**
 * Who may see what is told of pages to operators.
 */
import { expect, test } from 'vitest';
import { refuseAdmin } from './admin.ts';
import { TrustedProxies } from './trusted-proxies.ts';

const TOKEN = 'sixteen bytes or more';

function ask(address: string, headers: Record<string, string> = {}, token: string | null = null, trusted: string[] = []) {
  const all: Record<string, string> = { host: 'localhost:3002', ...headers };
  const request = { address, header: (name: string) => all[name] ?? '' };
  return refuseAdmin(request, { token, proxies: new TrustedProxies(trusted) })?.status;
} // prettier-ignore

test('G132 with a token: whoever has it, from wherever, and nobody else, from this machine neither', () => {
  const bearer = (token: string) => ({ authorization: `Bearer ${token}` });
  for (const address of ['127.0.0.1', '203.0.113.9']) {
    expect(ask(address, bearer(TOKEN), TOKEN)).toBeUndefined();
    for (const headers of [{}, bearer('another'), bearer(`${TOKEN}x`), { authorization: `Basic ${TOKEN}` }, { authorization: TOKEN }])
      expect(ask(address, headers, TOKEN)).toBe(401);
  }
}); // prettier-ignore

test('G132 without one: this machine only, by one of its own names', () => {
  for (const [address, host] of [['127.0.0.1', '127.0.0.1:3002'], ['::1', '[::1]:3002'], ['127.0.0.1', 'localhost']] as const)
    expect(ask(address, { host }), host).toBeUndefined();
  expect(ask('203.0.113.9')).toBe(403);
  expect(ask('10.0.0.7')).toBe(403);
  expect(ask('127.0.0.1', { host: 'rebound.example:3002' })).toBe(403);
}); // prettier-ignore

test('G132 without one: what a proxy brings is remote, whoever the proxy is', () => {
  expect(ask('127.0.0.1', { 'x-forwarded-for': '203.0.113.9' })).toBe(403);
  expect(ask('127.0.0.1', { 'x-forwarded-for': '127.0.0.1' })).toBe(403);
  expect(ask('127.0.0.1', { forwarded: 'for=203.0.113.9' })).toBe(403);
  expect(ask('127.0.0.1', { 'x-forwarded-for': '203.0.113.9' }, null, ['127.0.0.1'])).toBe(403);
  expect(ask('10.0.0.7', { 'x-forwarded-for': '127.0.0.1' }, null, ['127.0.0.1'])).toBe(403);
  // A trusted proxy on this machine, asked by a program on this machine.
  expect(ask('127.0.0.1', { 'x-forwarded-for': '::1' }, null, ['127.0.0.1'])).toBeUndefined();
});
