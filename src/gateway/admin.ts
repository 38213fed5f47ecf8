/**
 * Who may see what is told of pages to operators. With a token: whoever has it, from wherever. Without one: programs on this
 * machine, and only when they ask for it by one of its own names and no proxy speaks for somebody else: a proxy on this machine
 * that nobody named in TRUSTED_PROXIES makes all the world look local, and so does a web page whose name leads here.
 */
import { createHash, timingSafeEqual } from 'node:crypto';
import { isLoopback } from './origin.ts';
import type { HttpRequest } from './transport.ts';
import type { TrustedProxies } from './trusted-proxies.ts';

export interface AdminPolicy {
  readonly token: string | null;
  readonly proxies: TrustedProxies;
}

/** A status and why; undefined: it may. */
export interface AdminRefusal {
  readonly status: 401 | 403;
  readonly body: string;
}

const BEARER = /^bearer +(.+)$/i;
const FORWARDING = ['forwarded', 'x-real-ip'];
const WRONG = 'unauthorized: send ADMIN_TOKEN as “Authorization: Bearer …”\n';
const REMOTE =
  'forbidden: without an ADMIN_TOKEN this is for programs on the server’s own machine; set one to ask from elsewhere\n';

const digest = (text: string) => createHash('sha256').update(text).digest();
/** `localhost:3002`, `[::1]:3002` */
const nameOf = (host: string) => host.replace(/:\d+$/, '').replace(/^\[(.*)\]$/, '$1');

export function refuseAdmin(
  request: Pick<HttpRequest, 'header' | 'address'>,
  { token, proxies }: AdminPolicy,
): AdminRefusal | undefined {
  if (token !== null) {
    const given = BEARER.exec(request.header('authorization'))?.[1] ?? '';
    // Of equal length, and compared to the end: time tells nothing.
    return timingSafeEqual(digest(given), digest(token)) ? undefined : { status: 401, body: WRONG };
  }
  const forwardedFor = request.header('x-forwarded-for');
  const client = proxies.clientAddress(request.address, forwardedFor);
  // A trusted proxy has said whom it speaks for; another's word is not known to be all.
  const isSpokenFor = FORWARDING.some((name) => request.header(name) !== '');
  const isUntrusted = forwardedFor !== '' && client === request.address;
  const isLocal =
    isLoopback(client) && !isSpokenFor && !isUntrusted && isLoopback(nameOf(request.header('host')));
  return isLocal ? undefined : { status: 403, body: REMOTE };
}
