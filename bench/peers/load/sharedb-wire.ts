/**
 * The messages of ShareDB as far as a typing client needs them, and what a page's text has to be in the end.
 */
import { letterAt } from '../../lib/keystroke.ts';

export const COLLECTION = 'pages';
export const JSON0 = 'http://sharejs.org/types/JSONv0';
export const HANDSHAKE = { a: 'hs', id: null, protocol: 1, protocolMinor: 2 };

/** An insertion of letters into the text. */
export interface TextOp {
  readonly p: readonly ['text', number];
  readonly si: string;
}

export interface ShareDbMessage {
  readonly a: string;
  readonly id?: string;
  readonly v?: number;
  readonly src?: string;
  readonly op?: readonly TextOp[];
  readonly data?: { readonly v: number; readonly data: { readonly text: string } };
  readonly error?: { readonly message: string };
}

/** One digit a client; past ten clients nobody but the first types. */
export const firstPageText = (clients: number): string => '0123456789'.slice(0, clients);

export function expectedPageText(typed: readonly number[]): string {
  const run = (count: number) => Array.from({ length: count }, (_, i) => String.fromCharCode(letterAt(i))).join('');
  return [...firstPageText(typed.length)].map((digit, slot) => digit + run(typed[slot]!)).join('');
} // prettier-ignore
