/**
 * Every code that a client can be told, with its class: what the client does follows from the class alone.
 * - `wait`: keep the change, try again after the retry time (or with back-off).
 * - `restamp`: make the change anew with a fresh stamp or number, and send it again.
 * - `final`: it will never succeed as it is; hand it to the application.
 * Close codes: 4000–4499 come back with jittered back-off, 4500–4999 do not come back by yourself.
 */

export type CodeClass = 'wait' | 'restamp' | 'final';

interface CodeRow {
  readonly class: CodeClass;
  readonly meaning: string;
}

export const CODES = {
  busy: { class: 'wait', meaning: 'more waits for the database than may, or another change under your n' },
  rate: { class: 'wait', meaning: 'too many frames of this kind; the retry time says when to go on' },
  unavailable: { class: 'wait', meaning: 'the page cannot be loaded or written just now' },
  expired: {
    class: 'wait',
    meaning: 'the token has expired: send AUTH with a fresh one, then the change again',
  },
  clock_skew: {
    class: 'restamp',
    meaning: 'the stamp is too far ahead of the server’s clock and of the page',
  },
  out_of_order: { class: 'restamp', meaning: 'n is not the replica’s last n + 1' },
  forbidden: { class: 'final', meaning: 'the role on this page does not allow it' },
  unauthorized: { class: 'final', meaning: 'the token is missing, wrong or names another user' },
  unknown_page: {
    class: 'final',
    meaning: 'there is no such page; an owner or editor may create it with SUBSCRIBE',
  },
  wrong_model: { class: 'final', meaning: 'the page exists with another document model' },
  page_closed: { class: 'final', meaning: 'the page is in the trash' },
  already_open: { class: 'final', meaning: 'the page or the ch is in use on this socket' },
  not_open: { class: 'final', meaning: 'no page is open under this ch' },
  too_large: { class: 'final', meaning: 'past a limit of size, count or depth; WELCOME lists the limits' },
  missing: { class: 'final', meaning: 'the text does not continue what the page holds' },
  not_yours: { class: 'final', meaning: 'the replica id or the Yjs client id belongs to another user' },
  unsupported: {
    class: 'final',
    meaning: 'an op, a text struct or a version that this server does not know',
  },
  malformed: { class: 'final', meaning: 'the frame or the change is not of the documented shape' },
  too_many: { class: 'final', meaning: 'past a limit of sockets or open pages' },
} as const satisfies Record<string, CodeRow>;

export type Code = keyof typeof CODES;

/** Notices tell the sender of an accepted change that an op of it had no effect. */
export const NOTICES = {
  gone: 'the block, or the parent, does not exist',
  exists: 'a block with this id exists already',
  cycle: 'the block would become its own ancestor',
  missing: 'the text did not continue what the block held',
} as const;

export type NoticeCode = keyof typeof NOTICES;

export const CLOSE = {
  going_away: { code: 4000, meaning: 'the server stops or restarts: come back' },
  too_slow: { code: 4001, meaning: 'the socket did not read what was sent: come back' },
  token_expired: { code: 4002, meaning: 'come back with a token' },
  too_many: { code: 4004, meaning: 'too many sockets: come back later' },
  too_fast: { code: 4005, meaning: 'more was sent than may be: come back later' },
  unauthorized: { code: 4500, meaning: 'the token is missing or wrong' },
  malformed: { code: 4501, meaning: 'a frame was not of the documented shape' },
  unsupported: { code: 4502, meaning: 'the version of the protocol is not spoken here' },
} as const;

export type CloseName = keyof typeof CLOSE;

/** Whether a client should come back by itself after this close code. */
export function mayComeBack(closeCode: number): boolean {
  // 1009 is the transport's "message too large": sending it again would loop for ever.
  return closeCode !== 1009 && closeCode < 4500;
}

export function codeClass(code: string): CodeClass {
  // A code from a newer server: not to be retried for ever.
  return Object.hasOwn(CODES, code) ? CODES[code as Code].class : 'final';
}
