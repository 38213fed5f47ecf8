/**
 * The messages of y-protocols as bytes, plain and as Hocuspocus wraps them: how a client asks for a page, and how one
 * that holds nothing answers the server's own question.
 */
import { clientFrame } from '../../lib/raw-socket.ts';
import type { YjsWire } from './plan.ts';

export const KIND = {
  sync: 0,
  awareness: 1,
  auth: 2,
  syncReply: 4,
  /** Hocuspocus acknowledges each update with it. */
  syncStatus: 8,
  step1: 0,
  step2: 1,
  update: 2,
  authenticated: 2,
} as const;

/** A short string, or bytes: their length before them. */
const sized = (bytes: Uint8Array): Uint8Array => {
  const head: number[] = [];
  let rest = bytes.length;
  for (; rest > 0x7f; rest = Math.floor(rest / 128)) head.push(0x80 | (rest & 0x7f));
  return Buffer.concat([Uint8Array.of(...head, rest), bytes]);
};

const text = (value: string): Uint8Array => sized(Buffer.from(value));

/** What stands before each message. */
export function wirePrefix(wire: YjsWire, page: string): Uint8Array {
  return wire === 'hocuspocus' ? text(page) : new Uint8Array(0);
}

const NO_STATE = Uint8Array.of(0);
const NO_UPDATE = Uint8Array.of(0, 0);

const message = (prefix: Uint8Array, ...parts: Uint8Array[]) => Buffer.concat([prefix, ...parts]);

/** The frames that open a page for a client that holds nothing: they need no answer in between. */
export function openingFrames(wire: YjsWire, page: string): Uint8Array {
  const prefix = wirePrefix(wire, page);
  const step1 = message(prefix, Uint8Array.of(KIND.sync, KIND.step1), sized(NO_STATE));
  if (wire !== 'hocuspocus') return clientFrame(step1);
  const auth = message(prefix, Uint8Array.of(KIND.auth, 0), text('token'));
  return Buffer.concat([clientFrame(auth), clientFrame(step1)]);
}

export function answerStep1(prefix: Uint8Array): Uint8Array {
  return message(prefix, Uint8Array.of(KIND.sync, KIND.step2), sized(NO_UPDATE));
}

/** A frame that brings a page or an update to the server. */
export function contentFrame(
  wire: YjsWire,
  page: string,
  step: 'step2' | 'update',
  update: Uint8Array,
): Uint8Array {
  return clientFrame(message(wirePrefix(wire, page), Uint8Array.of(KIND.sync, KIND[step]), sized(update)));
}
