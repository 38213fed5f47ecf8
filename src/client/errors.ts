/**
 * The one error class of the SDK. `code` is a code of the protocol or one of the SDK's own, below; `class` says what can
 * be done: `wait` (the SDK tries again by itself), `restamp` (it repairs by itself), `final` (the application decides).
 */
import { type Code, CODES, type CodeClass, codeClass } from '../protocol/codes.ts';

/** Codes that no server sends. */
export const CLIENT_CODES = {
  closed: 'the page or the client was closed',
  timeout: 'it took longer than the caller wanted to wait',
  gone: 'the block, or the parent, does not exist',
  exists: 'a block with this id exists already',
  cycle: 'the block would become its own ancestor',
  stale_text: 'this Y.Text was replaced after a refusal; ask page.text(id) again',
  token: 'the token provider failed',
  refused: 'the server closed the connection for good',
} as const;

export type ClientCode = Code | keyof typeof CLIENT_CODES;

export class OctavoError extends Error {
  override readonly name = 'OctavoError';
  readonly code: ClientCode;
  readonly class: CodeClass;

  constructor(code: ClientCode, message?: string) {
    super(
      message ||
        (Object.hasOwn(CODES, code) ? CODES[code as Code].meaning : CLIENT_CODES[code as 'closed']) ||
        code,
    );
    this.code = code;
    this.class = codeClass(code);
  }
}

/** Codes that are about me or the page: whatever else is pending would be refused alike. */
export const FOR_ALL: ReadonlySet<string> = new Set([
  'forbidden',
  'page_closed',
  'unauthorized',
  'unknown_page',
]);

/** Codes that a page which is open meets only for its presence (docs/protocol.md, part 10). */
export const ABOUT_PRESENCE = new Set<string>(['too_large', 'not_yours', 'malformed']);
