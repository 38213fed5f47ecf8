/**
 * Bytes to messages, for both directions: the one place where input from the network becomes a type. Returns the
 * message or a reason, never throws. Extra trailing elements of the outer array are ignored (old and new meet); what is
 * missing or of another shape is refused. Bins in the result are views into the input.
 */
import { type Code, CODES, type NoticeCode, NOTICES } from './codes.ts';
import { seq, type PageId, type UserId } from './ids.ts';
import { LIMIT_TABLE, type Limits, WIRE } from './limits.ts';
import {
  CLIENT_KIND,
  type ClientMessage,
  type Role,
  ROLES,
  SERVER_KIND,
  type ServerMessage,
  type WireChange,
  type WireName,
  type WirePresence,
  type WireStamp,
} from './messages.ts';
import { MsgpackError, MsgpackReader } from './msgpack-reader.ts';

export interface Malformed {
  readonly malformed: string;
}

function guarded<T>(
  bytes: Uint8Array,
  read: (reader: MsgpackReader, kind: number, count: number) => T,
): T | Malformed {
  try {
    const reader = new MsgpackReader(bytes);
    const count = reader.array();
    if (count === 0) return { malformed: 'an empty array' };
    return read(reader, reader.uint(127), count - 1);
  } catch (error) {
    // Bad input, not a bug: anything else is rethrown.
    if (error instanceof MsgpackError) return { malformed: error.message };
    throw error;
  }
}

/** Whether a decoder answered with a reason instead of a value. */
export function isMalformed(value: unknown): value is Malformed {
  return typeof value === 'object' && value !== null && 'malformed' in value;
}

function need(count: number, wanted: number): void {
  if (count < wanted) throw new MsgpackError(`${wanted} elements expected after the kind, ${count} found`);
}

const nilOr = <T>(reader: MsgpackReader, read: () => T): T | null => (reader.tryNil() ? null : read());

function stamp(reader: MsgpackReader): WireStamp {
  if (reader.array(2) !== 2) throw new MsgpackError('a stamp is [ms, counter]');
  return { ms: reader.uint(WIRE.hlcMsMax), counter: reader.uint(WIRE.hlcCounterMax) };
}

const readSeq = (reader: MsgpackReader) => seq(reader.uint());

function readHash(reader: MsgpackReader): Uint8Array {
  const hash = reader.bin(WIRE.stateHashBytes);
  if (hash.length !== WIRE.stateHashBytes) throw new MsgpackError(`a hash has ${WIRE.stateHashBytes} bytes`);
  return hash;
}

const ch = (reader: MsgpackReader) => reader.uint(WIRE.chMax);

/** A message from a client. */
export function decodeClientMessage(bytes: Uint8Array): ClientMessage | Malformed {
  return guarded(bytes, readClientMessage);
}

function readClientMessage(r: MsgpackReader, kind: number, count: number): ClientMessage | Malformed {
  switch (kind) {
    case CLIENT_KIND.hello:
      need(count, 3);
      return {
        kind: 'hello',
        version: r.uint(),
        replica: r.id(),
        clientName: r.str(WIRE.clientNameBytesMax),
      };
    case CLIENT_KIND.auth:
      need(count, 1);
      return { kind: 'auth', token: r.str(WIRE.tokenBytesMax) };
    case CLIENT_KIND.ping:
      need(count, 1);
      return { kind: 'ping', t: r.uint() };
    case CLIENT_KIND.subscribe:
      need(count, 2);
      return {
        kind: 'subscribe',
        ch: ch(r),
        page: r.id(),
        since: count > 2 ? nilOr(r, () => readSeq(r)) : null,
        epoch: count > 3 ? nilOr(r, () => r.id()) : null,
        create: count > 4 ? nilOr(r, () => r.str(WIRE.typeBytesMax)) : null,
      };
    case CLIENT_KIND.unsubscribe:
      need(count, 1);
      return { kind: 'unsubscribe', ch: ch(r) };
    case CLIENT_KIND.change:
      need(count, 4);
      return {
        kind: 'change',
        ch: ch(r),
        n: r.uint(),
        hlc: stamp(r),
        ops: r.rawValue(),
        replica: count > 4 && !r.tryNil() ? r.id() : null,
      };
    case CLIENT_KIND.presence:
      need(count, 2);
      return { kind: 'presence', ch: ch(r), state: nilOr(r, () => r.rawValue()) };
    case CLIENT_KIND.sync:
      need(count, 2);
      return { kind: 'sync', ch: ch(r), since: readSeq(r) };
    case CLIENT_KIND.diverged:
      need(count, 3);
      return { kind: 'diverged', ch: ch(r), seq: readSeq(r), hash: readHash(r) };
    default:
      return { malformed: kind >= 32 ? `kind ${kind} is the server’s to send` : `unknown kind ${kind}` };
  }
}

function oneOf<T extends string>(reader: MsgpackReader, known: (text: string) => boolean, what: string): T {
  const text = reader.str(64);
  if (!known(text)) throw new MsgpackError(`unknown ${what} "${text}"`);
  return text as T;
}

const readRole = (r: MsgpackReader) =>
  oneOf<Role>(r, (text) => (ROLES as readonly string[]).includes(text), 'role');
