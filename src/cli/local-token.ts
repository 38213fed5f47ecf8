/**
 * Tokens that the commands make for themselves and for `octavo token`: HS256, with the server's own secret, which only
 * someone with access to its DATA_DIR or its environment has.
 */
import { SignJWT } from 'jose';
import { systemClock } from '../base/time.ts';
import { readConfig } from '../config.ts';
import { WORKSPACE } from '../gateway/auth.ts';
import { localSecret } from '../local-server.ts';
import type { PageId } from '../protocol/ids.ts';
import type { Role } from '../protocol/messages.ts';
import { CommandError } from './fail.ts';

export interface TokenWish {
  readonly user: string;
  /** Empty: the whole workspace. */
  readonly pages: readonly PageId[];
  readonly role: Role;
  readonly ttlSeconds: number;
}

/** Signs tokens. Throws `CommandError` when this machine does not hold the key. */
export async function tokenMint(): Promise<(wish: TokenWish) => Promise<string>> {
  const { tokenKey, dataDir } = readConfig(process.env);
  if (tokenKey && tokenKey.kind !== 'secret') {
    throw new CommandError('tokens here are checked by a public key: mint them where the private key is, in your backend');
  }
  const secret = tokenKey?.secret ?? (await localSecret(dataDir, true))!;
  const key = new TextEncoder().encode(secret);
  return ({ user, pages, role, ttlSeconds }) => {
    const grants = pages.length > 0 ? pages.map((page) => ({ page, role })) : [{ workspace: WORKSPACE, role }];
    const now = Math.floor(systemClock.now() / 1000);
    return new SignJWT({ name: user, grants })
      .setProtectedHeader({ alg: 'HS256' })
      .setSubject(user)
      .setIssuedAt(now)
      .setExpirationTime(now + ttlSeconds)
      .sign(key);
  };
} // prettier-ignore

/** One signed token, as `tokenMint`. */
export async function mintToken(wish: TokenWish): Promise<string> {
  return (await tokenMint())(wish);
}
