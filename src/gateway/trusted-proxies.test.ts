/**
 * Whose word about the client's address is taken.
 */
import { expect, test } from 'vitest';
import { isAddressRange, TrustedProxies } from './trusted-proxies.ts';

const proxies = new TrustedProxies(['10.0.0.0/8', '192.0.2.7', '2001:db8:1::/48', '::1']);

test('G120 the header of a peer that is no trusted proxy means nothing', () => {
  expect(proxies.clientAddress('203.0.113.9', '1.2.3.4')).toBe('203.0.113.9');
  expect(proxies.clientAddress('192.0.2.8', '1.2.3.4')).toBe('192.0.2.8');
  expect(proxies.clientAddress('2001:db8:2::1', '1.2.3.4')).toBe('2001:db8:2::1');
  expect(proxies.clientAddress('', '1.2.3.4')).toBe('');
  expect(new TrustedProxies().clientAddress('127.0.0.1', '1.2.3.4')).toBe('127.0.0.1');
});

test('G120 of what trusted proxies pass on, the last address that is none of them is the client', () => {
  expect(proxies.clientAddress('10.0.0.7', '203.0.113.9')).toBe('203.0.113.9');
  expect(proxies.clientAddress('10.0.0.7', '1.2.3.4, 203.0.113.9, 192.0.2.7')).toBe('203.0.113.9');
  expect(proxies.clientAddress('::1', '1.2.3.4,2001:0db8:0002::0001')).toBe('2001:db8:2::1');
  // From within: nobody but proxies.
  expect(proxies.clientAddress('10.0.0.7', '10.0.0.9, 10.0.0.8')).toBe('10.0.0.9');
});

test('G120 each address is spelt in one way, with and without a port', () => {
  for (const hop of ['203.0.113.9', '203.0.113.9:5123', '[::ffff:203.0.113.9]:5123', '::FFFF:cb00:7109'])
    expect(proxies.clientAddress('10.0.0.7', hop)).toBe('203.0.113.9');
  for (const hop of ['2001:db8:2::1', '[2001:DB8:2::1]', '[2001:db8:2:0::1]:443'])
    expect(proxies.clientAddress('2001:db8:1::5', hop)).toBe('2001:db8:2::1');
});

test('G120 what is no address ends the search at the proxy that passed it on', () => {
  for (const header of ['', ' ', 'unknown', '1.2.3.4, ', '1.2.3.4, _hidden', '999.1.1.1', '1.2.3.4:x'])
    expect(proxies.clientAddress('10.0.0.7', header)).toBe('10.0.0.7');
  expect(proxies.clientAddress('10.0.0.7', 'unknown, 10.0.0.8')).toBe('10.0.0.8');
  expect(proxies.clientAddress('10.0.0.7', '10.0.0.8,'.repeat(10_000))).toBe('10.0.0.7');
});

test('what is a range', () => {
  for (const text of ['10.0.0.7', '10.0.0.0/8', '0.0.0.0/0', '10.0.0.7/32', '::1', '2001:db8::/32', '::/0', '::1/128'])
    expect(isAddressRange(text), text).toBe(true);
  for (const text of ['', 'proxy', '10.0.0', '10.0.0.0/33', '10.0.0.0/', '10.0.0.0/-1', '10.0.0.0/8/8', '::/129', '/8'])
    expect(isAddressRange(text), text).toBe(false);
}); // prettier-ignore
