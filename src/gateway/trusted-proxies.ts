/**
 * Whom a socket comes from when proxies stand between: the address that limits count by. `X-Forwarded-For` is believed only
 * from the proxies that the operator names (TRUSTED_PROXIES), since anyone can send it. Each proxy adds its own peer at the
 * end, so it is read from there, as far as proxies are known:
 *
 *     X-Forwarded-For: 1.2.3.4, 203.0.113.9, 10.0.0.5      from the peer 10.0.0.7, with TRUSTED_PROXIES=10.0.0.0/8
 *                      a claim  ▲ the answer └─ trusted ─────────── trusted ─┘
 */
import { BlockList, isIP } from 'node:net';
import { plainAddress } from './plain-address.ts';

/** Some proxies add the port: `203.0.113.9:5123`, `[2001:db8::1]:5123`. */
const WITH_PORT = /^(?:\[(.+)\]|([\d.]+))(?::\d+)?$/;

/** `text` is an address, or a range such as 10.0.0.0/8. */
export function isAddressRange(text: string): boolean {
  const [address = '', prefix = '0', ...rest] = text.split('/');
  const bits = isIP(address) === 4 ? 32 : 128;
  return isIP(address) !== 0 && /^\d{1,3}$/.test(prefix) && Number(prefix) <= bits && rest.length === 0;
}

export class TrustedProxies {
  readonly #ranges = new BlockList();

  /** Address ranges, in text that `isAddressRange` takes. */
  constructor(ranges: readonly string[] = []) {
    for (const range of ranges) {
      const [address = '', prefix] = range.split('/');
      if (prefix === undefined) this.#ranges.addAddress(address, familyOf(address));
      else this.#ranges.addSubnet(address, Number(prefix), familyOf(address));
    }
  }

  /** `peer` is the other end of the connection; a hop that is no address ends the search. */
  clientAddress(peer: string, forwardedFor: string): string {
    const hops = forwardedFor.split(',');
    let address = peer;
    while (this.#ranges.check(address, familyOf(address))) {
      const next = hopAddress(hops.pop() ?? '');
      if (next === undefined) break;
      address = next;
    }
    return address;
  }
}

function familyOf(address: string): 'ipv4' | 'ipv6' {
  return address.includes(':') ? 'ipv6' : 'ipv4';
}

function hopAddress(hop: string): string | undefined {
  const text = hop.trim();
  const [, bracketed, dotted] = WITH_PORT.exec(text) ?? [];
  const address = plainAddress(bracketed ?? dotted ?? text);
  return isIP(address) === 0 ? undefined : address;
}