/** A code of a newer server passes: its class is then `final`. */
const readCode = (r: MsgpackReader) => oneOf<Code>(r, (text) => text.length > 0 || text in CODES, 'code');

/** A message from a server, for clients. An unknown kind is `malformed` and a client skips it. */
export function decodeServerMessage(bytes: Uint8Array): ServerMessage | Malformed {
  return guarded(bytes, (r, kind, count): ServerMessage | Malformed => {
    switch (kind) {
      case SERVER_KIND.welcome:
        return readWelcome(r);
      case SERVER_KIND.pong:
        return { kind: 'pong', t: r.uint(), time: r.uint() };
      case SERVER_KIND.error:
        return {
          kind: 'error',
          code: readCode(r),
          message: r.str(4096),
          retryAfterMs: nilOr(r, () => r.uint()),
          ch: nilOr(r, () => ch(r)),
        };
      case SERVER_KIND.role:
        return { kind: 'role', ch: nilOr(r, () => ch(r)), role: nilOr(r, () => readRole(r)) };
      case SERVER_KIND.subscribed:
        return {
          kind: 'subscribed',
          ch: ch(r),
          role: readRole(r),
          head: readSeq(r),
          lastN: r.uint(),
          epoch: r.id(),
          lastHlc: count > 5 ? nilOr(r, () => stamp(r)) : null,
        };
      case SERVER_KIND.snapshot:
        return readSnapshot(r, bytes.length);
      case SERVER_KIND.changes:
        return { kind: 'changes', page: r.id<PageId>(), firstSeq: readSeq(r), changes: readChanges(r) };
      case SERVER_KIND.committed:
        return { kind: 'committed', page: r.id<PageId>(), firstSeq: readSeq(r), changes: readNames(r) };
      case SERVER_KIND.ack:
        return { kind: 'ack', ch: ch(r), n: r.uint(), seq: readSeq(r), replica: r.id() };
      case SERVER_KIND.reject:
        return {
          kind: 'reject',
          ch: ch(r),
          n: r.uint(),
          code: readCode(r),
          message: r.str(4096),
          retryAfterMs: nilOr(r, () => r.uint()),
          replica: r.id(),
        };
      case SERVER_KIND.notice:
        return {
          kind: 'notice',
          ch: ch(r),
          n: r.uint(),
          code: oneOf<NoticeCode>(r, (text) => Object.hasOwn(NOTICES, text), 'notice'),
          opIndex: r.uint(),
          replica: r.id(),
        };
      case SERVER_KIND.presence:
        return { kind: 'presence', page: r.id<PageId>(), states: readPresence(r) };
      case SERVER_KIND.hash:
        return { kind: 'hash', page: r.id<PageId>(), seq: readSeq(r), hash: readHash(r) };
      case SERVER_KIND.goaway:
        return { kind: 'goaway', afterMs: r.uint() };
      default:
        return { malformed: `unknown kind ${kind}` };
    }
  });
}

type Of<Kind extends ServerMessage['kind']> = Extract<ServerMessage, { kind: Kind }>;

function readWelcome(r: MsgpackReader): Of<'welcome'> {
  return {
    kind: 'welcome',
    version: r.uint(),
    node: r.id(),
    time: r.uint(),
    limits: readLimits(r),
    epoch: r.id(),
  };
}

function readSnapshot(r: MsgpackReader, bytesMax: number): Of<'snapshot'> {
  return {
    kind: 'snapshot',
    ch: ch(r),
    seq: readSeq(r),
    encoding: r.uint(),
    part: r.uint(),
    parts: r.uint(),
    bytes: r.bin(bytesMax),
  };
}

function readLimits(r: MsgpackReader): Partial<Limits> {
  const limits: { -readonly [name in keyof Limits]?: number } = {};
  for (let left = r.map(1000); left > 0; left--) {
    const name = r.str(64);
    const value = r.uint();
    if (Object.hasOwn(LIMIT_TABLE, name)) limits[name as keyof Limits] = value;
  }
  return limits;
}

function readChanges(r: MsgpackReader): WireChange[] {
  const changes: WireChange[] = [];
  for (let left = r.array(); left > 0; left--) {
    const count = r.array();
    need(count, 6);
    changes.push({
      replica: r.id(),
      n: r.uint(),
      hlc: stamp(r),
      author: r.str(1024) as UserId,
      at: r.uint(),
      ops: r.rawValue(),
    });
    for (let extra = count - 6; extra > 0; extra--) r.skip();
  }
  return changes;
}

function readNames(r: MsgpackReader): WireName[] {
  const names: WireName[] = [];
  for (let left = r.array(); left > 0; left--) {
    const count = r.array();
    need(count, 3);
    names.push({ replica: r.id(), n: r.uint(), hlc: stamp(r) });
    for (let extra = count - 3; extra > 0; extra--) r.skip();
  }
  return names;
}

function readPresence(r: MsgpackReader): WirePresence[] {
  const states: WirePresence[] = [];
  for (let left = r.array(); left > 0; left--) {
    const count = r.array();
    need(count, 3);
    states.push({
      replica: r.id(),
      user: r.str(1024) as UserId,
      state: nilOr(r, () => r.rawValue()),
    });
    for (let extra = count - 3; extra > 0; extra--) r.skip();
  }
  return states;
}
