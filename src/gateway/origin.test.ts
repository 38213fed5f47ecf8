/**
 * Which origins are let in: without a list, with one, and what is no origin at all.
 */
import { expect, test } from 'vitest';
import { ANY_ORIGIN, isOriginAllowed, normalOrigin, type OriginPolicy } from './origin.ts';

const noList = (loopback: boolean): OriginPolicy => ({ allowed: null, loopback });
const list = (...allowed: string[]): OriginPolicy => ({ allowed, loopback: true });

test.each<[string, OriginPolicy, string, string, boolean]>([
  ['no origin: not a browser', noList(false), '', 'sync.example', true],
  ['no origin, with a list', list('https://app.example'), '', 'sync.example', true],
  ['the same host', noList(false), 'https://app.example', 'app.example', true],
  ['the same host, other ports', noList(false), 'https://app.example:8443', 'app.example:3002', true],
  ['the same host in other letters', noList(false), 'https://App.Example', 'aPP.eXample', true],
  ['an address', noList(false), 'http://[2001:db8::1]:5173', '[2001:db8::1]:3002', true],
  ['another host', noList(false), 'https://evil.example', 'app.example', false],
  ['a host that ends alike', noList(false), 'https://evil-app.example', 'app.example', false],
  ['a host that begins alike', noList(false), 'https://app.example.evil.example', 'app.example', false],
  ['a user that is called alike', noList(false), 'https://app.example@evil.example', 'app.example', false],
  ['no Host header', noList(false), 'https://app.example', '', false],
  ['a Host header that is none', noList(false), 'https://app.example', 'a b', false],
  ['this machine, to a server on loopback', noList(true), 'http://localhost:5173', '127.0.0.1:3002', true],
  ['this machine by IPv6', noList(true), 'http://[::1]:5173', 'localhost:3002', true],
  ['this machine, to a server that others reach', noList(false), 'http://localhost:5173', 'app.example', false],
  ['another host, to a server on loopback', noList(true), 'https://evil.example', '127.0.0.1:3002', false],
  ['a name that only begins like loopback', noList(true), 'http://127.0.0.1.evil.example', '127.0.0.1', false],
  ['a sandboxed page', noList(true), 'null', '127.0.0.1', false],
  ['no origin at all', noList(true), 'localhost', 'localhost', false],
  ['two of them', noList(true), 'http://localhost, http://localhost', 'localhost', false],
  ['one of the list', list('https://a.example', 'https://b.example'), 'https://b.example', 'x', true],
  ['one of the list, its port spelt out', list('https://a.example'), 'https://a.example:443', 'x', true],
  ['one of the list by another scheme', list('https://a.example'), 'http://a.example', 'x', false],
  ['one of the list on another port', list('https://a.example'), 'https://a.example:8443', 'x', false],
  ['an app’s own scheme, of the list', list('capacitor://localhost'), 'capacitor://localhost', 'x', true],
  ['a sandboxed page, of the list', list('null'), 'null', 'x', true],
  ['the same host, not of the list', list('https://a.example'), 'https://b.example', 'b.example', false],
  ['this machine, not of the list', list('https://a.example'), 'http://localhost', 'localhost', false],
  ['all', ANY_ORIGIN, 'https://evil.example', 'x', true],
  ['all, even what is none', ANY_ORIGIN, 'nonsense', 'x', true],
])('G68 origins: %s', (_, policy, origin, host, expected) => {
  expect(isOriginAllowed(policy, origin, host)).toBe(expected);
}); // prettier-ignore

test('G68 an origin is scheme, host and port, and nothing after them', () => {
  expect(normalOrigin('HTTPS://App.Example:443')).toBe('https://app.example');
  expect(normalOrigin('http://app.example:80/')).toBe('http://app.example');
  for (const no of ['app.example', 'https://', 'https://a.example/path', 'https://a.example?q', 'https://u@a.example', '']) {
    expect([no, normalOrigin(no)]).toEqual([no, undefined]);
  }
}); // prettier-ignore
