/**
 * Tokens: JWTs that the application's own backend mints (`docs/protocol.md` has the claims). Verified by `jose` with the
 * one configured kind of key; no other algorithm is accepted, `none` least of all.
 */
import { createRemoteJWKSet, errors, importSPKI, jwtVerify, type JWTPayload } from 'jose';
import type { PageId, UserId } from '../protocol/ids.ts';
import { parseId } from '../protocol/parse-id.ts';
import { type Role, ROLES } from '../protocol/messages.ts';

export const WORKSPACE = 'default';

export interface Grants {
  readonly workspace: Role | null;
  readonly byPage: ReadonlyMap<PageId, Role>;
}

export interface Identity {
  readonly user: UserId;
  readonly name: string;
  readonly expiresMs: number;
  /** When the token was issued; without `iat` before everything. */
  readonly issuedMs: number;
  readonly grants: Grants;
}

export type Verdict =
  | { readonly identity: Identity }
  /** `unavailable`: the keys could not be fetched; not a verdict on the token. */
  | { readonly refused: 'unauthorized' | 'expired' | 'unavailable'; readonly reason: string };

export type VerifyToken = (token: string) => Promise<Verdict>;

export type TokenKey =
  | { readonly kind: 'secret'; readonly secret: string }
  | { readonly kind: 'publicKey'; readonly pem: string }
  | { readonly kind: 'jwks'; readonly url: string };

const ASYMMETRIC = ['RS256', 'PS256', 'ES256', 'EdDSA'];
export const USER_CHARACTERS_MAX = 256;

/** The configured key cannot be used; the message is for the operator. */
export class TokenKeyError extends Error {
  override readonly name = 'TokenKeyError';
}

/** Rejects with `TokenKeyError` when the key itself is unusable: a mistake of configuration. */
export async function createTokenVerifier(key: TokenKey): Promise<VerifyToken> {
  if (key.kind === 'jwks') {
    const keys = createRemoteJWKSet(new URL(key.url), { timeoutDuration: 3000, cooldownDuration: 10_000 });
    return verifier((token) => jwtVerify(token, keys, { algorithms: ASYMMETRIC }));
  }
  if (key.kind === 'publicKey') {
    const keys = await importPublicKey(key.pem);
    const algorithms = [...keys.keys()] as string[];
    // jose has checked the header's algorithm against the list by the time it asks for the key.
    return verifier((token) => jwtVerify(token, ({ alg }) => keys.get(alg)!, { algorithms }));
  }
  const secret = new TextEncoder().encode(key.secret);
  return verifier((token) => jwtVerify(token, secret, { algorithms: ['HS256'] }));
}

/** The kinds of public key, each with the algorithms it may check. */
const KEY_KINDS = [['RS256', 'PS256'], ['ES256'], ['EdDSA']];

async function importPublicKey(pem: string): Promise<Map<string | undefined, CryptoKey>> {
  for (const algorithms of KEY_KINDS) {
    try {
      return new Map(
        await Promise.all(algorithms.map(async (alg) => [alg, await importSPKI(pem, alg)] as const)),
      );
    } catch {
      // Not a key of this kind: the next is tried, and the last failure is ours to report.
    }
  }
  throw new TokenKeyError(
    'JWT_PUBLIC_KEY is no public key in PEM form (SPKI) for RS256, PS256, ES256 or EdDSA',
  );
}

function verifier(verify: (token: string) => Promise<{ payload: JWTPayload }>): VerifyToken {
  return async (token) => {
    try {
      return readClaims((await verify(token)).payload);
    } catch (error) {
      // Bad input is jose's own error classes; a key server that cannot be reached is the outside world.
      if (error instanceof errors.JWTExpired) return { refused: 'expired', reason: 'the token has expired' };
      if (error instanceof errors.JWKSTimeout || !(error instanceof errors.JOSEError)) {
        return { refused: 'unavailable', reason: 'the keys for tokens cannot be read just now' };
      }
      return { refused: 'unauthorized', reason: 'the token is not valid here' };
    }
  };
}

/** A NUL cannot be stored by PostgreSQL; other control characters have no place in an id either. */
export function isUserId(text: string): text is UserId {
  // eslint-disable-next-line no-control-regex
  return text.length >= 1 && text.length <= USER_CHARACTERS_MAX && !/[\u0000-\u001f\u007f]/.test(text);
}

function readClaims(claims: JWTPayload & { grants?: unknown; name?: unknown }): Verdict {
  const bad = (reason: string): Verdict => ({ refused: 'unauthorized', reason });
  const { sub, exp, iat } = claims;
  if (!sub || !isUserId(sub)) return bad(`the token needs "sub", the user’s id, of 1…${USER_CHARACTERS_MAX} characters, none of them a control character`);
  if (exp === undefined) return bad('the token needs "exp"; tokens live for minutes, not for ever');
  const grants = readGrants(claims.grants);
  if (!grants) return bad('"grants" must be a list of { "page" or "workspace", "role" }');
  const name = typeof claims.name === 'string' ? claims.name.slice(0, 256) : sub;
  return { identity: { user: sub, name, expiresMs: exp * 1000, issuedMs: iat === undefined ? -Infinity : iat * 1000, grants } };
} // prettier-ignore

function readGrants(value: unknown): Grants | undefined {
  if (!Array.isArray(value)) return undefined;
  let workspace: Role | null = null;
  const byPage = new Map<PageId, Role>();
  for (const grant of value as { page?: unknown; workspace?: unknown; role?: unknown }[]) {
    const role = ROLES.find((known) => known === grant?.role);
    if (!role) return undefined;
    if (grant.workspace !== undefined) {
      if (grant.workspace === WORKSPACE) workspace = stronger(workspace, role);
      continue;
    }
    const page = typeof grant.page === 'string' ? parseId<PageId>(grant.page) : undefined;
    if (!page) return undefined;
    byPage.set(page, stronger(byPage.get(page) ?? null, role));
  }
  return { workspace, byPage };
}

function stronger(a: Role | null, b: Role): Role {
  return a !== null && ROLES.indexOf(a) > ROLES.indexOf(b) ? a : b;
}

/** The strongest role that the grants give on a page; null for none. */
export function roleOn(grants: Grants, page: PageId): Role | null {
  const onPage = grants.byPage.get(page) ?? null;
  return grants.workspace === null ? onPage : stronger(onPage, grants.workspace);
}
