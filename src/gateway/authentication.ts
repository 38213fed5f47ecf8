/**
 * From a socket to a user: the token of the handshake or of AUTH, what may come before it (little, and not for long), and
 * its renewal on a live socket. What a verdict on a token leads to is here; the verdict itself is `auth.ts`.
 */
import { type Log, stackOf } from '../base/log.ts';
import type { Millis } from '../base/time.ts';
import { decodeClientMessage, isMalformed } from '../protocol/decode.ts';
import type { CloseName } from '../protocol/codes.ts';
import type { UserId } from '../protocol/ids.ts';
import type { Limits } from '../protocol/limits.ts';
import type { Identity, Verdict, VerifyToken } from './auth.ts';
import type { Connection, Early, OpenPage, Ready } from './connection.ts';
import type { Replies } from './replies.ts';

export interface AuthenticationOptions {
  readonly verify: VerifyToken;
  readonly limits: Limits;
  readonly log: Log;
  readonly replies: Replies;
  /** Counts the socket for its user; false past the limit. */
  countUser(connection: Connection, user: UserId): boolean;
  /** Handles a frame of a socket that is ready. */
  frame(connection: Connection, state: Ready, bytes: Uint8Array): void;
  /** Tells a page's shard what the token gives on it now. */
  setRole(connection: Connection, page: OpenPage, identity: Identity): void;
}

type Refused = Extract<Verdict, { refused: string }>['refused'];
const CLOSE_AFTER: Record<Refused, CloseName> = {
  unauthorized: 'unauthorized',
  expired: 'token_expired',
  unavailable: 'going_away',
};

/** Time for a fresh token after the old one has expired, in which changes wait. */
const EXPIRY_GRACE_MS: Millis = 10_000;

export class Authentication {
  readonly #options: AuthenticationOptions;

  constructor(options: AuthenticationOptions) {
    this.#options = options;
  }

  /** A frame before the token is known to be good. */
  early(connection: Connection, state: Early, bytes: Uint8Array): void {
    const { limits, replies } = this.#options;
    state.bytes += bytes.length;
    if (state.bytes > limits.unauthenticatedBytesMax) {
      return replies.refuse(connection, 'unauthorized', 'too much was sent before the token', 'unauthorized');
    }
    if (state.tag === 'verifying') {
      // The bytes are the transport's: a copy waits.
      state.frames.push(bytes.slice());
      return;
    }
    const message = decodeClientMessage(bytes);
    if (!isMalformed(message) && message.kind === 'auth') return this.begin(connection, message.token);
    const reason =
      'a token is needed: in the Authorization header, in ?token=, or by AUTH as the first frame';
    replies.refuse(connection, 'unauthorized', reason, 'unauthorized');
  }

  /** Looks at the token of an anonymous socket; frames that come meanwhile wait. */
  begin(connection: Connection, token: string): void {
    this.#begin(connection, token).catch((error: unknown) => this.#failed(connection, error));
  }

  /** A fresh token on a live socket: same user, perhaps other roles. */
  renew(connection: Connection, state: Ready, token: string): void {
    this.#renew(connection, state, token).catch((error: unknown) => this.#failed(connection, error));
  }

  /** A bug of ours: it must cost one socket, never the process. */
  #failed(connection: Connection, error: unknown): void {
    this.#options.log.error({ connection: connection.id, error: stackOf(error) }, 'authentication threw');
    connection.socket.end(1011, 'internal error');
  }

  async #begin(connection: Connection, token: string): Promise<void> {
    const { verify, replies, countUser, frame, log } = this.#options;
    const before = connection.state;
    if (before.tag !== 'anonymous') return;
    const frames: Uint8Array[] = [];
    connection.state = { tag: 'verifying', since: before.since, bytes: before.bytes, frames };
    const verdict = await verify(token);
    // It may have been closed meanwhile.
    if (connection.state.tag !== 'verifying') return;
    if ('refused' in verdict) {
      return replies.refuse(connection, verdict.refused, verdict.reason, CLOSE_AFTER[verdict.refused]);
    }
    const { identity } = verdict;
    if (!countUser(connection, identity.user)) {
      return replies.refuse(connection, 'too_many', 'too many sockets of this user', 'too_many');
    }
    connection.state = { tag: 'ready', identity, replica: null, verifying: false };
    log.debug({ connection: connection.id, user: identity.user }, 'a socket belongs to a user');
    for (const bytes of frames) {
      // Each frame may close the socket; the compiler cannot see that the state changes under us.
      const now = connection.state as Connection['state'];
      if (now.tag === 'ready') frame(connection, now, bytes);
    }
  }

  async #renew(connection: Connection, state: Ready, token: string): Promise<void> {
    const { verify, replies, setRole } = this.#options;
    if (state.verifying) return replies.error(connection, 'rate', 'one AUTH at a time', null, 1000);
    state.verifying = true;
    const verdict = await verify(token);
    state.verifying = false;
    if (connection.state !== state) return;
    if ('refused' in verdict) return replies.error(connection, verdict.refused, verdict.reason);
    if (verdict.identity.user !== state.identity.user) {
      return replies.error(connection, 'unauthorized', 'the token names another user than this socket’s');
    }
    state.identity = verdict.identity;
    replies.send(connection, { kind: 'role', ch: null, role: null });
    for (const page of connection.pages) setRole(connection, page, state.identity);
  }

  /** A change under a token that has expired: it waits with its client. */
  rejectExpired(connection: Connection, state: Ready, bytes: Uint8Array): void {
    const { replies } = this.#options;
    const change = decodeClientMessage(bytes);
    if (isMalformed(change) || change.kind !== 'change') {
      const reason = isMalformed(change) ? change.malformed : 'not a change';
      return replies.error(connection, 'malformed', reason);
    }
    replies.refused('expired');
    const { ch, n } = change;
    const replica = change.replica ?? state.replica!;
    const message = 'the token has expired; send AUTH with a fresh one';
    replies.send(connection, { kind: 'reject', ch, n, code: 'expired', message, retryAfterMs: null, replica });
  } // prettier-ignore

  /** Once a second: who came without a token, or lets it run out, has to go. */
  sweep(connection: Connection, now: Millis, monotonic: Millis): void {
    const { limits, replies } = this.#options;
    const { state } = connection;
    if (state.tag === 'closed') return;
    if (state.tag === 'ready') {
      if (state.identity.expiresMs + EXPIRY_GRACE_MS <= now) replies.close(connection, 'token_expired');
    } else if (monotonic - state.since >= limits.unauthenticatedMs) {
      const reason = `no token came within ${limits.unauthenticatedMs} ms`;
      replies.refuse(connection, 'unauthorized', reason, 'unauthorized');
    }
  }
}
